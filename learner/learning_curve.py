"""The training curve as a picture for a model card: loss, and how much was answered rightly.

Drawn with Pillow alone, so that a push needs no plotting library; dark ink on white, because model
cards do not follow a theme.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from PIL import Image, ImageDraw, ImageFont

from learner.soft_prompt import StepRecord

_WINDOW = 9  # steps that a smoothed point looks back over
_PLOT_SIZE = (460, 300)  # pixels
_SCALE = 2  # drawn larger, then reduced: Pillow's own lines are jagged
_MARGIN = (64, 46, 18, 44)  # left, top, right, bottom
_INK, _FAINT_INK, _GRID, _RAW, _SMOOTH = "#1c1917", "#57534e", "#e4e0db", "#fdba74", "#c2410c"

Point = tuple[float, float]


@dataclass(frozen=True)
class _Plot:
    """One panel: raw and smoothed points by episode, on a vertical axis from 0 to ``top``."""

    title: str
    raw: Sequence[Point]
    smooth: Sequence[Point]
    top: float
    tick: str  # format of a number on the vertical axis


def draw_learning_curve(history: Sequence[StepRecord]) -> bytes | None:
    """A PNG of ``history``; None if there are too few steps for a curve.

    Left: the loss of each step in nats a token, and its running median. Right: the share of a
    step's problems that the learner would have got right before learning from them, as the mean
    over the latest steps.
    """
    if len(history) < 2:
        return None
    losses = [(float(record.episodes), record.loss) for record in history]
    shares = [(float(record.episodes), record.correct / record.total) for record in history]
    plots = (
        _Plot(
            f"Loss per step, running median of {_WINDOW} (nats a token)",
            losses,
            _smoothed(losses, median),
            max(0.0, *(loss for _, loss in losses)) * 1.05 or 1.0,
            "{:.2f}",
        ),
        _Plot(
            f"Right before learning from it, mean of {_WINDOW} steps",
            (),
            _smoothed(shares, fmean),
            1.0,
            "{:.0%}",
        ),
    )
    width, height = (_SCALE * length for length in _PLOT_SIZE)
    picture = Image.new("RGB", (width * len(plots), height), "white")
    for index, plot in enumerate(plots):
        _draw(ImageDraw.Draw(picture), plot, index * width)
    reduced = picture.resize((_PLOT_SIZE[0] * len(plots), _PLOT_SIZE[1]), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    reduced.save(data, "PNG", optimize=True)
    return data.getvalue()


def _smoothed(points: Sequence[Point], summary: Callable[[Sequence[float]], float]) -> list[Point]:
    values = [value for _, value in points]
    return [
        (episode, summary(values[max(0, index + 1 - _WINDOW) : index + 1]))
        for index, (episode, _) in enumerate(points)
    ]


def _draw(canvas: ImageDraw.ImageDraw, plot: _Plot, offset: int) -> None:
    left, top, right, bottom = (_SCALE * margin for margin in _MARGIN)
    width, height = (_SCALE * length for length in _PLOT_SIZE)
    first, last = plot.smooth[0][0], plot.smooth[-1][0]
    across = max(last - first, 1.0)

    def place(point: Point) -> Point:
        # Within the panel, whatever the history says: it may be a stranger's.
        x, y = (min(max(x, 0.0), 1.0) for x in ((point[0] - first) / across, point[1] / plot.top))
        return (
            offset + left + x * (width - left - right),
            height - bottom - y * (height - top - bottom),
        )

    def write(x: float, y: float, text: str, size: int, ink: str, anchor: str) -> None:
        font = ImageFont.load_default(_SCALE * size)
        canvas.text((x, y), text, fill=ink, font=font, anchor=anchor)

    write(offset + left, top / 2, plot.title, 14, _INK, "lm")
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        value = share * plot.top
        start, end = place((first, value)), place((last, value))
        canvas.line((start, end), fill=_GRID, width=_SCALE)
        write(start[0] - 8 * _SCALE, start[1], plot.tick.format(value), 12, _FAINT_INK, "rm")
    for episode in (first, last):
        x, y = place((episode, 0.0))
        write(x, y + 8 * _SCALE, f"{episode:.0f}", 12, _FAINT_INK, "mt")
    middle = place(((first + last) / 2, 0.0))
    write(middle[0], middle[1] + 22 * _SCALE, "episodes", 12, _FAINT_INK, "mt")
    if plot.raw:
        canvas.line([place(point) for point in plot.raw], fill=_RAW, width=_SCALE)
    smooth = [place(point) for point in plot.smooth]
    canvas.line(smooth, fill=_SMOOTH, width=3 * _SCALE, joint="curve")
