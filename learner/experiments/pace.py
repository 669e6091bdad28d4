"""How far experiments have come, how fast they go, and how long they will still take."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from learner.experiments.engine import Run
from learner.experiments.settings import Experiment

WAITING, STARTING, LEARNING, MEASURING = "waiting", "starting", "learning", "measuring"


@dataclass(frozen=True)
class Progress:
    """Where the experiment in the folder ``place`` is.

    ``done`` of ``total`` episodes were learnt from, those of all seeds together. ``part`` of
    ``whole`` is how far it is within the phase: rounds of learning a start, or problems of a
    measurement. ``rate`` is in episodes a second, over learning alone, and ``seconds_left`` counts
    the measurements still to come; both are None until they can be known.
    """

    place: str
    phase: str = WAITING
    done: int = 0
    total: int = 0
    part: int = 0
    whole: int = 0
    rate: float | None = None
    seconds_left: float | None = None


class Pace:
    """Times what one experiment does, over all its seeds, from now on."""

    def __init__(
        self,
        place: str,
        experiments: Sequence[Experiment],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._place = place
        self._milestones = experiments[0].milestones
        self._total = sum(experiment.episodes for experiment in experiments)
        self._problems = sum(  # of one measurement
            experiment.eval_problems + experiment.validation_problems for experiment in experiments
        )
        self._clock = clock
        self._since = clock()
        self._done: int | None = None
        self._learnt, self._learning_seconds = 0, 0.0
        self._answered, self._answering_seconds = 0, 0.0

    def starting(self, part: int, whole: int) -> Progress:
        """``part`` of ``whole`` rounds of learning where to start are over."""
        return Progress(self._place, STARTING, 0, self._total, part, whole)

    def measuring(self, runs: Sequence[Run], part: int, whole: int) -> Progress:
        """``part`` of ``whole`` problems of the present measurement have been answered."""
        seconds = self._clock() - self._since
        return self._progress(runs, MEASURING, part, whole, part, seconds)

    def after(self, runs: Sequence[Run]) -> Progress:
        """The runs are as they are after a step or a measurement, or as they were found."""
        now, done = self._clock(), sum(run.done for run in runs)
        seconds = now - self._since
        if self._done is None:
            pass  # how long it took to find them says nothing
        elif done > self._done:
            self._learnt += done - self._done
            self._learning_seconds += seconds
        else:
            self._answered += self._problems
            self._answering_seconds += seconds
        self._since, self._done = now, done
        return self._progress(runs, LEARNING, 0, 0, 0, 0.0)

    def _progress(
        self, runs: Sequence[Run], phase: str, part: int, whole: int, answered: int, seconds: float
    ) -> Progress:
        done = sum(run.done for run in runs)
        rate = self._learnt / self._learning_seconds if self._learning_seconds > 0 else None
        known = self._answered + answered
        left = None
        if rate and known:
            each = (self._answering_seconds + seconds) / known
            measured = runs[0].done + (0 if runs[0].due else 1)
            to_come = sum(episodes >= measured for episodes in self._milestones)
            left = (self._total - done) / rate + max(0, to_come * self._problems - answered) * each
        return Progress(self._place, phase, done, self._total, part, whole, rate, left)
