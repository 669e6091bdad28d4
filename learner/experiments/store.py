"""One visitor's named experiments on the disk.

    <folder>/run-1/experiment.json            what was asked for, and how it stands
    <folder>/run-1/[seed-0/]results.json …    the run's folder, or one for each seed (`folder`)

Pure files; who runs what is `learner.experiments.background`'s. What is kept is bounded: so many
runs, and of those that have ended the best soft prompts, the results and the pictures alone.
"""

import json
import re
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field, with_config

from learner.checkpoint.atomic_folder import write_file
from learner.checkpoint.reading import LENIENT, CheckpointError, Count, parse
from learner.experiments.completions import COMPLETIONS, keep_ends
from learner.experiments.folder import INTERRUPTED, seed_folders, slug
from learner.experiments.plan import TECHNIQUES, Plan, PlanError, checked_name
from learner.experiments.settings import Experiment

MAX_RUNS = 8
MAX_PLACE = 40  # characters of a folder's name, less a number that tells it from others
GOING, STOPPED, FAILED, FINISHED = "going", "stopped", "failed", "finished"
STATES = (GOING, STOPPED, FAILED, FINISHED)
RECORD = "experiment.json"
_MAX_BYTES = 1 << 16


class ExperimentError(ValueError):
    """Something cannot be done with a visitor's experiments; the message says why in a sentence."""


@dataclass(frozen=True)
class Entry:
    """One experiment that is kept: in the folder ``place``, asked for as the ``number``-th.

    ``state`` is one of ``STATES``: "going" is what nobody stopped, whether anybody works on it at
    the moment or not. ``message`` says what went wrong with one that "failed".
    """

    place: str
    number: int
    plan: Plan
    state: str = GOING
    message: str = ""


class Store:
    """The experiments in ``folder``, which need not be there yet. Not thread-safe."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entries(self) -> tuple[Entry, ...]:
        """All that are kept, in the order in which it was asked for.

        Of one that cannot be read, the name of its folder and what is wrong is all there is.
        """
        found = []
        for path in sorted(self.folder.glob(f"*/{RECORD}")):
            place = path.parent.name
            try:
                found.append(self.read(place))
            except (CheckpointError, PlanError) as error:
                lost = Plan(place, next(iter(TECHNIQUES)), Experiment(), (0,))
                found.append(Entry(place, -1, lost, FAILED, str(error)))
        return tuple(sorted(found, key=lambda entry: (entry.number, entry.place)))

    def read(self, place: object) -> Entry:
        """The experiment in one of the folders. Raises ExperimentError if there is none,
        CheckpointError if it cannot be read."""
        if not isinstance(place, str) or not re.fullmatch(r"[a-z0-9-]{1,60}", place):
            raise ExperimentError("Choose one of your runs first.")
        try:
            with open(self.folder / place / RECORD, "rb") as file:
                data = file.read(_MAX_BYTES + 1)
        except FileNotFoundError:
            raise ExperimentError("That run is not there any more.") from None
        return _parse(place, data)

    def add(self, plan: Plan) -> Entry:
        """Keep a plan, to be run. Raises ExperimentError if it is full or the name taken."""
        entries = self.entries()
        if len(entries) >= MAX_RUNS:
            raise ExperimentError(
                f"You have {MAX_RUNS} runs, which is as many as are kept; delete one first."
            )
        if any(entry.plan.name.casefold() == plan.name.casefold() for entry in entries):
            raise ExperimentError(
                f"You have a run called “{plan.name}” already; choose another name, or delete it."
            )
        base = slug(plan.name)[:MAX_PLACE].strip("-") or "run"
        taken = {entry.place for entry in entries}
        places = (base, *(f"{base}-{count}" for count in range(2, MAX_RUNS + 2)))
        place = next(place for place in places if place not in taken)
        shutil.rmtree(self.folder / place, ignore_errors=True)  # what a deletion left half done
        number = 1 + max((entry.number for entry in entries), default=0)
        return self._write(Entry(place, number, plan))

    def mark(self, entry: Entry, state: str, message: str = "") -> Entry:
        """Note down how an experiment stands now."""
        return self._write(replace(entry, state=state, message=message))

    def remove(self, place: object) -> None:
        """Delete an experiment for good. Raises ExperimentError if there is none there."""
        entry = next((entry for entry in self.entries() if entry.place == place), None)
        if entry is None:
            raise ExperimentError("That run is not there any more.")
        # Without it nothing else in the folder counts, so a crash leaves no half of a run.
        (self.folder / entry.place / RECORD).unlink()
        shutil.rmtree(self.folder / entry.place, ignore_errors=True)

    def path(self, entry: Entry) -> Path:
        """The folder of an experiment."""
        return self.folder / entry.place

    def run_folders(self, entry: Entry) -> list[Path]:
        """The folder of each of its seeds."""
        return seed_folders(self.path(entry), entry.plan.seeds)

    def tidy(self, entry: Entry) -> None:
        """Delete what only going on needs: of a finished experiment nothing is gone on with.

        Of what the model wrote, that before learning and after it stays.
        """
        for folder in self.run_folders(entry):
            keep_ends(folder / COMPLETIONS)
            for checkpoint in (*folder.glob("checkpoint_ep*"), folder / INTERRUPTED):
                shutil.rmtree(checkpoint, ignore_errors=True)

    def fresh_name(self) -> str:
        """``run 1``, or the first such name that is free."""
        taken = {entry.plan.name.casefold() for entry in self.entries()}
        return next(name for count in range(1, 99) if (name := f"run {count}") not in taken)

    def _write(self, entry: Entry) -> Entry:
        record = {
            "name": entry.plan.name,
            "technique": entry.plan.technique,
            "settings": entry.plan.experiment.as_dict(),
            "seeds": list(entry.plan.seeds),
            **{key: asdict(entry)[key] for key in ("number", "state", "message")},
        }
        try:
            write_file(json.dumps(record, indent=1).encode(), self.path(entry) / RECORD)
        except OSError as error:
            raise ExperimentError(
                f"It could not be kept on the server ({error.strerror}); try again later."
            ) from error
        return entry


@with_config(LENIENT)
@dataclass(frozen=True)
class _Record:
    """An ``experiment.json``."""

    name: str
    technique: str
    settings: Experiment
    seeds: Annotated[tuple[Count, ...], Field(min_length=1)]
    number: Count
    state: str
    message: str


def _parse(place: str, data: bytes) -> Entry:
    record = parse(_Record, data, RECORD)
    known = record.technique in TECHNIQUES and record.state in STATES
    if not known or len(set(record.seeds)) < len(record.seeds):
        raise CheckpointError(f"{RECORD} is not one that this version wrote; delete the run.")
    plan = Plan(checked_name(record.name), record.technique, record.settings, record.seeds)
    return Entry(place, record.number, plan, record.state, record.message)
