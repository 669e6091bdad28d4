"""A run's folder: checkpoints, ``results.json`` and its picture, so that a run can be gone on with.

    checkpoint_ep0 … checkpoint_ep80   the learner at every milestone, each a checkpoint folder
    best                               the one that did best in validation
    interrupted                        the learner where the run was stopped, while it is stopped
    completions.jsonl                  what the model wrote whenever it was measured (`completions`)
    results.json                       everything that happened (`results_file`)
    learning_curves.png                the same in four panels, once it has ended

With a prompt for each family, each of these checkpoints holds one checkpoint a family. Everything
is written in whole: learners first, then the completions, then the ``results.json`` that speaks of
them. So whatever a crash leaves behind is a run as it was at a milestone, and at most one interval
is lost.
"""

import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from learner.checkpoint.atomic_folder import write_file
from learner.checkpoint.files import BEST_FOLDER, load, save
from learner.checkpoint.format import ADAPTER_CONFIG
from learner.checkpoint.reading import CheckpointError, shown
from learner.experiments.completions import COMPLETIONS, add_completions
from learner.experiments.engine import Learners, Run
from learner.experiments.results import Results
from learner.experiments.results_file import (
    RESULTS,
    RunRecord,
    as_json,
    environment,
    parse_past,
    parse_run_record,
    read_results,
    read_results_file,
)
from learner.measuring import SHARED
from learner.model.base_model import ModelFacts

INTERRUPTED, CURVES = "interrupted", "learning_curves.png"


def checkpoint_name(episodes: int) -> str:
    """The name of the checkpoint after so many episodes."""
    return f"checkpoint_ep{episodes}"


def milestones(folder: Path) -> list[tuple[int, Path]]:
    """The checkpoints of a run after so many episodes, in order; none if it has one a family."""
    found = [
        (int(path.name.removeprefix("checkpoint_ep")), path)
        for path in folder.glob("checkpoint_ep*")
        if path.name.removeprefix("checkpoint_ep").isdecimal()
    ]
    return sorted(one for one in found if (one[1] / ADAPTER_CONFIG).is_file())


def save_run(run: Run, folder: Path, base_model: ModelFacts) -> None:
    """Write the run as it is now to its folder. Raises CheckpointError if it cannot be written.

    Between milestones its learners go to ``interrupted``, which is gone at the next milestone.
    """
    name = checkpoint_name(run.done) if run.measured else INTERRUPTED
    _save_learners(run.learners, folder / name, base_model)
    if run.measured and run.kept_episodes == run.done:
        save_best(run, folder, base_model, curve=False)
    try:
        if run.written:
            add_completions(run.written, folder / COMPLETIONS)
        write_file(as_json(run, environment(base_model), name), folder / RESULTS)
        if run.measured:
            shutil.rmtree(folder / INTERRUPTED, ignore_errors=True)
    except OSError as error:
        raise CheckpointError(
            f"The run could not be written to {folder} ({error.strerror}); make room, or choose "
            "another place."
        ) from error


def save_best(run: Run, folder: Path, base_model: ModelFacts, curve: bool) -> None:
    """Write what the run keeps to ``best``, with a picture of how it learnt if ``curve``."""
    _save_learners(run.kept, folder / BEST_FOLDER, base_model, curve)


def is_finished(folder: Path) -> bool:
    """Whether the folder holds a run that has come to its end."""
    return (folder / RESULTS).is_file() and open_record(folder).finished


def open_record(folder: Path) -> RunRecord:
    """The ``results.json`` of a run that can be gone on with. Raises CheckpointError."""
    path = folder / RESULTS
    return parse_run_record(read_results_file(path), str(path))


def load_run(folder: Path, base_model: ModelFacts, at: int | None = None) -> Run:
    """The run in a folder as it was when last written, or at the earlier milestone ``at``.

    Raises CheckpointError if something is missing or not right, and OtherModelError if the run was
    not made with ``base_model``.
    """
    record = open_record(folder)
    experiment, written = record.settings, len(record.training)
    done = written if at is None else at
    past, scores, baselines = parse_past(record, done, str(folder / RESULTS))
    name = record.checkpoint if done == written else checkpoint_name(done)
    if name not in (checkpoint_name(done), INTERRUPTED):
        raise CheckpointError(f"{folder / RESULTS} goes on from {shown(name)}, which cannot be.")
    if record.finished and not (folder / name).is_dir():
        raise CheckpointError(
            f"The run in {folder} has come to its end, so there is nothing to go on with; its soft "
            f"prompt is in {folder / BEST_FOLDER}."
        )
    names = experiment.families if experiment.per_family else (SHARED,)
    learners = _load_learners(folder / name, names, base_model)
    run = Run(
        experiment=experiment,
        learners=learners,
        kept=learners,
        kept_episodes=done,
        past=past,
        held_out=scores["evaluations"],
        validation=scores["validations"],
        baselines=baselines,
        elapsed=record.elapsed_time,
        started=record.start_time,
    )
    if not run.validation:
        return run
    best = max(run.validation, key=lambda item: item.correct)  # the first of equals
    kept = _load_learners(folder / checkpoint_name(best.episodes), names, base_model)
    return replace(run, kept=kept, kept_episodes=best.episodes)


def load_together(folders: Sequence[Path], base_model: ModelFacts) -> tuple[Run, ...]:
    """Runs that are to go on side by side, all from where they were at the same time.

    Only so do they meet the same passes again, and so the same bits. Those that are not equally far
    go back to the last milestone that all of them have passed: a crash may have come after some of
    them were written and before others were, and some may learn more problems a step than others.
    Raises as `load_run`.
    """
    runs = [load_run(folder, base_model) for folder in folders]
    if len({run.done for run in runs}) == 1:
        return tuple(runs)
    passed = [{score.episodes for score in run.held_out} for run in runs]
    at = max(set.intersection(*passed))
    return tuple(load_run(folder, base_model, at) for folder in folders)


def _save_learners(
    learners: Learners, folder: Path, base_model: ModelFacts, curve: bool = False
) -> None:
    for name, learner in learners.items():
        save(learner, folder if name == SHARED else folder / name, base_model, curve)


def _load_learners(folder: Path, names: Sequence[str], base_model: ModelFacts) -> Learners:
    return {name: load(folder if name == SHARED else folder / name, base_model) for name in names}


def seed_folders(folder: Path, seeds: Sequence[int]) -> list[Path]:
    """Where the runs of these seeds go: one run into the folder, several into one each within."""
    return [folder] if len(seeds) == 1 else [folder / f"seed-{seed}" for seed in seeds]


def run_folders(folder: Path) -> list[Path]:
    """The folders of the runs that lie in ``folder``: itself, or one for each seed.

    Raises CheckpointError if there is none.
    """
    if (folder / RESULTS).is_file():
        return [folder]
    found = [path.parent for path in folder.glob(f"seed-*/{RESULTS}")]
    if not found:
        raise CheckpointError(f"There is no run in {folder}: it has no {RESULTS}.")
    return sorted(found, key=lambda path: (len(path.name), path.name))


def read_runs(path: Path) -> tuple[Results, ...]:
    """The results of a run, or of all seeds, in a folder or a file. Raises CheckpointError."""
    if path.is_file():
        return (read_results(path),)
    return tuple(read_results(folder) for folder in run_folders(path))


def slug(name: str) -> str:
    """A name as it can be that of a folder."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
