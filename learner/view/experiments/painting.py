"""From a visitor's experiments to what their tab shows: pictures, lines, rows, buttons.

Which of it they look at is kept in the notes of their session.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from html import escape
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from learner import wording
from learner.checkpoint.reading import CheckpointError
from learner.experiments.answers import Pair
from learner.experiments.background import VisitorExperiments
from learner.experiments.estimates import Arm, final, initial
from learner.experiments.folder import CURVES
from learner.experiments.original import PUBLISHED
from learner.experiments.plan import TECHNIQUES
from learner.experiments.results import Results
from learner.experiments.running import LEARNING, MEASURING, STARTING, WAITING, Progress
from learner.experiments.store import (
    FAILED,
    FINISHED,
    GOING,
    STOPPED,
    Entry,
    ExperimentError,
)
from learner.view import cards
from learner.view.experiments.answer_pairs import AnswersSource, Looking
from learner.view.experiments.chart import Series, baselines_of, experiments_chart, series_of, slots
from learner.view.experiments.table import Row, row_of, row_without
from learner.wording import percent

_MARKS = "ABC"
NO_RUNS = "What your runs write comes here, problem by problem."
_STATES = {GOING: "running", STOPPED: "stopped", FAILED: "failed", FINISHED: "finished"}

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


@dataclass(frozen=True)
class Options:
    """What there is to choose from, as (label, value), and what is chosen."""

    choices: tuple[tuple[str, str], ...]
    value: tuple[str, ...] | str | None


@dataclass(frozen=True)
class Known:
    """What was made of the results of a run, as long as they are the same."""

    results: tuple[Results, ...]
    arm: Arm
    series: Series
    row: Row  # its state aside


@dataclass(frozen=True)
class ExperimentsView:
    """A visitor's experiments as they were looked at; by default, of somebody who has none yet.

    ``running`` is the place of the one that is on, ``chosen`` the run shown in detail, ``hidden``
    what is not drawn, ``ahead`` how many wait before this visitor's, ``known`` what is known of
    each run by its place, ``picture`` where the figure of the chosen run is, and ``formats`` those
    that the model knows. ``own`` is what was looked at.
    """

    entries: tuple[Entry, ...] = ()
    running: str | None = None
    progress: Progress | None = None
    ahead: int = 0
    hidden: tuple[str, ...] = HIDDEN_AT_FIRST
    chosen: Entry | None = None
    known: Mapping[str, Known] = field(default_factory=dict)
    picture: Path | None = None
    formats: tuple[bool, ...] = (False, True)
    own: VisitorExperiments | None = field(default=None, compare=False)

    @property
    def focus(self) -> Entry | None:
        """The run that the hint is about: the one that is on, or else the chosen one."""
        return next((one for one in self.entries if one.place == self.running), self.chosen)

    @property
    def hint(self) -> str:
        """What happens, what happened, or what to do now."""
        return cards.hint(*self._hint())

    @property
    def progress_bar(self) -> str:
        """How far the experiment is that is on."""
        progress = self.progress
        if progress is None:
            return cards.progress(0, 0, None, None)
        left = progress.seconds_left
        rest = "" if left is None else f" · {wording.duration(left)} left"
        note = {
            WAITING: "waiting for its turn",
            STARTING: f"learning where to start, {progress.part} of {progress.whole}",
            MEASURING: f"testing, {progress.part} of {progress.whole} answers{rest}",
            LEARNING: "",
        }[progress.phase]
        if not progress.total:
            return cards.progress(0, 0, None, None, note)
        return cards.progress(progress.done, progress.total, progress.rate, left, note)

    @property
    def lines(self) -> tuple[Known, ...]:
        """What is known of the runs that are drawn."""
        drawn = [one for one in self.entries if one.place not in self.hidden]
        return tuple(self.known[one.place] for one in drawn if one.place in self.known)

    @property
    def chart(self) -> str:
        published = [series for series, _ in _published() if series.name not in self.hidden]
        own = [one.series for one in self.lines]
        return experiments_chart([*own, *published], baselines_of([one.arm for one in self.lines]))

    @property
    def shown(self) -> Options:
        """Which lines can be drawn, and which are."""
        labels = [(one.plan.name, one.place) for one in self.entries]
        choices = (*labels, *((name, name) for name in PUBLISHED_NAMES))
        return Options(choices, tuple(key for _, key in choices if key not in self.hidden))

    @property
    def rows(self) -> tuple[Row, ...]:
        """The table, newest first."""
        rows, progress, known = [], self.progress, self.known
        for entry in self.entries:
            plan = entry.plan
            state = _STATES[entry.state]
            if entry.state == GOING and progress is None:
                state = "interrupted"
            elif progress is not None and self.running == entry.place and progress.phase == WAITING:
                state = "waiting"
            elif entry.state == FINISHED and entry.place not in known:
                state = "unreadable"
            if entry.place in known:
                rows.append((*known[entry.place].row[:-1], state))
            else:
                chat = plan.experiment.config.chat_template
                rows.append(row_without(plan.name, plan.technique, chat, state))
        return (*reversed(rows), *(row for _, row in _published()))

    @property
    def runs(self) -> Options:
        """Which runs can be shown in detail, and which is."""
        labels = [(one.plan.name, one.place) for one in reversed(self.entries)]
        return Options(tuple(labels), self.chosen.place if self.chosen else None)

    @property
    def figure(self) -> str:
        """The picture of the chosen run, once it has ended."""
        chosen, path = self.chosen, self.picture
        if chosen is None:
            return _no_figure("Your runs' figures come here.")
        if chosen.state != FINISHED or path is None or not path.is_file():
            return _no_figure("Its figure is drawn when it has ended.")
        data = base64.b64encode(path.read_bytes()).decode()
        name = escape(chosen.plan.name, quote=True)
        words = "loss, held-out accuracy, and accuracy by family and by difficulty before and after"
        return (
            f'<figure class="spa-figure"><img src="data:image/png;base64,{data}" '
            f'alt="Learning curves of {name}: {words}"><figcaption><a href="#" '
            f'download="{escape(chosen.place)}-learning_curves.png">Download the figure</a>'
            "</figcaption></figure>"
        )

    @property
    def answers(self) -> AnswersSource:
        """What the chosen run wrote."""
        if self.own is None or self.chosen is None:
            return AnswersSource(NO_RUNS, lambda looking: NO_RUNS)
        return AnswersSource(
            (self.chosen, self.known.get(self.chosen.place)),
            partial(_answers, self.own, self.chosen),
            self.own.session,
            self.chosen.place,
            self.chosen.plan.seeds,
        )

    @property
    def can_continue(self) -> bool:
        focus = self.focus
        return self.progress is None and focus is not None and focus.state != FINISHED

    @property
    def can_download(self) -> bool:
        return self.chosen is not None and self.chosen.place in self.known

    @property
    def can_use(self) -> bool:
        return self.can_delete and self.can_download

    @property
    def can_delete(self) -> bool:
        return self.chosen is not None and self.chosen.place != self.running

    def _hint(self) -> tuple[str, str]:
        focus, progress, known = self.focus, self.progress, self.known
        if focus is None:
            return _FIRST, "next"
        name, seeds = f"“{focus.plan.name}”", wording.count(len(focus.plan.seeds), "seed")
        if progress is not None:
            if progress.phase == WAITING and self.ahead:
                others = wording.count(self.ahead, "experiment")
                return (
                    f"{name} waits: {others} of others came first. It starts by itself.",
                    "working",
                )
            what = TECHNIQUES[focus.plan.technique].name
            return (
                f"{name} is running: {what}, {seeds}. Close the page if you like; it goes on.",
                "working",
            )
        if focus.state == FAILED:
            return f"{name} ended early: {focus.message}", "next"
        if focus.state in (STOPPED, GOING):
            return (
                f"{name} is stopped; what was learnt is kept. **Continue** goes on from there.",
                "next",
            )
        if focus.place not in known:
            return f"{name} cannot be read any more. **Delete** it.", "next"
        return _outcome(name, known[focus.place].arm), "done"


class ExperimentsPainter:
    """Looks at visitors' experiments. What a run's results come to is worked out once."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[VisitorExperiments, dict[str, Known]] = WeakKeyDictionary()

    def look(self, own: VisitorExperiments) -> ExperimentsView:
        """The visitor's experiments as they are now."""
        entries, seen = own.entries(), seen_by(own)
        chosen = chosen_entry(own, entries)
        return ExperimentsView(
            entries=entries,
            running=own.running,
            progress=own.progress,
            ahead=own.ahead,
            hidden=seen.hidden,
            chosen=chosen,
            known=self._all_known(own, entries),
            picture=own.store.path(chosen) / CURVES if chosen else None,
            formats=own.base_model.formats,
            own=own,
        )

    def _all_known(self, own: VisitorExperiments, entries: Sequence[Entry]) -> dict[str, Known]:
        before = self._known.get(own, {})
        known = {}
        colours = slots([entry.number for entry in entries])
        for mark, (entry, slot) in enumerate(zip(entries, colours, strict=True), 1):
            try:
                results = own.results(entry)
            except CheckpointError:
                continue  # a finished run that nothing is known of is told to be unreadable
            if not results:
                continue
            old = before.get(entry.place)
            if old is not None and old.results is results and old.series.mark == str(mark):
                known[entry.place] = old
                continue
            arm = Arm(entry.plan.name, results)
            series, row = series_of(arm, str(mark), slot), row_of(arm, entry.plan.technique, "")
            known[entry.place] = Known(results, arm, series, row)
        self._known[own] = known
        return known


def _answers(own: VisitorExperiments, chosen: Entry, looking: Looking) -> tuple[Pair, ...] | str:
    try:
        pairs = own.answers(chosen, looking.seed % len(chosen.plan.seeds), looking.beside)
    except ExperimentError as error:
        return str(error)
    except CheckpointError:
        return "What this run wrote cannot be read any more."
    return pairs or "What it wrote comes here when it has learnt for a while and been tested again."


_FIRST = (
    "Press **Start**: three soft prompts learn side by side, and their mean draws a line beside "
    "what the original experiments published."
)


def _published() -> list[tuple[Series, Row]]:
    found = []
    for slot, (mark, run) in enumerate(zip(_MARKS, PUBLISHED, strict=True)):
        arm = Arm(run.name, (run,))
        found.append((series_of(arm, mark, slot, True), row_of(arm, "original", "published")))
    return found


def _outcome(name: str, arm: Arm) -> str:
    after, before = arm.estimate(final), arm.estimate(initial)
    change = arm.effect(final, initial)
    return (
        f"{name}: **{percent(after.value)} right** on {after.problems} held-out problems "
        f"({wording.between(after.interval)}, {wording.count(after.seeds, 'seed')}), "
        f"{percent(before.value)} before: {change.points} points, "
        f"{wording.p_value(change.p_value)}."
    )


def _no_figure(words: str) -> str:
    return f'<div class="spa-figure spa-figure-empty">{words}</div>'


SAVE_FIGURE = """
element.addEventListener("click", (event) => {
    const link = event.target.closest("a[download]");
    if (link) link.href = link.closest("figure").querySelector("img").src;
});
"""
"""Lets the link under a figure save what the figure shows, so that its bytes are sent once."""
