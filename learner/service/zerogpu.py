"""The model on a GPU that is lent for seconds: Hugging Face's ZeroGPU.

There, a decorated function runs in a process that is forked for it and has the GPU as long as it
runs; this process never has it. So everything goes through one such function, a generator: values
go in, values come out, a learner after every step, as bytes, since tensors would otherwise share
memory and a file handle each with the other process. A whole run is one call, because each call is
asked for and counted by the seconds that it says it will take: those follow from what the same work
has taken before. A call that is cut short is gone on with from the last value that came out.

That happens by killing the process, at any moment. A value comes out in pieces, therefore, that a
pipe takes whole or not at all (POSIX, ``write``: up to PIPE_BUF bytes). Of a longer message only
the beginning may have been written, and its reader would wait for the rest.

What another thread holds at the fork is held for ever in the new process, locks of libraries too:
it may be stuck before it begins. `end_stuck_processes` lets it end itself then, which is one more
call that is cut short.

Two visitors' calls are two processes: nothing is merged. Time counts against the visitor whose
request stands in the context of the thread that reads.
"""

import copy
import math
import os
import pickle
import select
import signal
import threading
import time
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch

from learner.learning.learner import Learner, LearnerConfig, new_learner
from learner.learning.training import Material, StepReport, step_rows, train_step
from learner.model.base_model import BaseModel, ModelFacts
from learner.model.completion import Ask, Completion, stream_completions
from learner.model.decoding_cache import Prefixes
from learner.service.protocol import MOST_STEP_ROWS, ServiceClosed, ServiceStatus, StepTooLarge

START_SECONDS = 3.0  # to fork and to move the weights, of a call that has to
LONGEST_CALL = 60.0  # seconds; longer work is cut into several, since quotas are short
MARGIN = 1.5  # that a call asks for more than it should take
MOST_ASKS = 256  # that are answered side by side
_TELL_SECONDS = 0.1  # between two states of the same answers
_STEP_ROW, _ANSWER = 0.05, 0.05  # seconds that a row of a step and an answer are taken to need
_BEGINNING = 30  # seconds; so long a forked process may take to begin with its work
_PIECE = select.PIPE_BUF - 512  # bytes; ``spaces`` wraps some hundred around them
_MORE, _LAST = b"+", b"."  # what a piece begins with
_FRUITLESS = 2  # calls in a row that were cut before anything came out

_LOOK_SECONDS = 5.0  # for what is said to be short
_TAKEN_BACK = (
    "ZeroGPU took the GPU back before anything was done; try again in a minute. What you have "
    "learnt is kept."
)

Found = TypeVar("Found")
Lend = Callable[..., Any]
"""``spaces.GPU``: called with a ``duration``, it gives a decorator."""


def end_stuck_processes() -> None:
    """Let each process that is forked from now on end if it does not begin with its work.

    To be called once, where nothing but ZeroGPU forks.
    """
    os.register_at_fork(after_in_child=lambda: signal.alarm(_BEGINNING))


class GpuUnavailable(ValueError):
    """ZeroGPU does not lend the GPU now; the message is what it says, and what still works."""


class _Cut(Exception):
    """A call ended before its work was done."""


@dataclass(frozen=True)
class _Training:
    learner: Learner
    steps: tuple[tuple[Material, ...], ...]


@dataclass(frozen=True)
class _Asking:
    asks: tuple[Ask, ...]
    max_new_tokens: int


@dataclass(frozen=True)
class _Looking:
    work: Callable[[BaseModel], Any]


@dataclass(frozen=True)
class _Refused:
    """What is wrong with the work itself."""

    sentence: str


class ZeroGpuService:
    """A `ModelService` whose model runs in forked processes. Make it before the page is launched.

    ``base_model`` is on the CPU yet and goes to ``device`` here, on the caller's thread, which has
    to be the main one; from then on only the forked processes compute with it. ``lend`` is
    ``spaces.GPU``, and ``faults`` the exceptions that it raises; of these, those with a ``title``
    carry a sentence for the visitor.
    """

    def __init__(
        self,
        base_model: BaseModel,
        lend: Lend,
        faults: tuple[type[Exception], ...],
        device: str = "cuda",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        embeddings: Any = _OnlyEmbeddings(base_model.model.get_input_embeddings())
        self._starts = replace(base_model, model=embeddings)
        torch.nn.Module.to(base_model.model, torch.device(device))
        self._model = replace(base_model, device=torch.device(device))
        self._process = os.getpid()
        self._prefixes = Prefixes()  # used in the forked processes, each its own
        self._lent = lend(duration=lambda work, seconds: seconds)(self._run)
        self._faults = faults
        self._clock = clock
        self._step_row, self._answer = _Pace(_STEP_ROW), _Pace(_ANSWER)
        self._changed = threading.Condition()  # guards everything below
        self._calls = 0
        self._closed = False
        self._latest = ServiceStatus(0, False, 0, 0.0, 0, 0, 0.0, 0.0, 0, 0, 0)

    def __enter__(self) -> "ZeroGpuService":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def base_model(self) -> ModelFacts:
        """What there is to know of the model."""
        return self._model

    def new_learner(self, config: LearnerConfig) -> Learner:
        """A learner that has learnt nothing yet; needs no GPU."""
        return new_learner(self._starts, config)

    def train(
        self, learner: Learner, problems: Sequence[Material], owner: Hashable = None
    ) -> "Future[tuple[Learner, StepReport]]":
        """Ask for one step, in a call of its own; whole runs are better asked for at once."""
        return _begun(self.train_run(learner, [problems], owner))

    def train_run(
        self, learner: Learner, steps: Sequence[Sequence[Material]], owner: Hashable = None
    ) -> Generator[tuple[Learner, StepReport], None, None]:
        """The learner after each of these steps, with its report, in as few calls as possible.

        Closing it ends the call at its next step. Raises StepTooLarge, ServiceClosed, and
        GpuUnavailable, with what came out so far being the caller's.
        """
        rows = [step_rows(learner, step) for step in steps]
        if max(rows, default=0) > MOST_STEP_ROWS:
            raise StepTooLarge(max(rows))
        self._check_open()
        return self._train(learner, [tuple(step) for step in steps], rows)

    def ask(
        self, asks: Sequence[Ask], max_new_tokens: int = 48
    ) -> Generator[tuple[Completion, ...], None, None]:
        """Ask for completions; the call is made when the first item is read."""
        self._check_open()
        return self._complete(tuple(asks), max_new_tokens)

    def complete(self, asks: Sequence[Ask], max_new_tokens: int = 48) -> tuple[Completion, ...]:
        """The final completions."""
        *_, completions = self.ask(asks, max_new_tokens)
        return completions

    def look(self, work: Callable[[BaseModel], Found]) -> "Future[Found]":
        """Ask for ``work`` to be done with the weights, in a call of its own."""
        self._check_open()
        return _begun(self._call(_Looking(work), START_SECONDS + _LOOK_SECONDS))

    def status(self) -> ServiceStatus:
        """What it is doing: ``waiting`` are never known, since ZeroGPU has the queue."""
        with self._changed:
            return replace(self._latest, busy=self._calls > 0)

    def close(self) -> None:
        """End every call at its next value; returns when none is left."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: self._calls == 0)

    # --- in this process ----------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise ServiceClosed

    def _train(
        self, learner: Learner, steps: Sequence[tuple[Material, ...]], rows: Sequence[int]
    ) -> Generator[tuple[Learner, StepReport], None, None]:
        done = fruitless = 0
        while done < len(steps):
            fitting, seconds = self._step_row.fitting(rows[done:])
            work = _Training(learner, tuple(steps[done : done + fitting]))
            began, before = self._clock(), done
            try:
                with closing(self._call(work, seconds)) as values:
                    for learner, report in values:
                        now = self._clock()
                        if done > before:  # the first one waited for the process too
                            self._step_row.learn(now - began, rows[done])
                        self._note(now - began, rows[done], steps=1)
                        done += 1
                        yield learner, report
                        began = self._clock()
            except _Cut as cut:
                self._step_row.slow_down()
                fruitless = _again(fruitless, done > before, cut)

    def _complete(
        self, asks: tuple[Ask, ...], max_new_tokens: int
    ) -> Generator[tuple[Completion, ...], None, None]:
        nothing = Completion(text="", tokens=0, finished=False, seconds=0.0)
        state = [nothing] * len(asks)
        missing, fruitless = [*range(len(asks))], 0
        while missing:
            fitting, seconds = self._answer.fitting([1] * min(len(missing), MOST_ASKS))
            these = missing[:fitting]
            work = _Asking(tuple(asks[i] for i in these), max_new_tokens)
            began, told = self._clock(), False
            try:
                with closing(self._call(work, seconds)) as values:
                    for completions in values:
                        told = True
                        for i, completion in zip(these, completions, strict=True):
                            state[i] = completion
                        yield tuple(state)
                took = self._clock() - began
                self._answer.learn(took, fitting)
                self._note(took, fitting, completions=fitting)
                missing = missing[fitting:]
            except _Cut as cut:
                self._answer.slow_down()
                missing = [i for i in missing if not state[i].finished]
                fruitless = _again(fruitless, told, cut)
        if not asks:
            yield ()

    def _call(self, work: object, seconds: float) -> Generator[Any, None, None]:
        """What comes out of one call. Raises _Cut if it ends early, and why it is refused."""
        with self._changed:
            self._check_open()
            self._calls += 1
        values = self._lent(pickle.dumps(work), math.ceil(seconds))
        try:
            for value in _joined(values):
                if isinstance(value, _Refused):
                    raise ValueError(value.sentence)
                yield value
                self._check_open()
        except self._faults as fault:
            raise _explained(fault) from fault
        finally:
            values.close()
            with self._changed:
                self._calls -= 1
                self._changed.notify_all()

    def _note(self, seconds: float, rows: int, steps: int = 0, completions: int = 0) -> None:
        with self._changed:
            latest = self._latest
            self._latest = replace(
                latest,
                rows=rows,
                seconds=seconds,
                training_rows=rows if steps else latest.training_rows,
                answering_rows=rows if completions else latest.answering_rows,
                passes=latest.passes + 1,
                steps=latest.steps + steps,
                completions=latest.completions + completions,
            )

    # --- in the process that has the GPU ------------------------------------------------------

    def _run(self, data: bytes, seconds: int) -> Iterator[bytes]:
        """Do the work and yield what comes out of it, each value in pieces."""
        if os.getpid() != self._process:
            signal.alarm(0)  # it has begun
        work = pickle.loads(data)
        try:
            for value in self._values(work):
                yield from _pieces(value)
        except (ValueError, MemoryError, torch.OutOfMemoryError) as error:
            yield from _pieces(_Refused(str(error) or "There is not enough memory for that."))

    def _values(self, work: object) -> Iterator[object]:
        match work:
            case _Training():
                yield from self._steps(work)
            case _Asking():
                yield from self._answers(work)
            case _Looking():
                yield work.work(self._model)

    def _steps(self, work: _Training) -> Iterator[tuple[Learner, StepReport]]:
        learner = work.learner
        for step in work.steps:
            learner, report = train_step(self._model, learner, step)
            yield learner, report

    def _answers(self, work: _Asking) -> Iterator[tuple[Completion, ...]]:
        """The answers as they grow, not more often than anybody reads, and in the end."""
        told = completions = None
        last = -math.inf
        for completions in stream_completions(
            self._model, work.asks, work.max_new_tokens, self._prefixes
        ):
            if time.monotonic() - last >= _TELL_SECONDS:
                told, last = completions, time.monotonic()
                yield completions
        if completions is not None and completions is not told:
            yield completions


def _pieces(value: object) -> Iterator[bytes]:
    """A value as `_joined` reads it."""
    data = pickle.dumps(value)
    for start in range(0, len(data), _PIECE):
        end = start + _PIECE
        yield (_MORE if end < len(data) else _LAST) + data[start:end]


def _joined(pieces: Iterable[bytes]) -> Iterator[Any]:
    """The values that came in these pieces; one that is not complete is left out."""
    parts: list[bytes] = []
    for piece in pieces:
        parts.append(piece[1:])
        if piece.startswith(_LAST):
            yield pickle.loads(b"".join(parts))
            parts.clear()


class _OnlyEmbeddings(torch.nn.Module):
    """What a new soft prompt starts from, when the rest of the model is elsewhere."""

    def __init__(self, embeddings: torch.nn.Module) -> None:
        super().__init__()
        self._embeddings = copy.deepcopy(embeddings).cpu()

    def get_input_embeddings(self) -> torch.nn.Module:
        return self._embeddings


class _Pace:
    """Seconds that a unit of work takes: at first a guess, then what the latest ones took."""

    def __init__(self, guess: float) -> None:
        self._seconds = guess

    def learn(self, seconds: float, units: int) -> None:
        """Note that so many units took so long."""
        self._seconds = 0.7 * self._seconds + 0.3 * seconds / units

    def slow_down(self) -> None:
        """Note that a call was too short."""
        self._seconds *= 2

    def fitting(self, units: Sequence[int]) -> tuple[int, float]:
        """How many of these pieces of work fit into one call, at least one, and its seconds."""
        fitting, total = 0, START_SECONDS
        for piece in units:
            more = MARGIN * self._seconds * piece
            if fitting and total + more > LONGEST_CALL:
                break
            fitting, total = fitting + 1, total + more
        return fitting, min(total, LONGEST_CALL)


def _begun(values: Generator[Found, None, None]) -> "Future[Found]":
    """The first of these values, from a thread in the context of the caller."""
    future: Future[Found] = Future()

    def run() -> None:
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(next(values))
            except (ValueError, RuntimeError) as error:
                future.set_exception(error)
            except _Cut:
                future.set_exception(GpuUnavailable(_TAKEN_BACK))
            finally:
                values.close()

    threading.Thread(target=copy_context().run, args=(run,), name="call", daemon=True).start()
    return future


def _again(fruitless: int, something: bool, cut: _Cut) -> int:
    """How many calls in a row have given nothing; raises GpuUnavailable if that is enough."""
    fruitless = 0 if something else fruitless + 1
    if fruitless == _FRUITLESS:
        raise GpuUnavailable(_TAKEN_BACK) from cut
    return fruitless


def _explained(fault: Exception) -> Exception:
    """What a fault of ZeroGPU means to us."""
    title = getattr(fault, "title", "")
    said = " ".join(str(getattr(fault, "message", fault)).split()).rstrip(".")
    if title == "ZeroGPU worker error":
        return _Cut() if "aborted" in said else RuntimeError(f"The GPU's process failed ({said}).")
    if not title:
        return GpuUnavailable("ZeroGPU is out of reach; try again in a minute.")
    return GpuUnavailable(
        f"ZeroGPU does not lend the GPU now: {said}. What you have learnt is kept; looking, "
        "saving, loading and sharing work without it."
    )
