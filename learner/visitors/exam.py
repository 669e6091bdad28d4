"""The held-out set that every visitor is scored on, and what the model alone makes of it.

The same problems for all, the same order, so any two results are paired. What does not depend on a
visitor (the model alone, and the untrained soft prompt, in either format) is measured once, in the
background, when the app starts.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence

from arena import held_out
from arena.statistics import McNemar, mcnemar_exact
from learner.learning.learner import Learner
from learner.measuring import Measurement, Score, Stopped, Tally, behind, measure
from learner.service.protocol import ModelService, ServiceClosed

HELD_OUT_PROBLEMS = 200


class Exam:
    """The held-out set, scores on it, and the background measurement of what all share.

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
        self._known: dict[tuple[bool, bool], Score] = {}
        self._left: Learner | None = None  # who is to be measured by a visitor
        self._measuring = threading.Lock()

    def take(
        self,
        learner: Learner | None,
        chat_template: bool,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Score:
        """The score of a learner (None: the model alone) in one format.

        Raises Stopped soon after ``stopped()`` has become true, and what the service raises.
        """
        for score in self.grow(learner, chat_template):  # noqa: B007 - the last one is whole
            if stopped():
                raise Stopped
        if self._left is not None and not self.ready and self._measuring.acquire(blocking=False):
            try:
                self._measure_left(self._left, stopped)
            finally:
                self._measuring.release()
        return score

    def grow(self, learner: Learner | None, chat_template: bool) -> Iterator[Score]:
        """The score of a learner as it grows; the last one is over the whole set.

        Whoever stops reading stops it. Raises what the service raises.
        """
        began = time.monotonic()
        measurement = Measurement(self.problems, chat_template)
        if learner is not None:
            measurement = behind(learner, self.problems, chat_template)
        for (score,) in measure(self._service.ask, [measurement]):
            yield score
        self.seconds = time.monotonic() - began

    def measure_shared(self, untrained: Learner) -> threading.Thread:
        """Measure the model alone and the ``untrained`` learner on a thread of its own."""
        thread = threading.Thread(
            target=self._measure_shared, args=(untrained,), name="baselines", daemon=True
        )
        thread.start()
        return thread

    def leave_to_visitors(self, untrained: Learner) -> None:
        """Have the same measured after a visitor's exam: where only they may use the model."""
        self._left = untrained

    def alone(self, chat_template: bool) -> Score | None:
        """The score of the model alone; None while it is being measured."""
        return self._known.get((False, chat_template))

    def untrained(self, chat_template: bool) -> Score | None:
        """The score of the untrained soft prompt; None while it is being measured."""
        return self._known.get((True, chat_template))

    @property
    def baselines(self) -> dict[bool, Tally]:
        """The model alone, as far as measured: with the chat template? -> score."""
        return {key: score for key in (True, False) if (score := self.alone(key))}

    @property
    def ready(self) -> bool:
        """Whether the background measurement has ended."""
        return len(self._known) == 2 * len(self.formats) or self.error is not None

    @property
    def version(self) -> int:
        """Grows with every shared result, so that a page knows when to look again."""
        return len(self._known) + (self.error is not None)

    def gain(self, score: Score) -> McNemar | None:
        """``score`` paired with the model alone in the same format; None before that is known."""
        before = self.alone(score.chat_template)
        return mcnemar_exact(before.right, score.right) if before else None

    def _measure_left(self, untrained: Learner, stopped: Callable[[], bool]) -> None:
        """What no visitor before has come to; what this one does not come to, another will."""
        for prompted in (False, True):
            for chat_template in self.formats:
                if (prompted, chat_template) in self._known:
                    continue
                learner = untrained if prompted else None
                try:
                    for score in self.grow(learner, chat_template):  # noqa: B007 - the last one
                        if stopped():
                            return
                except (ValueError, RuntimeError):
                    return  # the visitor's own exam was done, and is all that they asked for
                self._known[prompted, chat_template] = score

    def _measure_shared(self, untrained: Learner) -> None:
        try:
            for prompted in (False, True):
                for chat_template in self.formats:
                    score = self.take(untrained if prompted else None, chat_template)
                    self._known[prompted, chat_template] = score
        except ServiceClosed:
            return
        except (ValueError, RuntimeError) as problem:
            self.error = f"The model alone could not be measured: {problem}"
