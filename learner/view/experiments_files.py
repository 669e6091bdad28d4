"""What leaves an experiment: its results as a file, and the best of its soft prompts."""

import zipfile
from pathlib import Path

from learner.checkpoint.atomic_folder import write_file
from learner.checkpoint.files import load
from learner.experiments.background import VisitorExperiments
from learner.experiments.folder import CURVES
from learner.experiments.results_file import RESULTS
from learner.experiments.store import Entry, ExperimentError
from learner.hub.opening import BEST_FOLDER
from learner.learning.learner import Learner
from learner.model.base_model import ModelFacts


def results_file(own: VisitorExperiments, entry: Entry, folder: Path) -> Path:
    """The run's ``results.json``, or a zip of all seeds' with the figure, written to ``folder``.

    Raises ExperimentError before anything was measured.
    """
    if not own.results(entry):
        raise ExperimentError(
            "Nothing has been measured yet; wait for the first point of the curve."
        )
    run, seeds = own.store.path(entry), own.store.run_folders(entry)
    if len(seeds) == 1:
        return write_file((run / RESULTS).read_bytes(), folder / f"{entry.place}-{RESULTS}")
    path = folder / f"{entry.place}-results.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for seed in seeds:
            archive.write(seed / RESULTS, f"{entry.place}/{seed.name}/{RESULTS}")
        if (run / CURVES).is_file():
            archive.write(run / CURVES, f"{entry.place}/{CURVES}")
    return path


def best_learner(
    own: VisitorExperiments, entry: Entry, base_model: ModelFacts
) -> tuple[Learner, int]:
    """The learner that did best in validation, and after how many episodes that was.

    Of all seeds; of equals the first, which it is where nothing was validated as well. Raises
    ExperimentError for a run that has no one soft prompt, CheckpointError if it cannot be read.
    """
    if entry.plan.experiment.per_family:
        raise ExperimentError(
            "This run has a soft prompt for each family, and a learner has one; choose another run."
        )
    results = own.results(entry)
    if not results:
        raise ExperimentError("It has not learnt anything yet that could be used.")
    rights = [max((score.correct for score in run.validation), default=0) for run in results]
    best = rights.index(max(rights))
    learner = load(own.store.run_folders(entry)[best] / BEST_FOLDER, base_model)
    return learner, learner.episodes
