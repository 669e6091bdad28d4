"""Following something from a test, which has no event loop."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import closing
from typing import TypeVar

from learner.visitors.followed import Followed

Item = TypeVar("Item")


def each(items: AsyncGenerator[Item, None]) -> Iterator[Item]:
    """What an asynchronous generator yields, as it comes."""
    with closing(asyncio.new_event_loop()) as loop:
        try:
            while True:
                try:
                    item = loop.run_until_complete(anext(items))
                except StopAsyncIteration:
                    return
                yield item
        finally:
            loop.run_until_complete(items.aclose())


def follow(thing: Followed, busy: Callable[[], bool]) -> Iterator[None]:
    """Everything that ``thing.follow`` yields."""
    return each(thing.follow(busy))
