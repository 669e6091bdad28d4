"""What the rest of the app knows of whatever stands in front of the model.

A `ModelService` may run in this process, on a GPU that is lent for a while, or on other machines.
Callers hold values (learners, questions, problems) and get values back; none of them holds weights.
"""

from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol, TypeVar

from learner.learning.learner import Learner, LearnerConfig
from learner.learning.training import Material, StepReport
from learner.model.base_model import BaseModel, ModelFacts
from learner.model.completion import Ask, Completion

Found = TypeVar("Found")

GROUP: ContextVar[Hashable] = ContextVar("group", default=None)
"""Whom callers share a place with, such as an address; None are those who share none.

Groups get equal parts of what several of them wait for, however many callers are in each.
"""

MOST_STEP_ROWS = 1024  # of one request, since a step is not cut and everybody waits for it


class ServiceBusy(ValueError):
    """Too many requests wait already."""


class StepTooLarge(ValueError):
    """One step would keep everybody else waiting for too long."""

    def __init__(self, rows: int) -> None:
        super().__init__(
            f"A step of this learner takes {rows} rows at once, and up to {MOST_STEP_ROWS} are run "
            "for one person; learn from fewer problems a step, or sample each fewer times."
        )


class ServiceClosed(ValueError):
    """The service was shut down before the request was done."""

    def __init__(self) -> None:
        super().__init__("The learner service was shut down; start it again and repeat this.")


@dataclass(frozen=True)
class ServiceStatus:
    """A snapshot. Seconds and rows are 0 before there is anything to measure."""

    waiting: int  # requests that have not begun, or not with all of their rows
    busy: bool  # whether something is being run
    rows: int  # of the latest turn: those that it learnt from, read, or wrote a token of ...
    seconds: float  # ... and what it took
    training_rows: int  # of the latest training pass: problems, or what was sampled for them
    answering_rows: int  # of the latest answering turn: questions
    median_wait: float  # seconds from request to its first turn, over the latest requests ...
    p95_wait: float  # ... and what 19 of 20 of them stayed within
    passes: int  # training passes and answering turns so far
    steps: int  # training requests that have begun so far
    completions: int  # questions that have begun so far
    trouble: str = ""  # why nothing can be run now, in a sentence


class CompletionStream(Iterator[tuple[Completion, ...]], Protocol):
    """A caller's own rows, again and again with ever longer texts; the last item is final.

    Closing it, or dropping it, tells the service that nobody reads any more.
    """

    def close(self) -> None:
        """Stop reading: rows still waiting are never run."""


class ModelService(Protocol):
    """Training steps and completions in front of one base model, for callers on any thread."""

    @property
    def base_model(self) -> ModelFacts:
        """What there is to know of the model that it stands in front of."""

    def new_learner(self, config: LearnerConfig) -> Learner:
        """A learner that has learnt nothing yet. As `learner.learning.learner.new_learner`."""

    def train(
        self, learner: Learner, problems: Sequence[Material], owner: Hashable = None
    ) -> "Future[tuple[Learner, StepReport]]":
        """Ask for one optimiser step of ``learner`` over ``problems``.

        Requests of one ``owner`` (by default, of one learner value) are served in order. A future
        that is cancelled while it waits is skipped. Raises ServiceBusy, ServiceClosed and
        StepTooLarge; what is wrong with this request arrives in the future.
        """

    def train_run(
        self, learner: Learner, steps: Sequence[Sequence[Material]], owner: Hashable = None
    ) -> Generator[tuple[Learner, StepReport], None, None]:
        """The learner after each of these steps in turn, with the step's report.

        Whoever closes it ends the run at a step's end. Raises what `train` and its future do.
        """

    def ask(self, asks: Sequence[Ask], max_new_tokens: int = 48) -> CompletionStream:
        """Ask for completions, one per ask. The request is queued before the first item is read.

        Raises ServiceBusy and ServiceClosed; what is wrong with this request, and ServiceClosed
        when it is cut off by a shutdown, is raised while iterating.
        """

    def complete(self, asks: Sequence[Ask], max_new_tokens: int = 48) -> tuple[Completion, ...]:
        """The final completions, one per ask. Raises as `ask` and its iterator do."""

    def look(self, work: Callable[[BaseModel], Found]) -> "Future[Found]":
        """Ask for ``work`` to be run where the weights are, between passes.

        It is a function that changes nothing and is short, since everybody waits for it; it and
        what it returns may travel to another process. A future that is cancelled while it waits is
        skipped. Raises ServiceBusy and ServiceClosed; what ``work`` raises arrives in the future.
        """

    def status(self) -> ServiceStatus:
        """What it is doing."""

    def close(self) -> None:
        """Shut down: what waits, and answers half-way, end in ServiceClosed; a step is finished.

        Returns when nothing runs any more. Calling it again does nothing.
        """
