"""A small plotting kit on Pillow: panels with axes on a sheet, and what can be drawn in them.

Made for reports and model cards: dark ink on white, since those follow no theme, and no plotting
library to install. Everything is drawn twice as large and reduced, because Pillow's lines are
jagged. Texts keep to characters that Pillow's own font has.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

Point = tuple[float, float]

INK, FAINT_INK, GRID = "#1c1917", "#57534e", "#e4e0db"
PALETTE = ("#c2410c", "#4338ca", "#0f766e", "#a16207", "#9d174d", "#0369a1", "#57534e")
PALE = ("#fdba74", "#c7d2fe", "#99f6e4", "#fde68a", "#fbcfe8", "#bae6fd", "#d6d3d1")
SCALE = 2
LEFT, TOP, RIGHT, BOTTOM = 64, 46, 18, 46  # margins around a panel's field, pixels
_DASH = 7.0  # pixels on, pixels off
_LARGEST = 1e300  # value that an axis can end at


@dataclass(frozen=True)
class Axis:
    """From ``low`` to ``high``, with labels at values."""

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    label: str = ""

    def share(self, value: float) -> float:
        """Where a value lies, from 0 at the low end to 1 at the high one."""
        return (value - self.low) / (self.high - self.low or 1.0)


def percent_axis(label: str = "", high: float = 1.0) -> Axis:
    """An axis of shares from 0 to ``high``, 1 or less."""
    steps = [step / 4 * high for step in range(5)]
    return Axis(0.0, high, [(value, f"{value:.0%}") for value in steps], label)


def episodes_axis(last: float, first: float = 0.0) -> Axis:
    """An axis of episodes."""
    ticks = sorted({round(first + (last - first) * step / 4) for step in range(5)})
    return Axis(first, max(last, first + 1), [(tick, f"{tick}") for tick in ticks], "episodes")


def loss_axis(highest: float) -> Axis:
    """An axis of losses from 0 to a little above the highest."""
    top = min(highest, _LARGEST) * 1.05 or 1.0
    values = [top * step / 4 for step in range(5)]
    return Axis(0.0, top, [(v, f"{v:.2f}" if v < 1000 else f"{v:.1e}") for v in values])


def rows_axis(names: Sequence[str]) -> Axis:
    """An axis of names, the first one at the top: row i is at ``len(names) - i - 0.5``."""
    count = len(names)
    return Axis(0.0, count, [(count - i - 0.5, name) for i, name in enumerate(names)])


class Sheet:
    """White paper of so many pixels, with panels on it."""

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)
        self.picture = Image.new("RGB", (width * SCALE, height * SCALE), "white")
        self.canvas = ImageDraw.Draw(self.picture)

    def text(
        self, x: float, y: float, text: str, size: int = 12, ink: str = INK, anchor: str = "ls"
    ) -> None:
        """Text at pixel (x, y), anchored as in Pillow."""
        font = ImageFont.load_default(SCALE * size)
        self.canvas.text((x * SCALE, y * SCALE), text, fill=ink, font=font, anchor=anchor)

    def text_width(self, text: str, size: int = 12) -> float:
        """How many pixels wide a text is."""
        return ImageFont.load_default(SCALE * size).getlength(text) / SCALE

    def png(self) -> bytes:
        """The sheet as a PNG file."""
        data = io.BytesIO()
        reduced = self.picture.resize(self._size, Image.Resampling.LANCZOS)
        reduced.save(data, "PNG")
        return data.getvalue()


class Panel:
    """A field with two axes, at pixel (x, y) of a sheet. Values are drawn in the axes' units."""

    def __init__(
        self,
        sheet: Sheet,
        place: tuple[float, float, float, float],
        title: str,
        across: Axis,
        up: Axis,
        left: float = LEFT,
    ) -> None:
        """``place`` is x, y, width, height, margins included; ``left`` the room for up's labels."""
        x, y, width, height = place
        self._sheet, self._across, self._up = sheet, across, up
        self._x, self._y = x + left, y + TOP
        self._width, self._height = width - left - RIGHT, height - TOP - BOTTOM
        self._named = self._x + self._width  # where the key grows from, leftwards
        sheet.text(self._x, y + 18, title, 14)
        for value, label in up.ticks:
            level = self._place((across.low, value))[1]
            self._stroke([(self._x, level), (self._x + self._width, level)], GRID, 1)
            sheet.text(self._x - 8, level, label, 12, FAINT_INK, "rm")
        for value, label in across.ticks:
            column = self._place((value, up.low))[0]
            sheet.text(column, self._y + self._height + 8, label, 12, FAINT_INK, "mt")
        middle = self._x + self._width / 2
        sheet.text(middle, self._y + self._height + 25, across.label, 12, FAINT_INK, "mt")

    def line(self, points: Sequence[Point], colour: str, width: float = 2.5) -> None:
        """A line through points."""
        if len(points) > 1:
            self._stroke([self._place(point) for point in points], colour, width)

    def dashes(self, value: float, colour: str) -> None:
        """A dashed line across the field at a value of the up axis."""
        level = self._place((self._across.low, value))[1]
        at = self._x
        while at < self._x + self._width:
            end = min(at + _DASH, self._x + self._width)
            self._stroke([(at, level), (end, level)], colour, 1.5)
            at += 2 * _DASH

    def band(self, points: Sequence[tuple[float, float, float]], colour: str) -> None:
        """The area between low and high; points are (across, low, high)."""
        if len(points) > 1:
            upper = [self._place((x, high)) for x, _, high in points]
            lower = [self._place((x, low)) for x, low, _ in reversed(points)]
            outline = [(x * SCALE, y * SCALE) for x, y in (*upper, *lower)]
            self._sheet.canvas.polygon(outline, fill=colour)

    def dot(self, point: Point, colour: str, hollow: bool = False) -> None:
        """A round mark."""
        x, y = self._place(point)
        box = [(value - 4) * SCALE for value in (x, y)] + [(value + 4) * SCALE for value in (x, y)]
        fill = "white" if hollow else colour
        self._sheet.canvas.ellipse(box, fill=fill, outline=colour, width=2 * SCALE)

    def bar_across(self, low: float, high: float, level: float, colour: str) -> None:
        """An interval on the across axis, drawn at a value of the up axis."""
        self._stroke([self._place((low, level)), self._place((high, level))], colour, 2)

    def bar_up(self, at: float, low: float, high: float, colour: str) -> None:
        """An interval on the up axis, drawn at a value of the across axis."""
        self._stroke([self._place((at, low)), self._place((at, high))], colour, 2)

    def name(self, text: str, colour: str) -> None:
        """Add a name in its colour to the key, which stands above the field at its right end."""
        width = self._sheet.text_width(text, 11)
        self._sheet.text(self._named - width, self._y - 8, text, 11, colour)
        self._named -= width + 14

    def note(self, text: str) -> None:
        """A sentence in the middle of an otherwise empty field."""
        x, y = self._x + self._width / 2, self._y + self._height / 2
        self._sheet.text(x, y, text, 12, FAINT_INK, "mm")

    def _place(self, point: Point) -> Point:
        """The pixel of a point, kept within the field."""
        across = min(max(self._across.share(point[0]), 0.0), 1.0)
        up = min(max(self._up.share(point[1]), 0.0), 1.0)
        return self._x + across * self._width, self._y + (1 - up) * self._height

    def _stroke(self, points: Sequence[Point], colour: str, width: float) -> None:
        scaled = [(x * SCALE, y * SCALE) for x, y in points]
        self._sheet.canvas.line(scaled, fill=colour, width=round(width * SCALE), joint="curve")
