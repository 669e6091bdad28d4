"""Answering: requests of one urgency, and the running batch that their rows are in.

Requests take turns, a row each, and before them their groups: a click that asks for four answers
does not wait behind an exam of hundreds, nor one exam behind sixty of a hall. What goes wrong with
the batch is tried again request by request, and raised at the caller whose fault it is.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from learner.model.completion import Ask, Writing
from learner.service.requests import AskingRequest

AHEAD = (
    8  # rows that wait in the batch to be read; twice those of the latest chunk, if that is more
)


class Batch(Protocol):
    """What is asked of a running batch (`learner.model.completion.RunningBatch`)."""

    def __len__(self) -> int: ...

    @property
    def unread(self) -> int: ...

    def add(self, rows: Sequence[Writing]) -> None: ...

    def drop(self, rows: Collection[Writing]) -> None: ...

    def clear(self) -> list[Writing]: ...

    def advance(self) -> list[Writing]: ...


@dataclass
class Turn:
    """What was done in a turn: with how many rows, and which requests it was the first for."""

    rows: int = 0
    began: list[AskingRequest] = field(default_factory=list)
    dealt: int = 0  # rows that joined the batch
    repeats: int = 0  # requests that are run again by themselves


class Answers:
    """The requests and their batch. `add` and `rows_of` are for any thread, all else for one."""

    def __init__(self, batch: Batch, write: Callable[[Ask, int], Writing], most_rows: int) -> None:
        """``write`` makes a row of an ask and its most tokens; ``most_rows`` are in the batch."""
        self._batch = batch
        self._write = write
        self._most_rows = most_rows
        self._ahead = AHEAD
        self._lock = threading.Lock()
        # Those with rows that are not in the batch, by group; one without is a group of its own.
        self._waiting: OrderedDict[Hashable, deque[AskingRequest]] = OrderedDict()
        self._wanted: list[AskingRequest] = []  # all that were not done with when last looked at
        self._owners: dict[Writing, tuple[AskingRequest, int]] = {}  # of the rows that are
        self._suspects: deque[list[Writing]] = deque()  # to be run by themselves, a request each
        self._alone = False  # whether such a request is in the batch

    def __len__(self) -> int:
        """How many requests are not in the batch yet, or not with all of their rows."""
        with self._lock:
            return sum(map(len, self._waiting.values()))

    def __bool__(self) -> bool:
        """Whether there is something to do."""
        return bool(self._waiting or self._owners)

    def add(self, request: AskingRequest) -> None:
        with self._lock:
            self._put(request)
            self._wanted.append(request)

    def rows_of(self, group: Hashable) -> int:
        """How many rows the requests of a group have that are not done with. On any thread."""
        with self._lock:
            self._wanted = [request for request in self._wanted if request.wanted]
            return sum(len(one.asks) for one in self._wanted if one.group == group)

    def advance(self) -> Turn:
        """Read a chunk of prompts or write a token, and hand on what was written."""
        turn = Turn()
        self._drop_unwanted()
        self._deal(turn)
        try:
            rows = self._batch.advance()
        except Exception as error:  # not swallowed: it is raised again at the caller
            turn.repeats = self._failed(error)
            return turn
        turn.rows = len(rows)
        self._hand_on(rows)
        return turn

    def clear(self, error: Exception) -> None:
        """Drop everything, and raise ``error`` at all who wait for it."""
        self._batch.clear()
        self._suspects.clear()
        with self._lock:
            waiting = [request for queue in self._waiting.values() for request in queue]
            requests = [*waiting, *(request for request, _ in self._owners.values())]
            self._waiting.clear()
            self._owners.clear()
        for request in requests:
            request.fail(error)

    def _drop_unwanted(self) -> None:
        """Drop what nobody waits for any more."""
        requests = {request for request, _ in self._owners.values()}
        unwanted = {request for request in requests if not request.wanted}
        if unwanted:
            rows = {row for row, (request, _) in self._owners.items() if request in unwanted}
            self._batch.drop(rows)
            for row in rows:
                del self._owners[row]
            self._suspects = deque(
                kept
                for some in self._suspects
                if (kept := [row for row in some if row not in rows])
            )
        with self._lock:
            waiting = [request for queue in self._waiting.values() for request in queue]
            self._waiting.clear()
            for request in waiting:
                if request.wanted:
                    self._put(request)

    def _deal(self, turn: Turn) -> None:
        """Have rows join the batch: of all who wait in turn, or of one who is run alone."""
        if self._alone and not len(self._batch):
            self._alone = bool(self._suspects)
            if self._suspects:
                self._batch.add(self._suspects.popleft())
        if self._alone:
            return
        rows: list[Writing] = []
        while (
            len(self._batch) + len(rows) < self._most_rows
            and self._batch.unread + len(rows) < self._ahead
            and (request := self._next()) is not None
        ):
            if not request.dealt:
                turn.began.append(request)
            index, ask = request.deal()
            try:
                row = self._write(ask, request.max_new_tokens)
            except ValueError as error:
                request.fail(error)
                continue
            self._owners[row] = request, index
            rows.append(row)
            if request.undealt:
                with self._lock:
                    self._put(request)
        turn.dealt = len(rows)
        self._batch.add(rows)

    def _put(self, request: AskingRequest) -> None:
        """Behind those of its group that wait; under the lock."""
        group = request if request.group is None else request.group
        self._waiting.setdefault(group, deque()).append(request)

    def _next(self) -> AskingRequest | None:
        """Whose turn it is to have a row dealt; its group has had its turn then."""
        with self._lock:
            if not self._waiting:
                return None
            group, queue = self._waiting.popitem(last=False)
            request = queue.popleft()
            if queue:
                self._waiting[group] = queue
            return request

    def _hand_on(self, rows: Sequence[Writing]) -> None:
        """Put what was written before the callers."""
        written: dict[AskingRequest, list[tuple[int, Writing]]] = {}
        new = 0
        for row in rows:
            if row not in self._owners:
                continue
            request, index = self._owners[row]
            if row.error is not None:
                request.fail(row.error)
            elif row.written:
                new += len(row.written) == 1
                written.setdefault(request, []).append((index, row))
            if row.ended:
                del self._owners[row]
        self._ahead = max(AHEAD, 2 * new) if new else self._ahead
        for request, own in written.items():
            ended = sum(row.ended for _, row in own)
            request.update({index: row.completion() for index, row in own}, ended)

    def _failed(self, error: Exception) -> int:
        """Run the requests of the batch by themselves; ``error`` is a lone request's own."""
        groups: dict[AskingRequest, list[Writing]] = {}
        for row in self._batch.clear():
            groups.setdefault(self._owners[row][0], []).append(row)
        if len(groups) > 1:
            self._suspects.extend(groups.values())
            self._alone = True
            return len(groups)
        for request, rows in groups.items():
            request.fail(error)
            for row in rows:
                del self._owners[row]
        return 0
