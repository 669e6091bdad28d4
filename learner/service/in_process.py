"""The one worker that owns the device, and gives everybody their turn on it.

Callers on any thread ask for training steps and completions. One worker thread serves five kinds of
work: looks at the model, short questions (a click), those of a crowd (more clicks of one group than
one person has), training, and long questions (an exam). Each has a share of the time
(`scheduling.Shares`), in turns that are short because they were measured: a chunk of prompts, a
token of all rows of a running batch, a training pass. So a click hardly waits, training goes on,
and exams fill what is left. What goes wrong with a request is raised at its caller and at nobody
else.
"""

import atexit
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Hashable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from learner.learning.learner import Learner, LearnerConfig, new_learner
from learner.learning.training import Material, StepReport, step_rows, train_in_turns
from learner.model.base_model import BaseModel
from learner.model.completion import Ask, Completion, RunningBatch, Writing
from learner.model.decoding_cache import Prefixes
from learner.model.memory import trim
from learner.model.pace import Paces
from learner.model.threads import compute_with
from learner.model.turns import Turns
from learner.service.answering import Answers, Batch
from learner.service.device import Device
from learner.service.protocol import (
    GROUP,
    MOST_STEP_ROWS,
    Found,
    ServiceBusy,
    ServiceClosed,
    ServiceStatus,
    StepTooLarge,
)
from learner.service.requests import AskingRequest, RequestStream, TrainingRequest
from learner.service.scheduling import Shares
from learner.service.status import Meter
from learner.service.training_queue import TrainingQueue, many_steps, owner_of

TrainInTurns = Callable[
    [BaseModel, Sequence[tuple[Learner, Sequence[Material]]], Paces],
    Turns[list[tuple[Learner, StepReport]]],
]
CountRows = Callable[[Learner, Sequence[Material]], int]

MERGE_SECONDS = 0.01  # that those of the last training pass have to come back for the next
CLICK_ROWS = 16  # of a request that somebody waits for at the page; what asks more is an exam
ONES_CLICKS = 2  # times as many rows one person may have at once, with the first of an exam
IDLE_SECONDS = 5.0  # until what was freed is given back: for a moment it would cost more
LONG_STEP = 1.0  # seconds; one that has had more takes turns with others
STEPS_AT_ONCE = 4
KINDS = LOOK, SHORT, CROWD, TRAINING, LONG = range(5)
WEIGHTS = 32.0, 32.0, 16.0, 8.0, 0.8  # of their shares of the time, if all have something to do
ARREARS = 4.0, 4.0, 2.0, 0.5, 0.0  # seconds that they go first for, having had nothing to do


class TrainingPass:
    """Requests that are trained together, and how far they have come."""

    def __init__(
        self, requests: Sequence[TrainingRequest], turns: Turns[list[tuple[Learner, StepReport]]]
    ) -> None:
        self.requests = requests
        self.rows = sum(request.rows for request in requests)
        self.seconds = 0.0  # that it has run
        self._turns = turns

    def advance(self) -> list[tuple[Learner, StepReport]] | None:
        """Run it for one turn; its results, if that was the last. Raises what training raises."""
        try:
            next(self._turns)
        except StopIteration as done:
            results: list[tuple[Learner, StepReport]] = done.value
            return results
        return None


class Service:
    """One worker thread in front of one base model. Use it as a context manager, or `close` it.

    ``training_rows`` bound the rows that are trained together (a larger request still runs, alone),
    ``answering_rows`` those that are decoded together, and ``max_waiting`` the requests that wait.
    ``merge_seconds`` is how long a training pass waits for those who were in the last one, and only
    for them: a lone request waits for nobody. ``train``, ``batch`` and ``write`` are what touches
    the model; ``rows`` says how many rows a step takes up. Services of several models that run on
    one ``device`` share it; one that is alone needs none. On a CPU it computes with so many
    ``threads``; None leaves them as they are. Callbacks added to a future run on the worker: they
    must not wait for the service.
    """

    def __init__(
        self,
        base_model: BaseModel,
        *,
        training_rows: int = 256,
        answering_rows: int = 256,
        max_waiting: int = 256,
        merge_seconds: float = MERGE_SECONDS,
        train: TrainInTurns = train_in_turns,
        rows: CountRows = step_rows,
        batch: Callable[[BaseModel, Prefixes, Paces], Batch] = RunningBatch,
        write: Callable[[BaseModel, Ask, int], Writing] = Writing,
        device: Device | None = None,
        threads: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if answering_rows < 4:
            raise ValueError("answering_rows must be at least 4, the rows of one four-way answer.")
        self.base_model = base_model
        self._short_rows = min(answering_rows // 4, CLICK_ROWS)
        self._max_waiting = max_waiting
        self._merge_seconds = merge_seconds
        self._train_in_turns = train
        self._rows = rows
        self._device = device
        self._threads = threads
        self._clock = clock
        self._changed = threading.Condition()  # guards everything below
        self._trainings = TrainingQueue(training_rows)
        self._steps: deque[TrainingPass] = deque()  # those that have begun; the worker's alone
        self._paces = Paces()
        prefixes = Prefixes()
        self._answers = {
            kind: Answers(
                batch(base_model, prefixes, self._paces), partial(write, base_model), answering_rows
            )
            for kind in (SHORT, CROWD, LONG)
        }
        self._looks: deque[tuple[Callable[[BaseModel], Any], Future[Any]]] = deque()
        self._shares = Shares(WEIGHTS, ARREARS)
        self._meter = Meter()
        self._busy = False
        self._closing = False
        self._worker = threading.Thread(target=self._work, name="learner-service", daemon=True)
        self._worker.start()
        # A daemon thread inside torch must not meet a dying interpreter.
        atexit.register(self.close)

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def new_learner(self, config: LearnerConfig) -> Learner:
        """A learner that has learnt nothing yet."""
        return new_learner(self.base_model, config)

    def train(
        self, learner: Learner, problems: Sequence[Material], owner: Hashable = None
    ) -> "Future[tuple[Learner, StepReport]]":
        """Ask for one optimiser step of ``learner`` over ``problems``.

        Requests of one ``owner`` (by default, of one learner value) are served in order and never
        two in a pass. A future that is cancelled while it waits is skipped. Raises ServiceBusy,
        ServiceClosed and StepTooLarge; what is wrong with this request arrives in the
        future.
        """
        rows = self._rows(learner, problems)
        if rows > MOST_STEP_ROWS:
            raise StepTooLarge(rows)
        group = GROUP.get()
        request = TrainingRequest(learner, tuple(problems), rows, self._clock(), owner, group)
        with self._changed:
            self._admit()
            self._trainings.add(request)
            self._changed.notify_all()
        return request.future

    def train_run(
        self, learner: Learner, steps: Sequence[Sequence[Material]], owner: Hashable = None
    ) -> Generator[tuple[Learner, StepReport], None, None]:
        """The learner after each of these steps, each a request of its own. As `train`."""
        for problems in steps:
            learner, report = self.train(learner, problems, owner).result()
            yield learner, report

    def ask(self, asks: Sequence[Ask], max_new_tokens: int = 48) -> RequestStream:
        """Ask for completions: an iterator of ever longer texts, one per ask; the last is final.

        The request is queued at once, before the first item is read. Raises ServiceBusy and
        ServiceClosed; what is wrong with this request, and ServiceClosed when
        it is cut off by a shutdown, is raised while iterating.
        """
        request = AskingRequest(asks, max_new_tokens, self._clock(), GROUP.get())
        with self._changed:
            self._admit()
            if request.asks:
                self._answers[self._kind(request)].add(request)
                self._changed.notify_all()
        return RequestStream(request)

    def complete(self, asks: Sequence[Ask], max_new_tokens: int = 48) -> tuple[Completion, ...]:
        """The final completions, one per ask. Raises as `ask` and its iterator do."""
        completions: tuple[Completion, ...] = ()
        for completions in self.ask(asks, max_new_tokens):  # noqa: B007 - the last one counts
            pass
        return completions

    def look(self, work: Callable[[BaseModel], Found]) -> "Future[Found]":
        """Ask for ``work`` to be run between turns: short, and changing nothing.

        A future that is cancelled while it waits is skipped. Raises ServiceBusy and ServiceClosed;
        what ``work`` raises arrives in the future.
        """
        future: Future[Found] = Future()
        with self._changed:
            self._admit()
            self._looks.append((work, future))
            self._changed.notify_all()
        return future

    def status(self) -> ServiceStatus:
        """A snapshot of the queue, the latest passes and the totals."""
        with self._changed:
            return self._meter.status(self._waiting, self._busy)

    def close(self) -> None:
        """Shut down: what waits, and answers half-way, end in ServiceClosed; a step is finished.

        Returns when the worker has stopped. Calling it again does nothing.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if threading.current_thread() is not self._worker:
            self._worker.join()
        atexit.unregister(self.close)

    @property
    def _waiting(self) -> int:
        """How many requests have not begun, or not with all of their rows."""
        return len(self._trainings) + sum(map(len, self._answers.values())) + len(self._looks)

    def _kind(self, request: AskingRequest) -> int:
        """Which of the answers it is among. A group's clicks stay together while it is a crowd."""
        if len(request.asks) > self._short_rows:
            return LONG
        if request.group is None:
            return SHORT
        few, more = (self._answers[kind].rows_of(request.group) for kind in (SHORT, CROWD))
        most = ONES_CLICKS * self._short_rows
        return CROWD if more or few + len(request.asks) > most else SHORT

    def _admit(self) -> None:
        """Raise unless one more request may wait."""
        if self._closing:
            raise ServiceClosed
        if self._waiting >= self._max_waiting:
            raise ServiceBusy(
                f"{self._waiting} requests are waiting already; try again in a moment."
            )

    # What follows runs on the worker thread.

    def _work(self) -> None:
        try:
            while self._has_more():
                if self._device is None:
                    self._take_turn()
                else:
                    self._device.run(self, self._take_turn)
        finally:
            self._turn_away_everyone()

    def _take_turn(self) -> None:
        """Whoever's turn it is, now that the device is here; others may have come while it was not.

        What there was to do may be gone too: then nothing is done.
        """
        if self._threads is not None:
            compute_with(self._threads)
        with self._changed:
            ready = [self._has_work(kind) for kind in KINDS]
            if not any(ready):
                return
            kind = self._shares.next(ready)
        began = self._clock()
        rows = self._turn(kind)
        seconds = self._clock() - began
        with self._changed:
            self._shares.took(kind, seconds)
            if rows:
                self._meter.over(rows, seconds)

    def _turn(self, kind: int) -> int:
        """Do what there is of this kind, for one turn; returns how many rows that was about."""
        if kind == LOOK:
            self._look()
            return 0
        return self._train() if kind == TRAINING else self._answer(kind)

    def _has_more(self) -> bool:
        """Wait until there is something to do; False to end."""
        if not self._comes(IDLE_SECONDS):
            trim()
        self._comes()
        with self._changed:
            if self._trainings.expects_somebody and not self._steps:
                self._await_others()
            if self._closing and not self._steps:
                return False
            self._busy = True
            return True

    def _comes(self, seconds: float | None = None) -> bool:
        """Wait until there is something to do, or to end, for so long; whether there is."""
        with self._changed:
            self._busy = self._busy and any(map(self._has_work, KINDS))
            return self._changed.wait_for(
                lambda: self._closing or any(map(self._has_work, KINDS)), seconds
            )

    def _has_work(self, kind: int) -> bool:
        if kind == TRAINING:
            return bool(self._steps or (self._trainings and not self._closing))
        return not self._closing and bool(self._looks if kind == LOOK else self._answers[kind])

    def _await_others(self) -> None:
        """Give those who were in the last training pass a moment to come back for the next one."""
        self._changed.wait_for(
            lambda: (
                self._closing
                or not self._trainings.expects_somebody
                or any(map(self._has_work, (LOOK, SHORT, CROWD)))
            ),
            self._merge_seconds,
        )
        self._trainings.expect_nobody()

    def _train(self) -> int:
        """Go on with a training pass, or with a new one; returns its rows."""
        with self._changed:
            is_long = bool(self._steps) and self._steps[0].seconds > LONG_STEP
            if not self._closing and (
                not self._steps or (is_long and len(self._steps) < STEPS_AT_ONCE)
            ):
                self._begin_steps()
        if not self._steps:
            return 0
        step, began = self._steps.popleft(), self._clock()
        try:
            results = step.advance()
            served = list(zip(step.requests, results or (), strict=results is not None))
        except Exception as error:  # not swallowed: it is raised again at the caller
            if len(step.requests) == 1:
                step.requests[0].future.set_exception(error)
            else:  # whose fault is it?
                self._steps.extendleft([self._pass_of([one]) for one in reversed(step.requests)])
            return step.rows
        step.seconds += self._clock() - began
        if results is None:
            place = self._steps.append if step.seconds > LONG_STEP else self._steps.appendleft
            place(step)
            return step.rows
        if not many_steps(step.requests[0]):
            with self._changed:
                self._trainings.pace.measured(step.rows, step.seconds)
        for request, result in served:
            request.future.set_result(result)
        return step.rows

    def _begin_steps(self) -> None:
        """Have the next requests that wait begin, before those that are on."""
        busy = {owner_of(request) for step in self._steps for request in step.requests}
        now = self._clock()
        for requests in reversed(self._trainings.take(busy)):
            self._meter.waited(now - request.since for request in requests)
            self._meter.steps(len(requests))
            self._steps.appendleft(self._pass_of(requests))

    def _pass_of(self, requests: Sequence[TrainingRequest]) -> TrainingPass:
        material = [(request.learner, request.problems) for request in requests]
        turns = self._train_in_turns(self.base_model, material, self._paces)
        begun = TrainingPass(requests, turns)
        self._meter.trains(begun.rows)
        return begun

    def _answer(self, kind: int) -> int:
        """Read a chunk of prompts, or write a token in all rows; returns how many it was about."""
        turn = self._answers[kind].advance()
        now = self._clock()
        with self._changed:
            self._meter.waited(now - request.since for request in turn.began)
            self._meter.answers(turn.rows, turn.dealt)
        return turn.rows

    def _look(self) -> None:
        """Run the look that has waited longest."""
        with self._changed:
            work, future = self._looks.popleft()
        if not future.set_running_or_notify_cancel():
            return
        try:
            found = work(self.base_model)
        except Exception as error:  # not swallowed: it is raised again at the caller
            future.set_exception(error)
            return
        future.set_result(found)

    def _turn_away_everyone(self) -> None:
        """Tell all who wait, also for the rest of an answer, that nobody will come."""
        with self._changed:
            self._closing = True  # also when the worker died of something that is no Exception
            self._busy = False
            trainings = self._trainings.take_all()
            trainings += [request for step in self._steps for request in step.requests]
            looks = [future for _, future in self._looks if future.set_running_or_notify_cancel()]
            self._looks.clear()
        for answers in self._answers.values():
            answers.clear(ServiceClosed())
        for training in trainings:
            training.future.set_exception(ServiceClosed())
        for look in looks:
            look.set_exception(ServiceClosed())
