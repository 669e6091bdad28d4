"""The held-out set that every visitor is scored on, and what the model alone makes of it.

The same problems for all, the same order, so any two results are paired. What does not depend on a
visitor (the model alone, and the untrained soft prompt, in either format) is measured once, in the
background, when the app starts, and makes room for visitors' runs and exams. A score can be read
while it grows: it is then over the first problems of the set, as many as its ``n`` says.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from arena import Problem, held_out
from arena.statistics import McNemar
from learner.checkpoint.atomic_folder import write_file
from learner.learning.learner import Learner
from learner.measuring import Measurement, Score, Stopped, Tally, behind, measure, score_of
from learner.model.base_model import ModelFacts
from learner.service.protocol import ModelService, ServiceClosed

HELD_OUT_PROBLEMS = 200
BUDGET = 5.0  # seconds that the exam of a milestone may take, at the pace of the latest ones
FEWEST, AT_FIRST = 20, 50  # problems of such an exam: at least, and while no pace is known
STEP = 5  # of its size: whole rounds of the families
FIRST_LOOK = 12  # problems that the first of a run begins with, asked as quickly as a click is
PATIENCE = 120.0  # seconds that what all share makes room for visitors, before it goes on beside


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
        self.pace: float | None = None  # problems a second, the latest that is known
        self.pace_alone: float | None = None  # the same, of what was taken beside no training
        self.error: str | None = None  # why the background measurement ended early
        self._service = service
        self.version = 0  # grows with every shared result, so that a page knows when to look again
        self._known: dict[tuple[bool, bool], Score] = {}
        self._kept: KeptBaselines | None = None
        self._left: Learner | None = None  # who is to be measured by a visitor
        self._measuring = threading.Lock()
        self._visitors = 0  # whose exams are on
        self._room = threading.Condition()  # guards their number

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
        self.measure_left(stopped)
        return score

    def grow(
        self,
        learner: Learner | None,
        chat_template: bool,
        size: int | None = None,
        known: str = "",
        beside_training: bool = False,
    ) -> Iterator[Score]:
        """The score of a learner as it grows, over the first ``size`` problems, or the whole set.

        The first have the outcomes ``known``. Whoever stops reading stops it. Raises what the
        service raises.
        """
        problems = self.problems[:size]
        with self.before_what_all_share():
            yield from self._grown(learner, chat_template, problems, known, beside_training)

    @contextmanager
    def before_what_all_share(self) -> Iterator[None]:
        """What a visitor waits for goes on inside: what all share makes room for it."""
        with self._room:
            self._visitors += 1
        try:
            yield
        finally:
            with self._room:
                self._visitors -= 1
                self._room.notify_all()

    def _grown(
        self,
        learner: Learner | None,
        chat_template: bool,
        problems: Sequence[Problem],
        known: str = "",
        beside_training: bool = False,
    ) -> Iterator[Score]:
        began = time.monotonic()
        left = problems[len(known) :]
        measurement = Measurement(left, chat_template)
        if learner is not None:
            measurement = behind(learner, left, chat_template)
        for (score,) in measure(self._service.ask, [measurement]):
            # All are asked at once: the first answers come late, and say little of the pace.
            if 4 * score.n >= len(left):
                self.pace = score.n / max(1e-6, time.monotonic() - began)
                if not beside_training:
                    self.pace_alone = self.pace
            yield score_of(known + score.outcomes, chat_template, score.episodes)

    @property
    def milestone_size(self) -> int:
        """How many problems the exam of a milestone gets: from the pace, never from results."""
        if self.pace is None:
            size = AT_FIRST
        else:
            size = max(FEWEST, int(self.pace * BUDGET) // STEP * STEP)
        return min(size, len(self.problems))

    def is_whole(self, score: Score | None) -> bool:
        """Whether this is a score over the whole set."""
        return score is not None and score.n == len(self.problems)

    def keep_in(self, folder: Path, untrained: Learner) -> None:
        """Find what all share in ``folder``, if it was measured before, and keep it there."""
        self._kept = KeptBaselines(folder, self._service.base_model, self.problems, untrained)
        for (prompted, _), score in self._kept.read().items():
            self._learn(prompted, score)

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

    @property
    def visitors_only(self) -> bool:
        """Whether the model may only be used while a visitor waits for it, for one thing at a time.

        So it is where each use is counted against them.
        """
        return self._left is not None

    def measure_left(self, stopped: Callable[[], bool]) -> None:
        """Go on, after a visitor's exam, with what all share, if that is left to visitors."""
        if self._left is not None and not self.ready and self._measuring.acquire(blocking=False):
            try:
                self._measure_left(self._left, stopped)
            finally:
                self._measuring.release()

    def alone(self, chat_template: bool) -> Score | None:
        """The score of the model alone, so far; None while there is none."""
        return self._known.get((False, chat_template))

    def untrained(self, chat_template: bool) -> Score | None:
        """The score of the untrained soft prompt, so far; None while there is none."""
        return self._known.get((True, chat_template))

    @property
    def baselines(self) -> dict[bool, Tally]:
        """The model alone, as far as measured: with the chat template? -> score."""
        return {key: score for key in (True, False) if (score := self.alone(key))}

    @property
    def ready(self) -> bool:
        """Whether the background measurement has ended."""
        whole = sum(map(self.is_whole, self._known.values()))
        return whole == 2 * len(self.formats) or self.error is not None

    def gain(self, score: Score) -> McNemar | None:
        """``score`` paired with the model alone in the same format, on the problems both have.

        None before there are any.
        """
        return score.since(self.alone(score.chat_template))

    def _learn(self, prompted: bool, score: Score) -> None:
        """Take up a shared score, as far as it has come."""
        if score.n:
            self._known[prompted, score.chat_template] = score
            self.version += 1
        if self._kept is not None and self.is_whole(score):
            whole = {key: one for key, one in self._known.items() if self.is_whole(one)}
            self._kept.write(whole)

    def _measure_left(self, untrained: Learner, stopped: Callable[[], bool]) -> None:
        """What no visitor before has come to; what this one does not come to, another will."""
        for prompted in (False, True):
            for chat_template in self.formats:
                if self.is_whole(self._known.get((prompted, chat_template))):
                    continue
                learner = untrained if prompted else None
                try:
                    for score in self._grown(learner, chat_template, self.problems):
                        self._learn(prompted, score)
                        if stopped():
                            return
                except (ValueError, RuntimeError):
                    return  # the visitor's own exam was done, and is all that they asked for

    def _measure_shared(self, untrained: Learner) -> None:
        try:
            for chat_template in self.formats:  # first what most visitors see first
                for prompted in (False, True):
                    while not self.is_whole(self._known.get((prompted, chat_template))):
                        self._measure_on(prompted, untrained if prompted else None, chat_template)
        except ServiceClosed:
            return
        except (ValueError, RuntimeError) as problem:
            self.error = f"The model alone could not be measured: {problem}"
            self.version += 1

    def _measure_on(self, prompted: bool, learner: Learner | None, chat_template: bool) -> None:
        """Go on with a shared score until it is whole, or somebody's own exam begins."""
        with self._room:
            overdue = not self._room.wait_for(lambda: not self._visitors, PATIENCE)
        before = self._known.get((prompted, chat_template))
        known = before.outcomes if before else ""
        for score in self._grown(learner, chat_template, self.problems, known):
            self._learn(prompted, score)
            if self._visitors and not overdue:
                return


Baselines = Mapping[tuple[bool, bool], Score]
"""Scores by (behind the untrained soft prompt?, with the chat template?)."""


class KeptBaselines:
    """The baselines of one base model on one held-out set, in a file of ``folder``.

    The file's name is a hash of all that decides them: the weights, their precision, the problems
    and the untrained soft prompt.
    """

    def __init__(
        self, folder: Path, model: ModelFacts, problems: Sequence[Problem], untrained: Learner
    ) -> None:
        digest = hashlib.sha256(f"{model.revision} {model.dtype}".encode())
        for problem in problems:
            digest.update(problem.key.encode())
        digest.update(untrained.prompt.numpy().tobytes())
        self._path = folder / f"baselines-{digest.hexdigest()[:32]}.json"
        self._size = len(problems)

    def read(self) -> Baselines:
        """What is kept; nothing where there is nothing whole to read."""
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            scores = {
                (one["prompted"], one["chat_template"]): score_of(
                    one["outcomes"], one["chat_template"]
                )
                for one in kept
            }
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return {key: score for key, score in scores.items() if score.n == self._size}

    def write(self, baselines: Baselines) -> None:
        """Keep these. A disk that cannot be written keeps nobody from learning: then they are not.

        They are only measured again the next time.
        """
        kept = [
            {"prompted": key[0], "chat_template": key[1], "outcomes": score.outcomes}
            for key, score in baselines.items()
        ]
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_file(json.dumps(kept).encode(), self._path)
        except OSError:
            return
