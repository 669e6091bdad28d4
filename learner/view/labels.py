"""Where the words of the accuracy chart stand: on no other words, and on no line but their own.

The field has the size below at its least; wider ones have more room for the same places.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

WIDTH, HEIGHT = 290, 170  # pixels of the smallest field
BASELINE_WIDTH, SCORE_WIDTH = 212, 34  # pixels that the words take
LETTER = 13  # pixels, their height


class Box(NamedTuple):
    """Edges in pixels, from the field's left and from its bottom."""

    left: float
    right: float
    low: float
    high: float


class Places(NamedTuple):
    """``score`` is where the latest score stands beside its dot: above, under, left or right.

    ``baselines`` says of each dashed line on which side its name begins (left or right), and how
    many pixels above the line its foot is.
    """

    score: str
    baselines: dict[bool, tuple[str, int]]


def places(last: tuple[float, float] | None, baselines: Mapping[bool, float]) -> Places:
    """The best places for the names of dashed lines at these heights and for the latest score.

    ``last`` is its dot as (share of the width, share of the height), None without one. Earlier
    choices are liked better: names above their line, that of the template left.
    """
    lines = [height * HEIGHT for height in baselines.values()]
    dots = [_dot(last)] if last else []
    names = list(baselines)
    offsets = (3, 17, -16, -30, 31, -44, 45, -58)
    sides = [("left", "right") if name else ("right", "left") for name in names]
    choices = [list(product(offsets, own)) for own in sides]
    beside = ("above", "under", "left", "right") if last else ("above",)
    best, least = None, float("inf")
    for score, chosen in product(beside, product(*choices)):
        cost = 0.01 * beside.index(score) + 0.01 * sum(
            offsets.index(offset) + own.index(side)
            for own, (offset, side) in zip(sides, chosen, strict=True)
        )
        if cost >= least:
            continue
        found = [
            _name(line, offset, side) for line, (offset, side) in zip(lines, chosen, strict=True)
        ]
        found += [_score(last, score)] if last else []
        cost += sum(_overlap(one, other) for one, other in _pairs(found))
        cost += sum(0.4 for box in found for line in lines if box.low < line < box.high)
        cost += 0.5 * sum(_overlap(box, dot) > 0 for box in found[: len(lines)] for dot in dots)
        cost += sum(2.0 for box in found if box.low < 0 or box.high > HEIGHT)
        cost += sum(2.0 for box in found if box.left < 0 or box.right > WIDTH)
        if cost < least:
            sided = {
                name: (side, offset) for name, (offset, side) in zip(names, chosen, strict=True)
            }
            best, least = Places(score, sided), cost
    assert best is not None, "there is always a first choice"
    return best


def boxes(last: tuple[float, float] | None, baselines: Mapping[bool, float]) -> list[Box]:
    """The room that the words take at their places: of each name, then of the latest score."""
    chosen = places(last, baselines)
    names = [
        _name(height * HEIGHT, offset, side)
        for height, (side, offset) in zip(
            baselines.values(), chosen.baselines.values(), strict=True
        )
    ]
    return [*names, _score(last, chosen.score)] if last else names


def _name(line: float, offset: int, side: str) -> Box:
    left = 6.0 if side == "left" else WIDTH - 2.0 - BASELINE_WIDTH
    return Box(left, left + BASELINE_WIDTH, line + offset, line + offset + LETTER)


def _score(last: tuple[float, float], place: str) -> Box:
    x, y = last[0] * WIDTH, last[1] * HEIGHT
    if place in ("above", "under"):
        low = y + 11 if place == "above" else y - 11 - LETTER
        left = min(max(x - SCORE_WIDTH / 2, 0.0), WIDTH - SCORE_WIDTH)
        return Box(left, left + SCORE_WIDTH, low, low + LETTER)
    left = x + 11 if place == "right" else x - 11 - SCORE_WIDTH
    return Box(left, left + SCORE_WIDTH, y - LETTER / 2, y + LETTER / 2)


def _dot(last: tuple[float, float]) -> Box:
    x, y = last[0] * WIDTH, last[1] * HEIGHT
    return Box(x - 8, x + 8, y - 8, y + 8)


def _pairs(found: Sequence[Box]) -> list[tuple[Box, Box]]:
    return [(one, other) for i, one in enumerate(found) for other in found[i + 1 :]]


def _overlap(one: Box, other: Box) -> float:
    """1 and more where they meet, 0 where they do not."""
    wide = min(one.right, other.right) - max(one.left, other.left)
    tall = min(one.high, other.high) - max(one.low, other.low)
    return 1 + wide * tall / 1000 if wide > 0 and tall > 0 else 0.0
