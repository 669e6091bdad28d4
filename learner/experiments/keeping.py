"""Keeping: experiments taken from their start, or from where they were left, and saved as they go.

What the command line and the app have in common: whoever consumes the runs may stop at any moment,
by not asking for the next ones or by raising, and nothing that was learnt is lost.
"""

from collections.abc import Callable, Generator, Sequence
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

Progress = Callable[[int, int], object]
"""Told how much of something is done, and of how much."""


def keep_going(
    engine: Engine,
    experiments: Sequence[Experiment],
    folders: Sequence[Path],
    starting: Progress | None = None,
    measuring: Progress | None = None,
) -> Generator[tuple[Run, ...], None, None]:
    """Take the experiments to their end, one folder each; yields them first as they are found.

    Then they are yielded after every step and every measurement, saved at every milestone, and,
    should this be closed or raise in between, as they were last. ``starting`` follows what is
    learnt before the first episode, ``measuring`` each measurement. Raises CheckpointError if a
    folder holds a run of something else, or cannot be written, and what the engine raises.
    """
    runs = _opened(engine, experiments, folders, starting)
    written: list[Run | None] = [None] * len(runs)
    if all((folder / RESULTS).is_file() for folder in folders):
        written = [*runs]
    try:
        yield runs
        for after in advance(engine, runs, measuring):
            runs = after
            for i, (run, folder) in enumerate(zip(runs, folders, strict=True)):
                if run.measured and run is not written[i]:
                    save_run(run, folder, engine.base_model)
                    written[i] = run
            yield runs
    finally:
        for run, before, folder in zip(runs, written, folders, strict=True):
            if run is not before:
                save_run(run, folder, engine.base_model)


def finish(runs: Sequence[Run], folders: Sequence[Path], base_model: ModelFacts) -> None:
    """Draw into the folder of each finished run what happened in it."""
    for run, folder in zip(runs, folders, strict=True):
        save_best(run, folder, base_model, curve=True)
        write_file(learning_curves([read_results(folder)]), folder / CURVES)


def draw_together(folder: Path, results: Sequence[Results]) -> None:
    """Draw all seeds of an experiment in one picture, into the folder that theirs lie in."""
    if len(results) > 1:
        write_file(learning_curves(results), folder / CURVES)


def _opened(
    engine: Engine,
    experiments: Sequence[Experiment],
    folders: Sequence[Path],
    starting: Progress | None,
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
