"""Running: experiments taken from their start, or from where they were left, to their end.

The one loop that the commands and the app have in common: what was learnt is saved at every
milestone and whenever the loop ends, however it ends, and whoever watches is told how far it has
come, how fast it goes, and how long it will still take. They end it by raising `Stopped`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from learner.checkpoint.atomic_folder import write_file
from learner.checkpoint.reading import CheckpointError
from learner.experiments.engine import Engine, Run, advance, start_runs
from learner.experiments.figures import learning_curves
from learner.experiments.folder import CURVES, load_together, save_best, save_run
from learner.experiments.results import Results
from learner.experiments.results_file import RESULTS, read_results
from learner.experiments.settings import Experiment
from learner.model.base_model import ModelFacts

WAITING, STARTING, LEARNING, MEASURING = "waiting", "starting", "learning", "measuring"


@dataclass(frozen=True)
class Progress:
    """Where an experiment is.

    ``done`` of ``total`` episodes were learnt from, those of all ``runs`` together. ``part`` of
    ``whole`` is how far it is within the phase: rounds of learning a start, or problems of a
    measurement. ``rate`` is in episodes a second, over learning alone, and ``seconds_left`` counts
    the measurements still to come; both are None until they can be known.
    """

    phase: str = WAITING
    total: int = 0
    runs: tuple[Run, ...] = ()
    part: int = 0
    whole: int = 0
    rate: float | None = None
    seconds_left: float | None = None

    @property
    def done(self) -> int:
        return sum(run.done for run in self.runs)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return bool(self.runs) and all(run.finished for run in self.runs)


def run_to_end(
    engine: Engine,
    experiments: Sequence[Experiment],
    folders: Sequence[Path],
    watch: Callable[[Progress], object] = lambda progress: None,
) -> tuple[Run, ...]:
    """Run the experiments side by side, one folder each; go on where the folders hold them already.

    ``watch`` is told of every step, and may raise to end it all there. Raises that, what the engine
    raises, and CheckpointError if a folder holds a run of something else, or cannot be written.
    """
    stopwatch = Stopwatch(experiments)
    runs = _opened(engine, experiments, folders, lambda *round_: watch(stopwatch.starting(*round_)))
    written: list[Run | None] = [None] * len(runs)
    if all((folder / RESULTS).is_file() for folder in folders):
        written = [*runs]

    def measuring(part: int, whole: int) -> None:
        watch(stopwatch.measuring(runs, part, whole))

    try:
        watch(stopwatch.after(runs))
        for after in advance(engine, runs, measuring):
            runs = after
            for i, (run, folder) in enumerate(zip(runs, folders, strict=True)):
                if run.measured and run is not written[i]:
                    save_run(run, folder, engine.base_model)
                    written[i] = run
            watch(stopwatch.after(runs))
    finally:
        for run, before, folder in zip(runs, written, folders, strict=True):
            if run is not before:
                save_run(run, folder, engine.base_model)
    return runs


def finish(runs: Sequence[Run], folders: Sequence[Path], base_model: ModelFacts) -> None:
    """Draw into the folder of each finished run what happened in it."""
    for run, folder in zip(runs, folders, strict=True):
        save_best(run, folder, base_model, curve=True)
        write_file(learning_curves([read_results(folder)]), folder / CURVES)


def draw_together(folder: Path, results: Sequence[Results]) -> None:
    """Draw all seeds of an experiment in one picture, into the folder that theirs lie in."""
    if len(results) > 1:
        write_file(learning_curves(results), folder / CURVES)


class Stopwatch:
    """Times what one experiment does, over all its seeds, from now on."""

    def __init__(
        self, experiments: Sequence[Experiment], clock: Callable[[], float] = time.monotonic
    ) -> None:
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
        return Progress(STARTING, self._total, (), part, whole)

    def measuring(self, runs: Sequence[Run], part: int, whole: int) -> Progress:
        """``part`` of ``whole`` problems of the present measurement have been answered."""
        return self._progress(MEASURING, runs, part, whole, self._clock() - self._since)

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
        return self._progress(LEARNING, runs, 0, 0, 0.0)

    def _progress(
        self, phase: str, runs: Sequence[Run], part: int, whole: int, seconds: float
    ) -> Progress:
        """``seconds`` were spent so far on the ``part`` that has been answered."""
        done = sum(run.done for run in runs)
        rate = self._learnt / self._learning_seconds if self._learning_seconds > 0 else None
        known = self._answered + part
        left = None
        if rate and known:
            each = (self._answering_seconds + seconds) / known
            measured = runs[0].done + (0 if runs[0].due else 1)
            to_come = sum(episodes >= measured for episodes in self._milestones)
            left = (self._total - done) / rate + max(0, to_come * self._problems - part) * each
        return Progress(phase, self._total, tuple(runs), part, whole, rate, left)


def _opened(
    engine: Engine,
    experiments: Sequence[Experiment],
    folders: Sequence[Path],
    starting: Callable[[int, int], object],
) -> tuple[Run, ...]:
    """The runs as their folders have them; started, if not all of them have been written."""
    if not all((folder / RESULTS).is_file() for folder in folders):
        return start_runs(engine, experiments, starting)
    runs = load_together(folders, engine.base_model)
    for run, experiment, folder in zip(runs, experiments, folders, strict=True):
        if run.experiment != experiment:
            raise CheckpointError(
                f"{folder} holds a run with other settings; choose another folder, or go on with "
                "that run as it is by --resume."
            )
    return runs
