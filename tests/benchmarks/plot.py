"""Curves of time and memory as an SVG picture, on logarithmic axes, without a plotting library."""

import math
from collections.abc import Sequence
from html import escape

from tests.benchmarks.timing import Point, duration

_WIDTH, _HEIGHT, _MARGIN = 300, 220, 52  # pixels of a panel, and of the space around its axes
_LEAST_SPAN = 10  # the greatest value of an axis over its least, at least
_INK, _FAINT, _LINE, _GUIDE = "#1c1917", "#57534e", "#c2410c", "#d6d3d1"


def draw(points: Sequence[Point]) -> str:
    """An SVG with a panel of time and one of memory for each axis; ``points`` in order of size.

    A grey line through the first point shows what linear growth would be.
    """
    axes = list(dict.fromkeys(point.axis for point in points))
    panels = []
    for column, axis in enumerate(axes):
        own = [point for point in points if point.axis == axis]
        times = [(point.size, point.seconds) for point in own]
        memory = [(point.size, point.peak_bytes) for point in own if point.peak_bytes]
        for row, (title, curve, label) in enumerate(
            (("time of a step", times, duration), ("peak memory", memory, _megabytes))
        ):
            if curve:
                where = f'<g transform="translate({column * _WIDTH},{row * _HEIGHT})">'
                panels.append(f"{where}{_panel(f'{title} by {axis}', curve, label)}</g>")
    width, height = len(axes) * _WIDTH, 2 * _HEIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>'
        f"{''.join(panels)}</svg>\n"
    )


def _panel(title: str, curve, label) -> str:
    sizes, values = zip(*curve, strict=True)
    across = _scale(min(sizes), max(sizes), _MARGIN, _WIDTH - 28)
    highest = max(max(values), _LEAST_SPAN * min(values))  # so that what hardly grows looks flat
    up = _scale(min(values), highest, _HEIGHT - _MARGIN, 34)
    places = [(across(size), up(value)) for size, value in curve]
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [f'<text x="{_MARGIN}" y="18" fill="{_INK}" font-size="12">{escape(title)}</text>']
    if len(curve) > 1:
        # Linear growth, up to where it leaves the panel.
        reach = min(sizes[-1], sizes[0] * highest / values[0])
        end = across(reach), up(values[0] * reach / sizes[0])
        (x, y) = places[0]
        parts.append(
            f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" '
            f'stroke="{_GUIDE}" stroke-width="2"/>'
        )
    parts.append(f'<polyline points="{corners}" fill="none" stroke="{_LINE}" stroke-width="2"/>')
    for (x, y), size, value in zip(places, sizes, values, strict=True):
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{_LINE}"/>')
        parts.append(_text(x, _HEIGHT - 22, _count(size), "middle"))
        if (size, value) == curve[0]:
            parts.append(_text(x, y + 14, label(value), "start"))
        elif (size, value) == curve[-1]:
            parts.append(_text(x, y - 8, label(value), "end"))
    return "".join(parts)


def _scale(low: float, high: float, start: float, end: float):
    """A function from values to pixels on a logarithmic axis from ``low`` to ``high``."""
    spread = math.log(high / low) or 1.0
    return lambda value: start + math.log(value / low) / spread * (end - start)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{_FAINT}" text-anchor="{anchor}">{text}</text>'


def _count(number: float) -> str:
    if number < 1e6:
        return f"{number:g}"
    return f"{number / 1e6:.0f} M" if number < 1e9 else f"{number / 1e9:.1f} B"


def _megabytes(number: float) -> str:
    return f"{number / 1e6:.0f} MB"
