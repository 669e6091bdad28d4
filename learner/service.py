"""The one worker that owns the device, and merges the requests that wait at the same moment.

Callers on any thread ask for training steps and completions. One worker thread takes what waits,
turn about between training and answering, and runs it as one batched pass. What goes wrong with a
request is raised at its caller and at nobody else.
"""

import atexit
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from arena import Problem
from learner.base_model import BaseModel
from learner.completion import Ask, Completion, stream_completions
from learner.scheduling import FairQueue, deal_rows
from learner.service_requests import AskingRequest, CompletionStream, Part, TrainingRequest
from learner.soft_prompt import Learner
from learner.training import StepReport, train_steps

TrainSteps = Callable[
    [BaseModel, Sequence[tuple[Learner, Sequence[Problem]]]], list[tuple[Learner, StepReport]]
]
StreamCompletions = Callable[[BaseModel, Sequence[Ask], int], Iterator[tuple[Completion, ...]]]

_WAITS_KEPT = 256  # the median wait is over this many of the latest requests


class ServiceBusy(ValueError):
    """Too many requests wait already."""


class ServiceClosed(ValueError):
    """The service was shut down before the request was done."""

    def __init__(self) -> None:
        super().__init__("The learner service was shut down; start it again and repeat this.")


@dataclass(frozen=True)
class ServiceStatus:
    """What the service is doing: queue depth, the size of the latest passes, waits, totals."""

    waiting: int  # requests that are in no pass yet, or not with all of their rows
    training_rows: int  # problems in the latest training pass
    answering_rows: int  # questions in the latest answering pass
    median_wait: float  # seconds from request to pass, over the latest requests; 0.0 before any
    passes: int  # passes so far, the one-by-one repetitions of a failed one included
    steps: int  # training requests that went into a pass so far
    completions: int  # questions that went into a pass so far


class Service:
    """One worker thread in front of one base model. Use it as a context manager, or `close` it.

    ``training_rows`` and ``answering_rows`` bound the rows of a pass (a larger training request
    still runs, alone; a larger batch of questions is spread over passes), ``max_waiting`` the
    requests that wait. ``train`` and ``stream`` are the two functions that touch the model.
    Callbacks added to a future run on the worker: they must not wait for the service.
    """

    def __init__(
        self,
        base_model: BaseModel,
        *,
        training_rows: int = 64,
        answering_rows: int = 64,
        max_waiting: int = 256,
        train: TrainSteps = train_steps,
        stream: StreamCompletions = stream_completions,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if answering_rows < 4:
            raise ValueError("answering_rows must be at least 4, the rows of one four-way answer.")
        self.base_model = base_model
        self._training_rows = training_rows
        self._answering_rows = answering_rows
        self._max_waiting = max_waiting
        self._train_steps = train
        self._stream_completions = stream
        self._clock = clock
        self._changed = threading.Condition()  # guards everything below
        self._trainings: FairQueue[TrainingRequest] = FairQueue(lambda item: len(item.problems))
        self._askings: list[AskingRequest] = []  # in order of arrival
        self._closing = False
        self._trained_last = False
        self._waits: deque[float] = deque(maxlen=_WAITS_KEPT)
        self._last_training_rows = 0
        self._last_answering_rows = 0
        self._passes = 0
        self._steps = 0
        self._completions = 0
        self._worker = threading.Thread(target=self._work, name="learner-service", daemon=True)
        self._worker.start()
        # A daemon thread inside torch must not meet a dying interpreter.
        atexit.register(self.close)

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def train(
        self, learner: Learner, problems: Sequence[Problem], owner: Hashable = None
    ) -> "Future[tuple[Learner, StepReport]]":
        """Ask for one optimiser step of ``learner`` over ``problems``.

        Requests of one ``owner`` (by default, of one learner value) are served in order and never
        two in a pass. A future that is cancelled while it waits is skipped. Raises ServiceBusy and
        ServiceClosed; what `train_steps` raises for this request arrives in the future.
        """
        request = TrainingRequest(learner, tuple(problems), self._clock())
        with self._changed:
            self._admit()
            self._trainings.add(id(learner) if owner is None else owner, request)
            self._changed.notify_all()
        return request.future

    def ask(self, asks: Sequence[Ask], max_new_tokens: int = 48) -> CompletionStream:
        """Ask for completions: an iterator of ever longer texts, one per ask; the last is final.

        The request is queued at once, before the first item is read. Raises ServiceBusy and
        ServiceClosed; what `stream_completions` raises for this request, and ServiceClosed when
        it is cut off by a shutdown, is raised while iterating.
        """
        request = AskingRequest(asks, max_new_tokens, self._clock())
        with self._changed:
            self._admit()
            if request.asks:
                self._askings.append(request)
                self._changed.notify_all()
        return CompletionStream(request)

    def complete(self, asks: Sequence[Ask], max_new_tokens: int = 48) -> tuple[Completion, ...]:
        """The final completions, one per ask. Raises as `ask` and its iterator do."""
        completions: tuple[Completion, ...] = ()
        for completions in self.ask(asks, max_new_tokens):  # noqa: B007 - the last one counts
            pass
        return completions

    def status(self) -> ServiceStatus:
        """A snapshot of the queue, the latest passes and the totals."""
        with self._changed:
            return ServiceStatus(
                waiting=len(self._trainings) + len(self._askings),
                training_rows=self._last_training_rows,
                answering_rows=self._last_answering_rows,
                median_wait=statistics.median(self._waits) if self._waits else 0.0,
                passes=self._passes,
                steps=self._steps,
                completions=self._completions,
            )

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

    def _admit(self) -> None:
        """Raise unless one more request may wait."""
        if self._closing:
            raise ServiceClosed
        waiting = len(self._trainings) + len(self._askings)
        if waiting >= self._max_waiting:
            raise ServiceBusy(f"{waiting} requests are waiting already; try again in a moment.")

    # What follows runs on the worker thread.

    def _work(self) -> None:
        try:
            while not self._closing:
                trainings, parts = self._next_pass()
                if trainings:
                    self._train(trainings)
                if parts:
                    self._answer(parts)
        finally:
            self._turn_away_everyone()

    def _next_pass(self) -> tuple[list[TrainingRequest], list[Part]]:
        """Wait for requests and take the next pass: of trainings, or of questions."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._trainings or self._askings)
            self._askings = [request for request in self._askings if request.wanted]
            if self._trainings and not (self._askings and self._trained_last):
                self._trained_last = True
                trainings = [
                    request
                    for request in self._trainings.take(self._training_rows)
                    if request.future.set_running_or_notify_cancel()
                ]
                now = self._clock()
                self._waits.extend(now - request.since for request in trainings)
                self._steps += len(trainings)
                return trainings, []
            self._trained_last = False
            return [], self._deal_questions()

    def _deal_questions(self) -> list[Part]:
        """The rows of the next answering pass: questions that ask for equally long answers."""
        mergeable = [
            request
            for request in self._askings
            if request.max_new_tokens == self._askings[0].max_new_tokens
        ]
        dealt = deal_rows([request.undealt for request in mergeable], self._answering_rows)
        now = self._clock()
        self._waits.extend(
            now - request.since
            for request, rows in zip(mergeable, dealt, strict=True)
            if rows and request.undealt == len(request.asks)
        )
        self._completions += sum(dealt)
        parts = [request.deal(rows) for request, rows in zip(mergeable, dealt, strict=True) if rows]
        self._askings = [request for request in self._askings if request.undealt]
        return parts

    def _train(self, requests: list[TrainingRequest]) -> None:
        """Run one training pass. If it raises, run its requests one by one: whose fault is it?"""
        with self._changed:
            self._passes += 1
            self._last_training_rows = sum(len(request.problems) for request in requests)
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
        for request, result in served:
            request.future.set_result(result)

    def _answer(self, parts: list[Part]) -> None:
        """Run one answering pass, and one by one what was in it if it raises, as in `_train`."""
        with self._changed:
            self._passes += 1
            self._last_answering_rows = sum(len(part.asks) for part in parts)
        try:
            self._decode(parts)
        except Exception as error:  # not swallowed: it is raised again at the caller
            if len(parts) == 1:
                parts[0].request.fail(error)
                return
            for part in parts:
                if part.request.wanted:
                    self._answer([part])

    def _decode(self, parts: list[Part]) -> None:
        """Stream one merged batch to its callers, for as long as one of them still listens."""
        asks = [ask for part in parts for ask in part.asks]
        for completions in self._stream_completions(
            self.base_model, asks, parts[0].request.max_new_tokens
        ):
            if self._closing:
                for part in parts:
                    part.request.fail(ServiceClosed())
                return
            if not any(part.request.wanted for part in parts):
                return
            start = 0
            for part in parts:
                part.update(completions[start : start + len(part.asks)])
                start += len(part.asks)
        for part in parts:
            part.finish()

    def _turn_away_everyone(self) -> None:
        """Tell all who wait that nobody will come."""
        with self._changed:
            self._closing = True  # also when the worker died of something that is no Exception
            trainings, askings = self._trainings.take_all(), self._askings
            self._askings = []
        for training in trainings:
            if training.future.set_running_or_notify_cancel():
                training.future.set_exception(ServiceClosed())
        for asking in askings:
            asking.fail(ServiceClosed())
