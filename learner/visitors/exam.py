"""The held-out set that every visitor is scored on, and what the model alone makes of it.

The same problems for all, the same order, so any two results are paired. What does not depend on a
visitor (the model alone, and the untrained soft prompt, in either format) is measured once, in the
background, when the app starts.
"""

import threading
import time
from collections.abc import Callable, Sequence

import torch

from arena import held_out
from arena.statistics import McNemar, mcnemar_exact
from learner.evaluation import Tally, evaluate
from learner.learning.worked_examples import worked_examples
from learner.marks import Marks, marks_of
from learner.model.completion import Ask, Completion
from learner.service.protocol import ModelService, ServiceClosed

HELD_OUT_PROBLEMS = 200


class Stopped(Exception):
    """Somebody pressed Stop while an exam was being taken."""


class Exam:
    """The held-out set, marks on it, and the background measurement of what all share.

    ``formats`` are those that the model knows: with the chat template (True), without (False).
    """

    def __init__(
        self,
        service: ModelService,
        size: int = HELD_OUT_PROBLEMS,
        formats: Sequence[bool] = (False, True),
    ) -> None:
        self.formats = tuple(formats)
        self.problems = tuple(held_out(size))
        self.keys = frozenset(problem.key for problem in self.problems)
        self.seconds: float | None = None  # what taking it took, last time
        self.error: str | None = None  # why the background measurement ended early
        self._service = service
        self._known: dict[tuple[bool, bool], Marks] = {}

    def take(
        self,
        prompt: torch.Tensor | None,
        chat_template: bool,
        episodes: int = 0,
        stopped: Callable[[], bool] = lambda: False,
        shots: int = 0,
    ) -> Marks:
        """Mark a soft prompt [n, d] (or the model alone, None) in one format.

        ``shots`` worked examples stand before every question, as they did when the soft prompt
        learnt. Goes through the service in small batches, so that others get their turn. Raises
        Stopped within a batch of ``stopped()`` becoming true, and what the service raises.
        """
        began = time.monotonic()

        def answer(asks: Sequence[Ask]) -> tuple[Completion, ...]:
            if stopped():
                raise Stopped
            return self._service.complete(asks)

        evaluation = evaluate(
            answer,
            self.problems,
            prompt=prompt,
            chat_template=chat_template,
            examples=worked_examples(shots),
        )
        self.seconds = time.monotonic() - began
        return marks_of(evaluation, episodes)

    def measure_shared(self, untrained: torch.Tensor) -> threading.Thread:
        """Measure the model alone and the ``untrained`` prompt [n, d] on a thread of its own."""
        thread = threading.Thread(
            target=self._measure_shared, args=(untrained,), name="baselines", daemon=True
        )
        thread.start()
        return thread

    def alone(self, chat_template: bool) -> Marks | None:
        """Marks of the model alone; None while they are being measured."""
        return self._known.get((False, chat_template))

    def untrained(self, chat_template: bool) -> Marks | None:
        """Marks of the untrained soft prompt; None while they are being measured."""
        return self._known.get((True, chat_template))

    @property
    def baselines(self) -> dict[bool, Tally]:
        """The model alone, as far as measured: with the chat template? -> score."""
        return {key: marks.tally for key in (True, False) if (marks := self.alone(key))}

    @property
    def ready(self) -> bool:
        """Whether the background measurement has ended."""
        return len(self._known) == 2 * len(self.formats) or self.error is not None

    @property
    def version(self) -> int:
        """Grows with every shared result, so that a page knows when to look again."""
        return len(self._known) + (self.error is not None)

    def gain(self, marks: Marks) -> McNemar | None:
        """``marks`` paired with the model alone in the same format; None before that is known."""
        before = self.alone(marks.chat_template)
        return mcnemar_exact(before.right, marks.right) if before else None

    def _measure_shared(self, untrained: torch.Tensor) -> None:
        try:
            for prompted in (False, True):
                for chat_template in self.formats:
                    marks = self.take(untrained if prompted else None, chat_template)
                    self._known[prompted, chat_template] = marks
        except ServiceClosed:
            return
        except (ValueError, RuntimeError) as problem:
            self.error = f"The model alone could not be measured: {problem}"
