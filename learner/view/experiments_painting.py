"""From a desk to what the Experiments tab shows of it: pictures, lines, rows and button states."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from weakref import WeakKeyDictionary

from learner import wording
from learner.checkpoint.reading import CheckpointError
from learner.experiments.desk import Desk
from learner.experiments.estimates import Arm, final, initial
from learner.experiments.folder import CURVES
from learner.experiments.original import PUBLISHED
from learner.experiments.pace import LEARNING, MEASURING, STARTING, WAITING, Progress
from learner.experiments.plan import TECHNIQUES
from learner.experiments.results import Results
from learner.experiments.shelf import FAILED, FINISHED, GOING, STOPPED, Entry
from learner.view import cards
from learner.view.chart_parts import percent
from learner.view.experiments_chart import Series, baselines_of, experiments_chart, series_of, slots
from learner.view.experiments_seen import HIDDEN_AT_FIRST, PUBLISHED_NAMES, chosen_entry, seen_by
from learner.view.experiments_table import Row, row_of, row_without

_MARKS = "ABC"
_STATES = {GOING: "running", STOPPED: "stopped", FAILED: "failed", FINISHED: "finished"}


@dataclass(frozen=True)
class Options:
    """What there is to choose from, as (label, value), and what is chosen."""

    choices: tuple[tuple[str, str], ...]
    value: tuple[str, ...] | str | None


@dataclass(frozen=True)
class Picture:
    """What the tab shows: HTML, choices, rows, and which buttons can be pressed."""

    hint: str
    progress: str
    can_start: bool
    can_stop: bool
    can_continue: bool
    chart: str
    shown: Options
    rows: tuple[Row, ...]
    chosen: Options
    figure: str
    can_use: bool
    can_download: bool
    can_delete: bool


@dataclass(frozen=True)
class Known:
    """What was made of the results of a run, as long as they are the same."""

    results: tuple[Results, ...]
    arm: Arm
    series: Series
    row: Row  # its state aside


class ExperimentsPainter:
    """Paints desks. What a run's results come to is worked out once."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[Desk, dict[str, Known]] = WeakKeyDictionary()

    def paint(self, desk: Desk) -> Picture:
        """The tab as it should look now."""
        entries, progress, seen = desk.entries(), desk.progress, seen_by(desk)
        running = progress.place if progress else None
        chosen = chosen_entry(desk, entries)
        focus = next((entry for entry in entries if entry.place == running), chosen)
        known = self._all_known(desk, entries)
        labels = [(entry.plan.name, entry.place) for entry in entries]
        shown = [*((name, place) for name, place in labels), *((n, n) for n in PUBLISHED_NAMES)]
        rest = chosen is not None and chosen.place != running
        return Picture(
            hint=cards.hint(*_hint(desk, focus, progress, known)),
            progress=_progress_bar(progress),
            can_start=progress is None,
            can_stop=progress is not None,
            can_continue=progress is None and focus is not None and focus.state != FINISHED,
            chart=_chart(entries, known, seen.hidden),
            shown=Options(tuple(shown), tuple(key for _, key in shown if key not in seen.hidden)),
            rows=_rows(desk, entries, known, progress),
            chosen=Options(tuple(reversed(labels)), chosen.place if chosen else None),
            figure=_figure(desk, chosen),
            can_use=rest and chosen is not None and chosen.place in known,
            can_download=chosen is not None and chosen.place in known,
            can_delete=rest,
        )

    def empty(self) -> Picture:
        """The tab of somebody who has not tried anything yet."""
        shown = tuple((name, name) for name in PUBLISHED_NAMES)
        visible = tuple(name for name in PUBLISHED_NAMES if name not in HIDDEN_AT_FIRST)
        return Picture(
            hint=cards.hint(_FIRST),
            progress=_progress_bar(None),
            can_start=True,
            can_stop=False,
            can_continue=False,
            chart=_chart((), {}, HIDDEN_AT_FIRST),
            shown=Options(shown, visible),
            rows=tuple(row for _, row in _published()),
            chosen=Options((), None),
            figure=_no_figure(None),
            can_use=False,
            can_download=False,
            can_delete=False,
        )

    def _all_known(self, desk: Desk, entries: Sequence[Entry]) -> dict[str, Known]:
        before = self._known.get(desk, {})
        known = {}
        colours = slots([entry.number for entry in entries])
        for mark, (entry, slot) in enumerate(zip(entries, colours, strict=True), 1):
            try:
                results = desk.results(entry)
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
        self._known[desk] = known
        return known


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


def _chart(entries: Sequence[Entry], known: dict[str, Known], hidden: Sequence[str]) -> str:
    visible = [known[e.place] for e in entries if e.place in known and e.place not in hidden]
    published = [series for series, _ in _published() if series.name not in hidden]
    lines = [*(one.series for one in visible), *published]
    return experiments_chart(lines, baselines_of([one.arm for one in visible]))


def _rows(
    desk: Desk, entries: Sequence[Entry], known: dict[str, Known], progress: Progress | None
) -> tuple[Row, ...]:
    rows = []
    for entry in entries:
        plan = entry.plan
        state = _STATES[entry.state]
        if entry.state == GOING and progress is None:
            state = "interrupted"
        elif progress is not None and progress.place == entry.place and progress.phase == WAITING:
            state = "waiting"
        elif entry.state == FINISHED and entry.place not in known:
            state = "unreadable"
        if entry.place in known:
            rows.append((*known[entry.place].row[:-1], state))
        else:
            chat = plan.experiment.config.chat_template
            rows.append(row_without(plan.name, plan.technique, chat, state))
    return (*reversed(rows), *(row for _, row in _published()))


def _hint(
    desk: Desk, focus: Entry | None, progress: Progress | None, known: dict[str, Known]
) -> tuple[str, str]:
    if focus is None:
        return _FIRST, "next"
    name, seeds = f"“{focus.plan.name}”", wording.count(len(focus.plan.seeds), "seed")
    if progress is not None:
        if progress.phase == WAITING and desk.ahead:
            others = wording.count(desk.ahead, "experiment")
            return f"{name} waits: {others} of others came first. It starts by itself.", "working"
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


def _outcome(name: str, arm: Arm) -> str:
    after, before = arm.estimate(final), arm.estimate(initial)
    change = arm.effect(final, initial)
    low, high = after.interval.low, after.interval.high
    return (
        f"{name}: **{percent(after.value)} right** on {after.problems} held-out problems "
        f"({100 * low:.0f}–{percent(high)}, {wording.count(after.seeds, 'seed')}), "
        f"{percent(before.value)} before: {wording.change(change.value, change.interval)} points, "
        f"{wording.p_value(change.p_value)}."
    )


def _progress_bar(progress: Progress | None) -> str:
    if progress is None:
        return cards.progress(0, 0, None, None)
    left = progress.seconds_left
    rest = "" if left is None else f" · {cards.duration(left)} left"
    note = {
        WAITING: "waiting for its turn",
        STARTING: f"learning where to start, {progress.part} of {progress.whole}",
        MEASURING: f"testing, {progress.part} of {progress.whole} answers{rest}",
        LEARNING: "",
    }[progress.phase]
    if not progress.total:
        return cards.progress(0, 0, None, None, note)
    return cards.progress(progress.done, progress.total, progress.rate, left, note)


def _figure(desk: Desk, chosen: Entry | None) -> str:
    if chosen is None or chosen.state != FINISHED:
        return _no_figure(chosen)
    path: Path = desk.shelf.path(chosen) / CURVES
    if not path.is_file():
        return _no_figure(chosen)
    data = base64.b64encode(path.read_bytes()).decode()
    name = escape(chosen.plan.name, quote=True)
    words = "loss, held-out accuracy, and accuracy by family and by difficulty before and after"
    source = f"data:image/png;base64,{data}"
    return (
        f'<figure class="spa-figure"><img src="{source}" alt="Learning curves of {name}: {words}">'
        f'<figcaption><a href="{source}" download="{escape(chosen.place)}-learning_curves.png">'
        "Download the figure</a></figcaption></figure>"
    )


def _no_figure(chosen: Entry | None) -> str:
    words = "Its figure is drawn when it has ended." if chosen else "Your runs' figures come here."
    return f'<div class="spa-figure spa-figure-empty">{words}</div>'
