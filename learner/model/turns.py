"""Work in turns: a generator that pauses wherever something else may be done, and returns a result.

Whoever owns a device so runs several pieces of work side by side on one thread.
"""

from collections.abc import Generator
from typing import Any, TypeVar

Result = TypeVar("Result")

Turns = Generator[None, None, Result]


def finished(turns: Generator[Any, None, Result]) -> Result:
    """What the work returns, with nothing else done in between."""
    while True:
        try:
            next(turns)
        except StopIteration as done:
            result: Result = done.value
            return result
