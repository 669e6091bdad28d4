"""Answering passes: rows of several requests that are decoded together, token by token.

Between two tokens the worker may do something else for as long as it likes. What goes wrong with a
pass is tried again request by request, and raised at the caller whose fault it is.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from learner.model.completion import Ask, Completion
from learner.service.requests import AskingRequest, Part
from learner.service.scheduling import deal_rows

Decode = Callable[[Sequence[Ask], int], Iterator[tuple[Completion, ...]]]


class AnsweringPass:
    """The parts of one pass, and how far it has come."""

    def __init__(self, parts: Sequence[Part], decode: Decode, clock: Callable[[], float]) -> None:
        self.parts = tuple(parts)
        self.seconds = 0.0  # that it has run
        self.stretch = 0.0  # seconds at most without a pause
        self._decode = decode
        self._clock = clock
        self._stream: Iterator[tuple[Completion, ...]] | None = None

    @property
    def rows(self) -> int:
        return sum(len(part.asks) for part in self.parts)

    def advance(self) -> bool:
        """Write one more token in every row and hand it on; False when there is no more to do.

        Raises what the decoding raises.
        """
        began = self._clock()
        if self._stream is None:
            asks = [ask for part in self.parts for ask in part.asks]
            self._stream = self._decode(asks, self.parts[0].request.max_new_tokens)
        completions = next(self._stream, None)
        taken = self._clock() - began
        self.seconds += taken
        self.stretch = max(self.stretch, taken)
        if completions is None:
            for part in self.parts:
                part.finish()
            return False
        start = 0
        for part in self.parts:
            part.update(completions[start : start + len(part.asks)])
            start += len(part.asks)
        return any(part.request.wanted for part in self.parts)

    def one_by_one(self) -> list["AnsweringPass"]:
        """A pass of its own for each part that somebody still waits for."""
        return [
            AnsweringPass([part], self._decode, self._clock)
            for part in self.parts
            if part.request.wanted
        ]

    def fail(self, error: Exception) -> None:
        """Raise ``error`` at all who wait for this pass."""
        for part in self.parts:
            part.request.fail(error)


class AnsweringQueue:
    """Requests in order of arrival, and the pass that some of them are in. Not thread-safe."""

    def __init__(self, decode: Decode, clock: Callable[[], float]) -> None:
        self._decode = decode
        self._clock = clock
        self._waiting: list[AskingRequest] = []
        self._passes: deque[AnsweringPass] = deque()  # the one that is on, and those after it

    def __len__(self) -> int:
        """How many requests are in no pass yet, or not with all of their rows."""
        return len(self._waiting)

    def __bool__(self) -> bool:
        """Whether there is something to do."""
        return bool(self._waiting or self._passes)

    def add(self, request: AskingRequest) -> None:
        self._waiting.append(request)

    @property
    def current(self) -> AnsweringPass | None:
        """The pass that is on."""
        return self._passes[0] if self._passes else None

    def start(self, rows: int) -> list[AskingRequest]:
        """Begin a pass of at most ``rows`` rows; returns the requests that were in none before.

        It holds questions that ask for equally long answers, and is none if nobody waits any more.
        """
        asked = [request for request in self._waiting if request.wanted]
        alike = [r for r in asked if r.max_new_tokens == asked[0].max_new_tokens]
        dealt = [
            (request, share)
            for request, share in zip(
                alike, deal_rows([request.undealt for request in alike], rows), strict=True
            )
            if share
        ]
        new = [request for request, _ in dealt if request.undealt == len(request.asks)]
        parts = [request.deal(share) for request, share in dealt]
        self._waiting = [request for request in asked if request.undealt]
        if parts:
            self._passes.append(AnsweringPass(parts, self._decode, self._clock))
        return new

    def over(self) -> None:
        """Drop the pass that is on: it is done, or nobody wants it."""
        self._passes.popleft()

    def failed(self, error: Exception) -> int:
        """Drop the pass that is on, and run its requests alone; ``error`` is a lone request's.

        Returns how many passes it has become.
        """
        broken = self._passes.popleft()
        alone = broken.one_by_one() if len(broken.parts) > 1 else []
        self._passes.extend(alone)
        if not alone:
            broken.fail(error)
        return len(alone)

    def clear(self, error: Exception) -> None:
        """Drop everything, and raise ``error`` at all who wait for it."""
        for started in self._passes:
            started.fail(error)
        for request in self._waiting:
            request.fail(error)
        self._passes.clear()
        self._waiting = []
