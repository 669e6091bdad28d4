"""Pictures of an inspection, for its report and for a model card."""

import math
from collections.abc import Callable, Sequence

from learner import plot
from learner.inspection.findings import made, shown
from learner.inspection.likeness import Ranking
from learner.inspection.listening import Listening
from learner.inspection.size import Size
from learner.inspection.strength import Path, Strength
from learner.inspection.vectors import Vectors
from learner.inspection.whole import Parts
from learner.plot import FAINT_INK, PALE, PALETTE, Axis, Panel, Sheet

_WIDTH, _HEIGHT = 620, 360
_ROW = 22  # pixels for a row of names
_NAMES = 250


def strength_picture(part: Strength) -> bytes:
    """Accuracy along the line with its interval, and the control."""
    sheet = Sheet(_WIDTH, _HEIGHT)
    marks = [(0.0, "untrained"), (0.5, "50 %"), (1.0, "trained"), (1.5, "150 %")]
    across = Axis(0.0, part.places[-1], marks, "strength")
    n = part.scores[0].n
    title = f"From untrained to trained, and beyond (n = {n})"
    panel = Panel(sheet, (0, 0, _WIDTH, _HEIGHT), title, across, plot.percent_axis())
    line = list(zip(part.places, part.scores, strict=True))
    panel.band([(x, s.interval.low, s.interval.high) for x, s in line], PALE[0])
    panel.line([(x, s.accuracy) for x, s in line], PALETTE[0])
    for x, score in zip(part.control_places, part.control, strict=True):
        panel.bar_up(x, score.interval.low, score.interval.high, FAINT_INK)
        panel.dot((x, score.accuracy), FAINT_INK, hollow=True)
    panel.name("a random direction", FAINT_INK)
    panel.name("towards what was learnt", PALETTE[0])
    return sheet.png()


def path_picture(part: Path) -> bytes:
    """Accuracy at moments of training."""
    sheet = Sheet(_WIDTH, _HEIGHT)
    last = part.moments[-1]
    title = f"The way training took (n = {last[1].n})"
    across = plot.episodes_axis(last[0], part.moments[0][0])
    panel = Panel(sheet, (0, 0, _WIDTH, _HEIGHT), title, across, plot.percent_axis())
    panel.band([(e, s.interval.low, s.interval.high) for e, s in part.moments], PALE[0])
    panel.line([(e, s.accuracy) for e, s in part.moments], PALETTE[0])
    return sheet.png()


def vectors_picture(part: Vectors) -> bytes:
    """Each vector's share of the gain, and what it does alone."""
    names = [f"vector {i + 1}" for i in range(len(part.shares))]
    height = plot.TOP + plot.BOTTOM + 30 * len(names)
    sheet = Sheet(_WIDTH, height)
    low = min(0.0, *(share.interval.low for share in part.shares))
    high = max(0.05, *(share.interval.high for share in part.shares))
    high = max(high, *(one.change.interval.high for one in part.alone))
    low = min(low, *(one.change.interval.low for one in part.alone))
    rows = plot.rows_axis(names)
    title = f"What each vector carries (n = {part.problems_for_shares})"
    across = _points_axis(low, high, "points of accuracy")
    panel = Panel(sheet, (0, 0, _WIDTH, height), title, across, rows, left=90)
    for (level, _), share, alone in zip(rows.ticks, part.shares, part.alone, strict=True):
        for value, interval, colour, shift in (
            (share.value, share.interval, PALETTE[0], 0.14),
            (alone.change.value, alone.change.interval, PALETTE[1], -0.14),
        ):
            panel.bar_across(interval.low, interval.high, level + shift, colour)
            panel.dot((value, level + shift), colour)
    panel.name("trained alone", PALETTE[1])
    panel.name("share of the gain", PALETTE[0])
    return sheet.png()


def likeness_picture(part: Ranking) -> bytes:
    """How far each text is from the soft prompt, and, hollow, from the untrained one."""
    names = [f"{shown(one)} {one.score.accuracy:.0%}" for one in part.trained]
    height = plot.TOP + plot.BOTTOM + _ROW * len(names)
    sheet = Sheet(_WIDTH + 80, height)
    control = {one.text: one for one in part.untrained}
    high = max(one.interval.high for one in (*part.trained, *part.untrained))
    across = Axis(0.0, high, _ticks(0.0, high, "{:.1f}"), "nats an answer: 0 is no difference")
    title = f"Acts like (n = {part.problems}; behind a text: its accuracy)"
    rows = plot.rows_axis([_plain(name) for name in names])
    panel = Panel(sheet, (0, 0, _WIDTH + 80, height), title, across, rows, left=_NAMES + 80)
    for (level, _), one in zip(rows.ticks, part.trained, strict=True):
        other = control[one.text]
        panel.dot((other.divergence, level - 0.12), FAINT_INK, hollow=True)
        panel.bar_across(one.interval.low, one.interval.high, level + 0.12, PALETTE[0])
        panel.dot((one.divergence, level + 0.12), PALETTE[0])
    panel.name("untrained", FAINT_INK)
    panel.name("trained", PALETTE[0])
    return sheet.png()


def size_picture(part: Size) -> bytes:
    """Accuracy of each smaller prompt, largest first."""
    smaller = sorted((*part.bits, *part.rank, *part.vectors, *part.both), key=lambda s: -s.bytes)
    names = [_plain(f"{one.bytes:,} bytes: {made(one)}") for one in smaller]
    height = plot.TOP + plot.BOTTOM + _ROW * len(names)
    sheet = Sheet(_WIDTH + 60, height)
    rows = plot.rows_axis(names)
    title = f"How small it can be (n = {part.whole.n})"
    place = (0, 0, _WIDTH + 60, height)
    panel = Panel(sheet, place, title, plot.percent_axis("accuracy"), rows, left=_NAMES + 60)
    for (level, _), one in zip(rows.ticks, smaller, strict=True):
        colour = PALETTE[0] if one.loses_nothing else FAINT_INK
        panel.bar_across(one.score.interval.low, one.score.interval.high, level, colour)
        panel.dot((one.score.accuracy, level), colour, hollow=not one.loses_nothing)
    panel.name("may lose more", FAINT_INK)
    panel.name("sure to lose less than 5 points", PALETTE[0])
    return sheet.png()


def listening_picture(part: Listening) -> bytes:
    """The change in each head's attention to the soft prompt, a row a layer."""
    names = [f"layer {i + 1}" for i in range(len(part.heads))]
    height = plot.TOP + plot.BOTTOM + _ROW * len(names)
    sheet = Sheet(_WIDTH, height)
    rows = plot.rows_axis(names)
    shares = [share for layer in part.heads for share in layer]
    across = _points_axis(min(0.0, *shares), max(0.0, *shares), "points of attention, a dot a head")
    title = f"More attention to the soft prompt than untrained (n = {part.problems})"
    panel = Panel(sheet, (0, 0, _WIDTH, height), title, across, rows, left=90)
    for (level, _), layer in zip(rows.ticks, part.heads, strict=True):
        for share in layer:
            panel.dot((share, level), PALETTE[0], hollow=True)
    return sheet.png()


PICTURES: dict[type, Callable[..., bytes]] = {
    Strength: strength_picture,
    Path: path_picture,
    Vectors: vectors_picture,
    Ranking: likeness_picture,
    Size: size_picture,
    Listening: listening_picture,
}


def pictures(parts: Parts) -> dict[str, bytes]:
    """A PNG for each of the parts that there is one for, by the part's name."""
    return {
        name: PICTURES[type(part)](part) for name, part in parts.items() if type(part) in PICTURES
    }


def _points_axis(low: float, high: float, label: str) -> Axis:
    """An axis of differences, in points."""
    room = 0.04 * (high - low or 0.01)
    low, high = low - room, high + room
    ticks = [(v, f"{float(t) * 100:+.0f}" if v else "0") for v, t in _ticks(low, high)]
    return Axis(low, high, ticks, label)


def _ticks(low: float, high: float, form: str = "{}") -> Sequence[tuple[float, str]]:
    """A few round values on the axis."""
    power = 10.0 ** math.floor(math.log10(high - low))
    step = next(power * size for size in (0.2, 0.5, 1, 2) if (high - low) / (power * size) <= 6)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [(i * step, form.format(i * step)) for i in range(first, last + 1)]


def _plain(text: str) -> str:
    """Pillow's own font has no curly quotes, and no sign for times."""
    return text.replace("“", '"').replace("”", '"').replace("…", "...").replace("×", "x")
