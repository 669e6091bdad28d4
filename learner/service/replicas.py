"""Several replicas of a base model as one `ModelService`; nothing is lost when one of them dies.

A step is a function of values, and so is an answer: whoever asked still holds what went in, and
asks another replica for what has not come out. A run goes on from the last learner that came, and
an answer is shown again only where it is longer than what was seen. How often is bounded; then the
caller gets a sentence, and keeps what came so far.

What carries the calls is behind `Calls`; this process holds no weights.
"""

import pickle
import threading
import time
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace
from functools import lru_cache
from typing import Any, Protocol

from learner.learning.learner import Learner, LearnerConfig
from learner.learning.training import Material, StepReport, step_rows
from learner.model.base_model import BaseModel, ModelFacts
from learner.model.completion import Ask, Completion
from learner.service.protocol import (
    GROUP,
    MOST_STEP_ROWS,
    Found,
    ServiceBusy,
    ServiceClosed,
    ServiceStatus,
    StepTooLarge,
)
from learner.service.replica import (
    BUSY,
    CLOSED,
    WRONG,
    Asking,
    Failure,
    Knowing,
    Looking,
    Starting,
    Training,
    packed,
    prompt_key,
)
from learner.service.status import Meter

TRIES = 6  # in a row from which nothing came
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 4.0  # seconds before another try; twice as long each time
CLICK_ASKS = 16  # that many asks are sent to where their soft prompt was read before
STARTS_KEPT = 256  # untrained learners
OUTAGE_SECONDS = 120.0  # that a call waits for replicas to be there again
LOOK_SECONDS = 0.25  # how often it is looked whether they are

_LOST = "The replicas that compute were lost again and again."

_NOTHING_YET = Completion(text="", tokens=0, finished=False, seconds=0.0)


class ReplicaGone(Exception):
    """A call ended before its work was done, and nothing is known to be wrong with the work."""


class ReplicasUnavailable(ValueError):
    """No replica has done the work, however often it was tried."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"{why} What you have learnt is kept; looking, saving, loading and sharing work "
            "meanwhile. Try again in a minute."
        )


class Call(Protocol):
    """A piece of work that a replica is doing: an iterator of pickled values.

    Raises ReplicaGone, and RuntimeError if the replica failed in a way that will come again.
    """

    def __iter__(self) -> Iterator[bytes]: ...

    def __next__(self) -> bytes: ...

    def close(self) -> None:
        """Say that nobody waits any more."""


class Calls(Protocol):
    """What has pickled work done by some replica."""

    @property
    def trouble(self) -> str:
        """Why no replica can be called now, in a sentence; "" if they can."""

    def call(self, data: bytes, key: str = "", model: int = 0) -> Call:
        """Have work done by a ``model``, by preference where that of the same ``key`` was.

        Never waits. Raises ReplicaGone if there is nobody to ask.
        """

    def close(self) -> None: ...


class ReplicaService:
    """A `ModelService` that has its work done by the replicas of the ``model`` of this number.

    Raises what the first call raises.
    """

    def __init__(
        self,
        calls: Calls,
        model: int = 0,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self._calls = calls
        self._model = model
        self._clock = clock
        self._pause = pause
        self._changed = threading.Condition()  # guards everything below
        self._meter = Meter()
        self._waiting = self._open = 0
        self._closed = False
        self._facts: ModelFacts = next(self._values(Knowing))
        self.new_learner = lru_cache(STARTS_KEPT)(self._new_learner)

    def __enter__(self) -> "ReplicaService":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def base_model(self) -> ModelFacts:
        """What there is to know of the model."""
        return self._facts

    def _new_learner(self, config: LearnerConfig) -> Learner:
        """A learner that has learnt nothing yet; those asked for before need no replica."""
        learner: Learner = next(self._values(lambda: Starting(config)))
        return learner

    def train(
        self, learner: Learner, problems: Sequence[Material], owner: Hashable = None
    ) -> "Future[tuple[Learner, StepReport]]":
        """Ask for one step. Owners that ask before they have an answer are served in any order."""
        return _first(self.train_run(learner, [problems], owner))

    def train_run(
        self, learner: Learner, steps: Sequence[Sequence[Material]], owner: Hashable = None
    ) -> Generator[tuple[Learner, StepReport], None, None]:
        """The learner after each of these steps, all asked of one replica as long as it lives.

        Raises StepTooLarge, ServiceBusy, ServiceClosed and ReplicasUnavailable; what came out so
        far is the caller's.
        """
        rows = [step_rows(learner, step) for step in steps]
        if max(rows, default=0) > MOST_STEP_ROWS:
            raise StepTooLarge(max(rows))
        return self._train(learner, [tuple(step) for step in steps], rows, owner, GROUP.get())

    def ask(
        self, asks: Sequence[Ask], max_new_tokens: int = 48
    ) -> Generator[tuple[Completion, ...], None, None]:
        """Ask for completions; the call is made at once."""
        state, group = [_NOTHING_YET] * len(asks), GROUP.get()
        missing: list[int] = []

        def rest() -> Asking | None:
            missing[:] = [
                i for i, row in enumerate(state) if not row.finished and row.tokens < max_new_tokens
            ]
            left = tuple(asks[i] for i in missing)
            return Asking(left, max_new_tokens, group) if left else None

        prompts = (ask.prompt for ask in asks[:CLICK_ASKS] if ask.prompt is not None)
        prompt = next(prompts, None) if len(asks) <= CLICK_ASKS else None
        key = "" if prompt is None else prompt_key(prompt).hex()
        return _grown(self._values(rest, key), state, missing)

    def complete(self, asks: Sequence[Ask], max_new_tokens: int = 48) -> tuple[Completion, ...]:
        """The final completions."""
        *_, completions = self.ask(asks, max_new_tokens)
        return completions

    def look(self, work: Callable[[BaseModel], Found]) -> "Future[Found]":
        """Ask for ``work`` to be done by some replica."""
        return _first(self._values(lambda: Looking(work)))

    def status(self) -> ServiceStatus:
        """What this process has asked for; those that nothing has come to yet are waiting."""
        with self._changed:
            status = self._meter.status(self._waiting, self._open > 0)
        return replace(status, trouble=self._calls.trouble)

    def close(self) -> None:
        """End every call. Calling it again does nothing."""
        self._closed = True
        self._calls.close()

    def _train(
        self,
        learner: Learner,
        steps: Sequence[tuple[Material, ...]],
        rows: Sequence[int],
        owner: Hashable,
        group: Hashable,
    ) -> Generator[tuple[Learner, StepReport], None, None]:
        done = 0

        def rest() -> Training | None:
            return Training(learner, tuple(steps[done:]), owner, group) if steps[done:] else None

        began = self._clock()
        with closing(self._values(rest)) as values:
            for learner, report in values:
                with self._changed:
                    self._meter.trains(rows[done])
                    self._meter.steps(1)
                    self._meter.over(rows[done], self._clock() - began)
                done += 1
                yield learner, report
                began = self._clock()

    def _values(
        self, rest: Callable[[], object | None], key: str = ""
    ) -> Generator[Any, None, None]:
        """What comes of the work that ``rest`` gives, called for at once.

        If a replica is lost, what ``rest`` gives then is asked of another. None is no work.
        """
        values = self._tried(rest, key)
        next(values)
        return values

    def _tried(self, rest: Callable[[], object | None], key: str) -> Generator[Any, None, None]:
        work, fruitless, is_first = rest(), 0, True
        while work is not None:
            try:
                with closing(self._called(work, key)) as values:
                    next(values)
                    if is_first:  # that it has been called for is all that is known yet
                        is_first = False
                        yield None
                    for value in values:
                        fruitless = 0
                        yield value
                return
            except ReplicaGone as gone:
                fruitless += 1
                self._wait(fruitless, gone)
            work = rest()
        if is_first:
            yield None

    def _called(self, work: object, key: str) -> Generator[Any, None, None]:
        """None as soon as a replica is called, if there is any, then what comes of it."""
        if self._closed:
            raise ServiceClosed
        began, waits = self._clock(), True
        with self._changed:
            self._open += 1
            self._waiting += 1
        call, lost = None, None
        try:
            try:
                call = self._calls.call(packed(work), key, self._model)
            except ReplicaGone as gone:
                lost = gone
            yield None
            if call is None:
                raise lost or ReplicaGone
            for data in call:
                value = pickle.loads(data)
                if waits:
                    waits = False
                    with self._changed:
                        self._waiting -= 1
                        self._meter.waited([self._clock() - began])
                        if isinstance(work, Asking):
                            self._meter.answers(len(work.asks), len(work.asks))
                            self._meter.over(len(work.asks), self._clock() - began)
                if isinstance(value, Failure):
                    raise _raised(value)
                yield value
        finally:
            if call is not None:
                call.close()
            with self._changed:
                self._open -= 1
                self._waiting -= waits

    def _wait(self, fruitless: int, gone: ReplicaGone) -> None:
        """Wait until a call may help; raises if none will."""
        if fruitless >= TRIES:
            raise ReplicasUnavailable(_LOST) from gone
        self._pause(min(FIRST_PAUSE * 2**fruitless, LONGEST_PAUSE))
        until = self._clock() + OUTAGE_SECONDS
        while (trouble := self._calls.trouble) and not self._closed:
            if self._clock() > until:
                raise ReplicasUnavailable(trouble) from gone
            self._pause(LOOK_SECONDS)
        if self._closed:
            raise ServiceClosed from gone


def _grown(
    values: Generator[dict[int, Completion], None, None],
    state: list[Completion],
    numbers: Sequence[int],
) -> Generator[tuple[Completion, ...], None, None]:
    """All completions, whenever some of them have grown: ``numbers`` says which have come."""
    with closing(values):
        for grown in values:
            longer = {
                numbers[i]: row for i, row in grown.items() if row.tokens > state[numbers[i]].tokens
            }
            for i, row in longer.items():
                state[i] = row
            if longer:
                yield tuple(state)
    if not state:
        yield ()


def _first(values: Generator[Found, None, None]) -> "Future[Found]":
    """The first of these values, waited for on a thread of its own."""
    future: Future[Found] = Future()

    def run() -> None:
        with closing(values):
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(next(values))
            except Exception as error:  # not swallowed: it is raised again at the caller
                future.set_exception(error)

    threading.Thread(target=run, name="call", daemon=True).start()
    return future


def _raised(failure: Failure) -> Exception:
    """The error that a replica's failure is at its caller."""
    kinds = {BUSY: ServiceBusy, CLOSED: ReplicaGone, WRONG: ValueError}
    return kinds.get(failure.kind, RuntimeError)(failure.sentence)
