"""A request to the service as both sides see it: the caller that waits, the worker that serves.

The two sides meet only here. The worker never blocks on a caller: it overwrites the one latest
state, so a caller that reads slowly sees fewer partial texts, and one that has gone costs nothing.
"""

import threading
from collections.abc import Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from learner.learning.learner import Learner
from learner.learning.training import Material, StepReport
from learner.model.completion import Ask, Completion

_NOTHING_YET = Completion(text="", tokens=0, finished=False, seconds=0.0)


@dataclass(frozen=True, eq=False)
class TrainingRequest:
    """One optimiser step that ``owner`` waits for (None: somebody), since the time ``since``.

    It takes up ``rows`` of a pass, and counts for its owner's ``group``.
    """

    learner: Learner
    problems: tuple[Material, ...]
    rows: int
    since: float
    owner: Hashable = None
    group: Hashable = None
    future: "Future[tuple[Learner, StepReport]]" = field(default_factory=Future)


class AskingRequest:
    """Questions of one caller, asked together, and the latest state of their completions."""

    def __init__(
        self, asks: Sequence[Ask], max_new_tokens: int, since: float, group: Hashable = None
    ) -> None:
        self.asks = tuple(asks)
        self.group = group
        self.max_new_tokens = max_new_tokens
        self.since = since
        self.dealt = 0  # rows that are in a batch or done; touched by the worker alone
        self._changed = threading.Condition()  # guards everything below
        self._rows = [_NOTHING_YET] * len(self.asks)
        self._missing = len(self.asks)  # rows that are not final
        self._unread = not self.asks  # no questions: the empty answer is there at once
        self._error: Exception | None = None
        self._abandoned = False
        self.over: Future[None] = Future()  # done when no more will come
        if not self.asks:
            self.over.set_result(None)

    @property
    def wanted(self) -> bool:
        """Whether there is something left to do and somebody to do it for."""
        with self._changed:
            return self._missing > 0 and self._error is None and not self._abandoned

    @property
    def undealt(self) -> int:
        """How many rows are in no batch yet."""
        return len(self.asks) - self.dealt

    def deal(self) -> tuple[int, Ask]:
        """The next row, by its number, to join a batch."""
        self.dealt += 1
        return self.dealt - 1, self.asks[self.dealt - 1]

    def update(self, completions: Mapping[int, Completion], ended: int) -> None:
        """Put the state of these rows, ``ended`` of them final, before the caller."""
        with self._changed:
            for index, completion in completions.items():
                self._rows[index] = completion
            self._missing -= ended
            self._unread = True
            self._changed.notify_all()
            if not self._missing and not self.over.done():
                self.over.set_result(None)

    def fail(self, error: Exception) -> None:
        """End with ``error``, unless every row is final already."""
        with self._changed:
            if self._missing and not self.over.done():
                self._error = error
                self._changed.notify_all()
                self.over.set_result(None)

    def abandon(self) -> None:
        """Say that nobody reads any more."""
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()

    def latest(self) -> tuple[Completion, ...]:
        """The state as it is now, read or not; raises what the request has ended with."""
        with self._changed:
            if self._error is not None:
                raise self._error
            return tuple(self._rows)

    def read(self) -> tuple[Completion, ...]:
        """Wait for a state that was not read yet; raises StopIteration after the final one."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._unread or not self._missing or self._error or self._abandoned
            )
            if self._abandoned:
                raise StopIteration
            if self._error is not None:
                raise self._error
            if not self._unread:
                raise StopIteration
            self._unread = False
            return tuple(self._rows)


class RequestStream(Iterator[tuple[Completion, ...]]):
    """The caller's own rows, again and again with ever longer texts; the last item is final.

    Closing it, or dropping it, tells the service that nobody reads any more.
    """

    def __init__(self, request: AskingRequest) -> None:
        self.request = request

    def __next__(self) -> tuple[Completion, ...]:
        return self.request.read()

    def close(self) -> None:
        """Stop reading: rows still waiting are never run."""
        self.request.abandon()

    def __del__(self) -> None:
        self.close()
