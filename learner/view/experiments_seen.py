"""What a visitor looks at in the Experiments tab, kept in the notes of their session."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from learner.experiments.background import VisitorExperiments
from learner.experiments.original import PUBLISHED
from learner.experiments.store import Entry

NOTES = "experiments"  # where the notes have it
PUBLISHED_NAMES = tuple(run.name for run in PUBLISHED)
HIDDEN_AT_FIRST = PUBLISHED_NAMES[-1:]  # another model's


@dataclass(frozen=True)
class Seen:
    """What a visitor looks at: everything but what is ``hidden``, and the run ``chosen``."""

    hidden: tuple[str, ...] = HIDDEN_AT_FIRST
    chosen: str = ""


def seen_by(own: VisitorExperiments) -> Seen:
    """What this visitor looks at, as noted down."""
    notes: dict[str, Any] = own.session.notes.get(NOTES, {})
    return Seen(tuple(notes.get("hidden", HIDDEN_AT_FIRST)), str(notes.get("chosen", "")))


def look_at(own: VisitorExperiments, seen: Seen) -> None:
    """Note down what this visitor looks at."""
    own.session.note(**{NOTES: {"hidden": list(seen.hidden), "chosen": seen.chosen}})


def choose_shown(own: VisitorExperiments, shown: object) -> None:
    """Show these alone: places of runs, and names of published ones."""
    wanted = shown if isinstance(shown, list) else []
    known = [*(entry.place for entry in own.entries()), *PUBLISHED_NAMES]
    seen = seen_by(own)
    look_at(own, Seen(tuple(key for key in known if key not in wanted), seen.chosen))


def choose_run(own: VisitorExperiments, place: object) -> None:
    """Show this run in detail. Raises ExperimentError if there is none there."""
    entry = own.store.read(place)
    look_at(own, Seen(seen_by(own).hidden, entry.place))


def chosen_entry(own: VisitorExperiments, entries: Sequence[Entry]) -> Entry | None:
    """The run shown in detail: the chosen one, or else the latest."""
    wanted = seen_by(own).chosen
    latest = entries[-1] if entries else None
    return next((entry for entry in entries if entry.place == wanted), latest)
