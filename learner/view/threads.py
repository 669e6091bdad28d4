"""Threads for what a request does: lent while something is computed, never while somebody waits."""

from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

Result = TypeVar("Result")

QUICK = CapacityLimiter(64)  # clicks and pictures: milliseconds
SLOW = CapacityLimiter(32)  # what takes as long as the Hub, or a measurement, takes


async def in_thread(
    function: Callable[..., Result], *arguments: object, limiter: CapacityLimiter = QUICK
) -> Result:
    """Call ``function`` on one of the ``limiter``'s threads, in a copy of this task's context."""
    return await to_thread.run_sync(function, *arguments, limiter=limiter)
