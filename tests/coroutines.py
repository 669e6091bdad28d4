"""Coroutines in tests, on a thread of their own: Playwright keeps a loop on the main one."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeVar

from learner.visitors.followed import Followed

T = TypeVar("T")


def finished(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine comes to. Raises what the coroutine raises."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def each(items: AsyncGenerator[T, None]) -> Iterator[T]:
    """What an asynchronous generator yields, as it comes."""
    with ThreadPoolExecutor(1) as thread, closing(asyncio.new_event_loop()) as loop:

        def wait_for(work: Coroutine[Any, Any, T]) -> T:
            return thread.submit(loop.run_until_complete, work).result()

        try:
            while True:
                try:
                    item = wait_for(anext(items))
                except StopAsyncIteration:
                    return
                yield item
        finally:
            wait_for(items.aclose())


def follow(thing: Followed, busy: Callable[[], bool]) -> Iterator[None]:
    """Everything that ``thing.follow`` yields."""
    return each(thing.follow(busy))
