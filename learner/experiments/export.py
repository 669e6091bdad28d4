"""What leaves an experiment: a zip file of all there is of it, and the best of its soft prompts.

The zip loads back as the best soft prompt; unzipped it is a run's folder, which a run that was
stopped goes on from.
"""

import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from learner.checkpoint.atomic_folder import write_file
from learner.checkpoint.files import BEST_FOLDER, load
from learner.experiments.background import VisitorExperiments
from learner.experiments.folder import INTERRUPTED, checkpoint_name
from learner.experiments.results import Results
from learner.experiments.score_table import run_table
from learner.experiments.store import FINISHED, RECORD, Entry, ExperimentError
from learner.learning.learner import Learner
from learner.model.base_model import ModelFacts

TABLE = "table.csv"


def run_zip(own: VisitorExperiments, entry: Entry, folder: Path) -> Path:
    """A zip of the run's files, written to ``folder``.

    It holds the results, what was written, the table, the figure and the best soft prompt; of a run
    that has not come to its end also what it goes on from. Raises ExperimentError before anything
    was measured.
    """
    results = own.results(entry)
    if not results:
        raise ExperimentError(
            "Nothing has been measured yet; wait for the first point of the curve."
        )
    run = own.store.path(entry)
    files = dict(_files(run, being_written=own.running == entry.place))
    best = _best_of(own, entry, results)
    files |= {f"{BEST_FOLDER}/{name}": data for name, data in _files(best)}
    files[TABLE] = run_table(results, entry.plan.technique).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            archive.writestr(f"{entry.place}/{name}", data)
    return write_file(buffer.getvalue(), folder / f"{entry.place}.zip")


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
    learner = load(_best_of(own, entry, results), base_model)
    return learner, learner.episodes


def _best_of(own: VisitorExperiments, entry: Entry, results: Sequence[Results]) -> Path:
    """The folder of the soft prompt that did best, of all seeds.

    While it learns on, that of a milestone, which nobody writes to any more.
    """
    rights = [max((score.correct for score in run.validation), default=0) for run in results]
    best = rights.index(max(rights))
    folder, kept = own.store.run_folders(entry)[best], results[best].kept
    if entry.state == FINISHED or kept is None:
        return folder / BEST_FOLDER
    return folder / checkpoint_name(kept.episodes)


def _files(folder: Path, being_written: bool = False) -> Iterator[tuple[str, bytes]]:
    """What lies in a folder, by its path in it; without what is ``being_written`` just now."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts) or name.name == RECORD
        changing = being_written and {BEST_FOLDER, INTERRUPTED} & set(name.parts)
        if path.is_file() and not hidden and not changing:
            yield name.as_posix(), path.read_bytes()
