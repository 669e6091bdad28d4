"""Figures of runs: the original experiments' four panels, made honest, and runs side by side."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median

from arena.statistics import Interval
from learner import plot
from learner.experiments.estimates import curve_of, estimate, pooled
from learner.experiments.results import Results, Share
from learner.learning.answer import ANSWER
from learner.learning.signals import SIGNALS
from learner.plot import PALE, PALETTE, Axis, Panel, Sheet

WINDOW = 9  # episodes that a running median looks back over
_WIDTH, _HEIGHT = 520, 330  # of a panel, pixels
_NAMES = 120  # room for the names of families


def learning_curves(runs: Sequence[Results]) -> bytes:
    """A PNG of one run, or of several seeds of one experiment, in four panels.

    The loss of each episode with its running median; held-out accuracy with its 95 % interval and
    the model alone; accuracy by family and by difficulty, before and after.
    """
    sheet = Sheet(2 * _WIDTH, 2 * _HEIGHT)
    _loss_panel(sheet, runs)
    _accuracy_panel(sheet, (_WIDTH, 0, _WIDTH, _HEIGHT), "Held-out accuracy", {"": runs})
    for column, title, kinds in (
        (0, "By family, before and after", [run.families for run in runs]),
        (1, "By difficulty, before and after", [run.difficulties for run in runs]),
    ):
        _before_after_panel(sheet, (column * _WIDTH, _HEIGHT, _WIDTH, _HEIGHT), title, kinds)
    return sheet.png()


def comparison(arms: Mapping[str, Sequence[Results]]) -> bytes:
    """A PNG of several experiments, each one run or several seeds: their accuracy as they learn,
    and accuracy before and after."""
    height = _HEIGHT + 14 * max(0, len(arms) - 6)
    sheet = Sheet(2 * _WIDTH, height)
    _accuracy_panel(sheet, (0, 0, _WIDTH, height), "Held-out accuracy", arms)
    rows = plot.rows_axis(list(arms))
    panel = Panel(
        sheet,
        (_WIDTH, 0, _WIDTH, height),
        "Before (hollow) and after",
        plot.percent_axis("accuracy, with its 95 % interval"),
        rows,
        left=_room(sheet, arms),
    )
    colours = _colours(len(arms))
    for (level, _), runs, colour in zip(rows.ticks, arms.values(), colours, strict=True):
        for scores, shift, hollow in (
            ([run.curve[0] for run in runs], 0.16, True),
            ([run.final for run in runs], -0.16, False),
        ):
            mean = estimate(scores)
            panel.bar_across(mean.interval.low, mean.interval.high, level + shift, colour)
            panel.dot((mean.value, level + shift), colour, hollow)
    return sheet.png()


def effects(rows: Mapping[str, tuple[float, Interval]], title: str) -> bytes:
    """A PNG of differences in accuracy with their 95 % intervals, one row each, around zero."""
    height = 90 + 26 * len(rows)
    # Both ways alike, so that zero is in the middle.
    reach = max([0.05, *(max(abs(i.low), abs(i.high)) for _, i in rows.values())])
    ticks = [(share * reach, f"{share * reach:+.0%}") for share in (-1, -0.5, 0, 0.5, 1)]
    sheet = Sheet(2 * _WIDTH, height)
    names = plot.rows_axis(list(rows))
    panel = Panel(
        sheet,
        (0, 0, 2 * _WIDTH, height),
        title,
        Axis(-reach, reach, ticks, "difference in accuracy, with its 95 % interval"),
        names,
        left=_room(sheet, rows),
    )
    panel.bar_up(0.0, 0.0, float(len(rows)), plot.FAINT_INK)
    for (level, _), (value, interval) in zip(names.ticks, rows.values(), strict=True):
        clear = interval.low > 0 or interval.high < 0
        colour = PALETTE[2 if value > 0 else 0] if clear else plot.FAINT_INK
        panel.bar_across(interval.low, interval.high, level, colour)
        panel.dot((value, level), colour, hollow=not clear)
    return sheet.png()


def _loss_panel(sheet: Sheet, runs: Sequence[Results]) -> None:
    losses = [run.losses for run in runs]
    highest = max((loss for line in losses for _, loss in line), default=1.0)
    last = max((episode for line in losses for episode, _ in line), default=1)
    panel = Panel(
        sheet,
        (0, 0, _WIDTH, _HEIGHT),
        f"Loss per episode ({_loss_of(runs)})",
        plot.episodes_axis(last),
        plot.loss_axis(highest),
    )
    if not any(losses):
        panel.note("no losses were written down")
    for line, pale in zip(losses, _colours(len(losses), PALE), strict=True):
        panel.line(line, pale, 1)
    for line, colour in zip(losses, _colours(len(losses)), strict=True):
        values = [loss for _, loss in line]
        smooth = [
            (episode, median(values[max(0, i + 1 - WINDOW) : i + 1]))
            for i, (episode, _) in enumerate(line)
        ]
        panel.line(smooth, colour)
    panel.name(f"running median of {WINDOW}", PALETTE[0])


def _loss_of(runs: Sequence[Results]) -> str:
    """What the losses of runs of one experiment are."""
    experiment = runs[0].experiment
    return (SIGNALS[experiment.config.signal] if experiment else ANSWER).loss


def _accuracy_panel(
    sheet: Sheet,
    place: tuple[float, float, float, float],
    title: str,
    arms: Mapping[str, Sequence[Results]],
) -> None:
    counts = {score.n for runs in arms.values() for run in runs for score in run.curve}
    seeds = {len(runs) for runs in arms.values()}
    what = f" of {_range(counts)} problems" + (f", {_range(seeds)} seeds" if max(seeds) > 1 else "")
    last = max(run.episodes for runs in arms.values() for run in runs)
    panel = Panel(sheet, place, title + what, plot.episodes_axis(last), plot.percent_axis())
    colours = _colours(len(arms))
    lines = []
    for runs, pale in zip(arms.values(), _colours(len(arms), PALE), strict=True):
        points = [
            (episodes, one.value, one.interval.low, one.interval.high)
            for episodes, one in curve_of(runs).items()
        ]
        if len(arms) == 1:
            panel.band([(x, low, high) for x, _, low, high in points], pale)
        lines.append(points)
    for points, runs, colour in zip(lines, arms.values(), colours, strict=True):
        for x, _, low, high in points if len(arms) > 1 else ():
            panel.bar_up(x, low, high, colour)
        panel.line([(x, y) for x, y, _, _ in points], colour)
        for x, y, _, _ in points:
            panel.dot((x, y), colour)
        alone = [run.alone for run in runs if run.alone is not None]
        if alone:
            panel.dashes(estimate(alone).value, colour if len(arms) > 1 else plot.FAINT_INK)
    panel.name("- -  model alone", plot.FAINT_INK)


def _before_after_panel(
    sheet: Sheet,
    place: tuple[float, float, float, float],
    title: str,
    kinds: Sequence[Mapping[str, tuple[Share, Share]]],
) -> None:
    names = [name for name in kinds[0] if all(name in kind for kind in kinds)]
    rows = plot.rows_axis([name.replace("_", " ") for name in names] or [""])
    panel = Panel(sheet, place, title, plot.percent_axis(), rows, left=_NAMES)
    if not names:
        panel.note("nobody wrote this down")
    for (level, _), name in zip(rows.ticks, names, strict=bool(names)):
        for place_, shift, colour in ((0, 0.13, plot.FAINT_INK), (1, -0.13, PALETTE[0])):
            groups = [kind[name][place_] for kind in kinds]
            interval = pooled(groups).interval
            if interval is not None:
                panel.bar_across(interval.low, interval.high, level + shift, colour)
            accuracy = fmean(group.accuracy for group in groups)
            panel.dot((accuracy, level + shift), colour, hollow=place_ == 0)
    panel.name("after", PALETTE[0])
    panel.name("before", plot.FAINT_INK)


def _room(sheet: Sheet, names: Iterable[str]) -> float:
    """The room that the longest of these names takes beside a panel, pixels."""
    return max(sheet.text_width(name) for name in names) + 20


def _colours(count: int, palette: Sequence[str] = PALETTE) -> list[str]:
    return [palette[i % len(palette)] for i in range(count)]


def _range(values: set[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"
