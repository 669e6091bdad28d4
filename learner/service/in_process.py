"""The one worker that owns the device, and merges the requests that wait at the same moment.

Callers on any thread ask for training steps and completions. One worker thread serves four queues,
turn about: short questions (a click), training, long ones (an evaluation), and looks at the model.
A turn is one training pass, one look, or as many tokens of an answering pass as fit into
`TURN_SECONDS`; so nobody waits for anybody's evaluation, and how large a merged pass may be follows
from what passes have taken (`scheduling.PassSizer`). What goes wrong with a request is raised at
its caller and at nobody else.
"""

import atexit
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from learner.learning.learner import Learner, LearnerConfig, new_learner
from learner.learning.training import Material, StepReport, step_rows, train_steps
from learner.model.base_model import BaseModel
from learner.model.completion import Ask, Completion, stream_completions
from learner.model.decoding_cache import Prefixes
from learner.service.answering import AnsweringQueue
from learner.service.protocol import (
    MOST_STEP_ROWS,
    Found,
    ServiceBusy,
    ServiceClosed,
    ServiceStatus,
    StepTooLarge,
)
from learner.service.requests import AskingRequest, RequestStream, TrainingRequest
from learner.service.scheduling import PassSizer
from learner.service.status import Meter
from learner.service.training_queue import TrainingQueue

TrainSteps = Callable[
    [BaseModel, Sequence[tuple[Learner, Sequence[Material]]]], list[tuple[Learner, StepReport]]
]
CountRows = Callable[[Learner, Sequence[Material]], int]
StreamCompletions = Callable[[BaseModel, Sequence[Ask], int], Iterator[tuple[Completion, ...]]]

TURN_SECONDS = 0.25
LONGEST_PASS = 1.0  # seconds; no pass is merged that keeps a click waiting for longer
MERGE_SECONDS = 0.01  # that those of the last training pass have to come back for the next
SHORT, TRAINING, LONG, LOOK = range(4)


class Service:
    """One worker thread in front of one base model. Use it as a context manager, or `close` it.

    ``training_rows`` and ``answering_rows`` bound the rows of a pass, whatever it costs (a larger
    training request still runs, alone; a larger batch of questions is spread over passes), and
    ``max_waiting`` the requests that wait. ``merge_seconds`` is how long a training pass waits for
    those who were in the last one, and only for them: a lone request waits for nobody. ``train``
    and ``stream`` are the two functions that touch the model; ``rows`` says how many rows a step
    takes up. Callbacks added to a future run on the worker: they must not wait for the service.
    """

    def __init__(
        self,
        base_model: BaseModel,
        *,
        training_rows: int = 256,
        answering_rows: int = 256,
        max_waiting: int = 256,
        merge_seconds: float = MERGE_SECONDS,
        train: TrainSteps = train_steps,
        rows: CountRows = step_rows,
        stream: StreamCompletions | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if answering_rows < 4:
            raise ValueError("answering_rows must be at least 4, the rows of one four-way answer.")
        self.base_model = base_model
        self._short_rows = answering_rows // 4
        self._max_waiting = max_waiting
        self._merge_seconds = merge_seconds
        self._train_steps = train
        self._rows = rows
        self._clock = clock
        self._changed = threading.Condition()  # guards everything below
        self._trainings = TrainingQueue(PassSizer(training_rows, LONGEST_PASS))
        decode = partial(stream or partial(stream_completions, prefixes=Prefixes()), base_model)
        self._askings = {kind: AnsweringQueue(decode, clock) for kind in (SHORT, LONG)}
        self._looks: deque[tuple[Callable[[BaseModel], Any], Future[Any]]] = deque()
        self._turns = deque([SHORT, TRAINING, LONG, LOOK])
        self._answering_sizer = PassSizer(answering_rows, LONGEST_PASS)
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
        ServiceClosed and StepTooLarge; what `train_steps` raises for this request arrives in the
        future.
        """
        rows = self._rows(learner, problems)
        if rows > MOST_STEP_ROWS:
            raise StepTooLarge(rows)
        request = TrainingRequest(learner, tuple(problems), rows, self._clock(), owner)
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
        ServiceClosed; what `stream_completions` raises for this request, and ServiceClosed when
        it is cut off by a shutdown, is raised while iterating.
        """
        request = AskingRequest(asks, max_new_tokens, self._clock())
        with self._changed:
            self._admit()
            if request.asks:
                kind = SHORT if len(request.asks) <= self._short_rows else LONG
                self._askings[kind].add(request)
                self._changed.notify_all()
        return RequestStream(request)

    def complete(self, asks: Sequence[Ask], max_new_tokens: int = 48) -> tuple[Completion, ...]:
        """The final completions, one per ask. Raises as `ask` and its iterator do."""
        completions: tuple[Completion, ...] = ()
        for completions in self.ask(asks, max_new_tokens):  # noqa: B007 - the last one counts
            pass
        return completions

    def look(self, work: Callable[[BaseModel], Found]) -> "Future[Found]":
        """Ask for ``work`` to be run between passes: short, and changing nothing.

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
        """How many requests are in no pass yet, or not with all of their rows."""
        return len(self._trainings) + sum(map(len, self._askings.values())) + len(self._looks)

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
            while (kind := self._next_turn()) is not None:
                if kind == TRAINING:
                    self._train(self._take_trainings())
                elif kind == LOOK:
                    self._look()
                else:
                    self._answer(kind)
        finally:
            self._turn_away_everyone()

    def _next_turn(self) -> int | None:
        """Wait until there is something to do, and say whose turn it is; None to end."""
        with self._changed:
            self._busy = False
            self._changed.wait_for(lambda: self._closing or any(map(self._has_work, self._turns)))
            if self._has_work(TRAINING) and not self._has_other_work():
                self._await_others()
            if self._closing:
                return None
            self._busy = True
            self._trainings.expect_nobody()
            kind = next(kind for kind in self._turns if self._has_work(kind))
            self._turns.remove(kind)
            self._turns.append(kind)
            return kind

    def _has_work(self, kind: int) -> bool:
        if kind == LOOK:
            return bool(self._looks)
        return bool(self._trainings if kind == TRAINING else self._askings[kind])

    def _has_other_work(self) -> bool:
        """Whether anything but training waits."""
        return any(self._has_work(kind) for kind in (SHORT, LONG, LOOK))

    def _await_others(self) -> None:
        """Give those who were in the last training pass a moment to come back for the next one."""
        self._changed.wait_for(
            lambda: self._closing or self._trainings.gathered or self._has_other_work(),
            self._merge_seconds,
        )

    def _take_trainings(self) -> list[TrainingRequest]:
        """The next training pass."""
        with self._changed:
            requests = self._trainings.take()
            now = self._clock()
            self._meter.waited(now - request.since for request in requests)
            self._meter.steps(len(requests))
            return requests

    def _train(self, requests: list[TrainingRequest]) -> None:
        """Run one training pass. If it raises, run its requests one by one: whose fault is it?"""
        if not requests:
            return
        rows = sum(request.rows for request in requests)
        with self._changed:
            self._meter.trains(rows)
        began = self._clock()
        try:
            results = self._train_steps(
                self.base_model, [(request.learner, request.problems) for request in requests]
            )
            served = list(zip(requests, results, strict=True))
        except Exception as error:  # not swallowed: it is raised again at the caller
            if len(requests) == 1:
                requests[0].future.set_exception(error)
                return
            for request in requests:
                self._train([request])
            return
        self._note(self._trainings.sizer, rows, self._clock() - began)
        for request, result in served:
            request.future.set_result(result)

    def _answer(self, kind: int) -> None:
        """Go on with the answering pass of this kind, or with a new one, for one turn."""
        queue = self._askings[kind]
        with self._changed:
            if queue.current is None:
                new = queue.start(max(4, self._answering_sizer.rows))
                now = self._clock()
                self._meter.waited(now - request.since for request in new)
                if queue.current is not None:
                    self._meter.answers(queue.current.rows)
        current = queue.current
        if current is None:
            return
        over = self._clock() + TURN_SECONDS
        try:
            while more := current.advance():
                interrupted = kind == LONG and self._askings[SHORT]
                if interrupted or self._closing or self._clock() >= over:
                    break
        except Exception as error:  # not swallowed: it is raised again at the caller
            with self._changed:
                self._meter.repeats(queue.failed(error))
            return
        if not more:
            self._note(self._answering_sizer, current.rows, current.seconds, current.stretch)
            with self._changed:
                queue.over()

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

    def _note(
        self, sizer: PassSizer, rows: int, seconds: float, stretch: float | None = None
    ) -> None:
        """Remember what a pass took."""
        with self._changed:
            self._meter.over(rows, seconds)
            if rows:
                sizer.measured(rows, seconds, stretch)

    def _turn_away_everyone(self) -> None:
        """Tell all who wait, also for the rest of an answer, that nobody will come."""
        with self._changed:
            self._closing = True  # also when the worker died of something that is no Exception
            self._busy = False
            trainings = self._trainings.take_all()
            looks = [future for _, future in self._looks if future.set_running_or_notify_cancel()]
            self._looks.clear()
            for queue in self._askings.values():
                queue.clear(ServiceClosed())
        for training in trainings:
            training.future.set_exception(ServiceClosed())
        for look in looks:
            look.set_exception(ServiceClosed())
