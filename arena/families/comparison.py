"""Who is the tallest? Put people in order from pairwise comparisons, then name one of them.

Every problem states the whole chain of neighbours, so exactly one order fits.

1. three people, comparisons in order and all the same way round
2. three people, shuffled, either way round ("Bob is shorter than Alice")
3. four people, likewise
4. five people, negated comparisons too ("Bob is not as tall as Alice"), runners-up asked for
5. six people, and a comparison of something else that has nothing to do with it
"""

import random
from itertools import pairwise
from typing import NamedTuple

from arena.problem import Problem
from arena.words import PEOPLE


class Scale(NamedTuple):
    """A property in which people differ, named from both ends."""

    adjective: str
    more: str
    less: str
    most: str
    least: str


SCALES = (
    Scale("tall", "taller", "shorter", "tallest", "shortest"),
    Scale("old", "older", "younger", "oldest", "youngest"),
    Scale("fast", "faster", "slower", "fastest", "slowest"),
    Scale("strong", "stronger", "weaker", "strongest", "weakest"),
    Scale("rich", "richer", "poorer", "richest", "poorest"),
)

PEOPLE_COUNT = {1: 3, 2: 3, 3: 4, 4: 5, 5: 6}


def generate(rng: random.Random, difficulty: int) -> Problem:
    """A comparison problem; the answer is a name."""
    scale, other_scale = rng.sample(SCALES, 2)
    order = tuple(rng.sample(PEOPLE, PEOPLE_COUNT[difficulty]))  # from most to least
    clues = [compare(rng, scale, more, less, difficulty) for more, less in pairwise(order)]
    if difficulty >= 5:
        first, second = rng.sample(order, 2)
        clues.append(compare(rng, other_scale, first, second, difficulty=1))
    if difficulty >= 2:
        rng.shuffle(clues)

    rank = rng.choice((0, -1, 1, -2) if difficulty >= 4 else (0, -1))
    asked = {0: scale.most, 1: f"second {scale.most}", -1: scale.least, -2: f"second {scale.least}"}
    return Problem(
        family="comparison",
        difficulty=difficulty,
        question=f"{' '.join(clues)} Who is the {asked[rank]}?",
        answer=order[rank],
        answer_kind="name",
        choices=tuple(sorted(order)),
        explanation=f"From {scale.most} to {scale.least}: {', '.join(order)}.",
    )


def compare(rng: random.Random, scale: Scale, more: str, less: str, difficulty: int) -> str:
    """One sentence that says ``more`` is above ``less``, in a form that ``difficulty`` allows."""
    forms = [f"{more} is {scale.more} than {less}."]
    if difficulty >= 2:
        forms.append(f"{less} is {scale.less} than {more}.")
    if difficulty >= 4:
        forms.append(f"{less} is not as {scale.adjective} as {more}.")
    return rng.choice(forms)
