"""What a store of sessions can do, wherever it keeps them: rows with versions, compared, swapped.

A row is replaced only by somebody who knows the version that is there, so of two who change it at
once one is told. Only numbers and bytes are stored; what they mean is `session_data`'s.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol


class StoreError(Exception):
    """The store cannot be used at the moment; the message says why, in a few words."""


class Conflict(StoreError):
    """The row that was to be replaced is not the one that is there."""

    def __init__(self) -> None:
        super().__init__("another program has just written there")


class Row(NamedTuple):
    """What is stored of a session: ``used_at`` in seconds since the epoch."""

    version: int
    used_at: float
    data: bytes


class Summary(NamedTuple):
    """A row without its data: ``learnt`` is how many episodes went into it, ``size`` in bytes."""

    key: str
    version: int
    used_at: float
    learnt: int
    size: int


class Leases(Protocol):
    """Who of several apps may do something, by key: one of them at a time."""

    def take(self, key: str, lost: Callable[[], None]) -> bool:
        """Take a lease; whether nobody else has it. ``lost`` is called if somebody gets it.

        Where the storage is out of reach, nobody is kept from learning: then it counts as taken.
        """

    def leave(self, key: str) -> None:
        """Give a lease back."""


class Store(Protocol):
    """Rows by key. Thread-safe; every method may raise StoreError and has then changed nothing."""

    losses: int
    """How often it was noticed that what had been stored was gone as a whole."""

    leases: Leases | None
    """Which of several apps may teach a learner now; None where there is only one app."""

    def read(self, key: str) -> Row | None:
        """The newest version of a row, or None if there is none."""

    def write(self, key: str, data: bytes, learnt: int, used_at: float, version: int) -> int:
        """Replace ``version`` (0: nothing) of a row; the new version. Raises Conflict."""

    def touch(self, key: str, used_at: float) -> None:
        """Note that a row was used."""

    def remove(self, key: str, version: int) -> None:
        """Remove a row if it is still this version."""

    def summaries(self) -> list[Summary]:
        """All rows without their data."""

    def size(self) -> int:
        """How many bytes all rows have together."""

    def close(self) -> None:
        """Let go of it; whatever was written stays."""
