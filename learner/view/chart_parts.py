"""What pictures of learning are made of: a frame with words for it, axes, lines, numbers.

Lines and bands are SVG stretched to the box; dots, ticks and words are HTML laid over it in per
cent, so text keeps its size and dots stay round at any width.
"""

from collections.abc import Sequence
from html import escape
from itertools import pairwise

from learner.view.help import about
from learner.wording import NARROW_SPACE

MOST_HOVERED = 200  # places of a picture that have words of their own


def frame(
    title: str,
    note: str,
    body: str,
    words: str,
    kind: str,
    hover: str = "",
    word: str = "",
    by_keys: str = "Arrow keys tell its values.",
) -> str:
    """A picture with its heading; ``words`` are read out instead, ``hover`` explains the note.

    ``word`` is one that needs to be explained; ``by_keys`` says what keys do, if it has values.
    """
    mark = f" {about(word)}" if word else ""
    keys = ""
    if "spa-hover" in body:
        keys = f' tabindex="0" data-index="values" aria-description="{by_keys}"'
    tip = f' title="{escape(hover, quote=True)}"' if hover else ""
    return (
        f'<div class="spa-chart {kind}"><div class="spa-chart-head"><h2>{escape(title)}{mark}</h2>'
        f"<p{tip}>{escape(note) or '&nbsp;'}</p></div>"
        f'<div role="img" aria-label="{escape(words, quote=True)}"{keys}>{body}</div></div>'
    )


def plot(
    field: str, y_ticks: Sequence[tuple[float, str]], x_ticks: Sequence[tuple[float, str, str]]
) -> str:
    """A field with labelled axes; ticks are (share of the axis, label[, alignment])."""
    left = "".join(
        f'<span style="bottom:{100 * y:.2f}%">{escape(label)}</span>' for y, label in y_ticks
    )
    below = "".join(
        f'<span class="spa-tick-{align}" style="left:{100 * x:.2f}%">{escape(label)}</span>'
        for x, label, align in x_ticks
    )
    lines = "".join(f'<i style="bottom:{100 * y:.2f}%"></i>' for y, _ in y_ticks)
    return (
        f'<div class="spa-plot"><div class="spa-yaxis">{left}</div>'
        f'<div class="spa-field"><div class="spa-grid">{lines}</div>{field}</div>'
        f'<div class="spa-xaxis">{below}</div></div>'
    )


def svg(shapes: str) -> str:
    return (
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">{shapes}</svg>'
    )


def hovered(points: Sequence[tuple[float, str]]) -> str:
    """The values along a picture, as `values.js` tells them: words at shares of its width."""
    kept = points[:: max(1, len(points) // MOST_HOVERED)]
    edges = [(one[0] + other[0]) / 2 for one, other in pairwise(kept)]
    spans = zip([0.0, *edges], [*edges, 1.0], kept, strict=True) if kept else ()
    return "".join(
        f'<rect class="spa-hover" x="{100 * left:.2f}" y="0" width="{100 * (right - left):.2f}" '
        f'height="100" data-words="{escape(words, quote=True)}"/>'
        for left, right, (_, words) in spans
    )


def line(points: Sequence[tuple[float, float]], kind: str) -> str:
    coordinates = " ".join(f"{100 * x:.2f},{100 - 100 * y:.2f}" for x, y in points)
    return f'<polyline class="{kind}" points="{coordinates}"/>'


def percent_ticks() -> list[tuple[float, str]]:
    return [(x / 100, f"{x}{NARROW_SPACE}%") for x in (0, 25, 50, 75, 100)]


def axis_end(episodes: int) -> int:
    """The smallest of 4, 8, 12, 16, 20, 24, 32, 40, 80, 120, … not below ``episodes``."""
    power = 4
    while 10 * power < episodes:
        power *= 10
    return next(m * power for m in (1, 2, 3, 4, 5, 6, 8, 10) if m * power >= episodes)


def episode_ticks(top: int) -> list[tuple[float, str, str]]:
    inner = [(quarter / 4, str(top * quarter // 4), "middle") for quarter in (1, 2, 3)]
    return [(0.0, "0", "start"), *inner, (1.0, f"{top} episodes", "end")]


def running_mean(values: Sequence[float], width: int = 5) -> list[float]:
    """Mean of each value and the up to ``width - 1`` before it."""
    windows = [values[max(0, i - width + 1) : i + 1] for i in range(len(values))]
    return [sum(window) / len(window) for window in windows]
