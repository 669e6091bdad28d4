"""What comes next? Find the rule behind a row of numbers and continue it.

The rules a reader may think of — the hypothesis space — are those in ``RULES`` below. A row is
used only if all rules that fit it agree on the next number, so exactly one answer is right.

1. counting up in equal steps
2. up or down in equal steps, larger numbers
3. two steps in turn (+5, −1, +5, …), or doubling, tripling, …
4. steps that grow by a constant, or each number the sum of the two before
5. two rows interleaved, or "times r, plus c"

The phrasing follows from the numbers, so the same row never appears in two wordings and cannot be
on both sides of a split.
"""

import random
from collections.abc import Sequence
from itertools import islice, pairwise

from arena.problem import Problem

PHRASINGS = (
    "What comes next: {row}, ?",
    "What is the next number in the sequence: {row}, ?",
    "Which number continues the row {row}, ?",
)
LARGEST = 999


def generate(rng: random.Random, difficulty: int) -> Problem:
    """A sequence problem; the answer is a whole number from 0 to 999."""
    while True:
        row, rule = rng.choice(MAKERS[difficulty])(rng)
        *terms, following = row
        fits = min(row) >= 0 and max(row) <= LARGEST and len(set(row)) > 2
        if fits and predictions(terms) == {following}:
            break
    text = ", ".join(map(str, terms))
    return Problem(
        family="sequence",
        difficulty=difficulty,
        question=PHRASINGS[sum(terms) % len(PHRASINGS)].format(row=text),
        answer=str(following),
        answer_kind="number",
        explanation=f"{rule} The next number is {following}.",
    )


def predictions(terms: list[int]) -> set[int]:
    """What each rule of the hypothesis space that fits all ``terms`` says comes next."""
    return {following for rule in RULES if (following := rule(terms)) is not None}


# The hypothesis space: each rule takes at least four terms and returns the next, or None where it
# does not fit. Equal steps need no rule of their own: they are the case where two steps in turn
# are the same, as multiplying is "times r, plus 0".


def alternating_steps(terms: list[int]) -> int | None:
    steps = [b - a for a, b in pairwise(terms)]
    fits = all(step == steps[i % 2] for i, step in enumerate(steps))
    return terms[-1] + steps[len(steps) % 2] if fits else None


def growing_steps(terms: list[int]) -> int | None:
    steps = [b - a for a, b in pairwise(terms)]
    growth = {b - a for a, b in pairwise(steps)}
    return terms[-1] + steps[-1] + growth.pop() if len(growth) == 1 else None


def sum_of_two(terms: list[int]) -> int | None:
    fits = all(a + b == c for a, b, c in zip(terms, terms[1:], terms[2:], strict=False))
    return terms[-2] + terms[-1] if fits else None


def times_and_plus(terms: list[int]) -> int | None:
    for ratio in range(2, 6):
        constants = {b - ratio * a for a, b in pairwise(terms)}
        if len(constants) == 1:
            return ratio * terms[-1] + constants.pop()
    return None


def interleaved(terms: list[int]) -> int | None:
    steps = [b - a for a, b in zip(terms, terms[2:], strict=False)]
    fits = all(step == steps[i % 2] for i, step in enumerate(steps))
    return terms[-2] + steps[len(steps) % 2] if fits else None


RULES = (alternating_steps, growing_steps, sum_of_two, times_and_plus, interleaved)


# Makers: each draws the terms that are shown and the one that follows, and says the rule.
Row = tuple[list[int], str]


def arithmetic(rng: random.Random, starts: Sequence[int], steps: Sequence[int]) -> Row:
    start, step = rng.choice(starts), rng.choice(steps)
    row = [start + step * i for i in range(6)]
    return row, f"{'Add' if step > 0 else 'Subtract'} {abs(step)} each time."


def make_easy(rng: random.Random) -> Row:
    return arithmetic(rng, range(0, 61), range(1, 8))


def make_steady(rng: random.Random) -> Row:
    steps = [*range(-12, -1), *range(2, 13)]
    return arithmetic(rng, range(0, 151), steps)


def make_alternating(rng: random.Random) -> Row:
    up, down = rng.randint(2, 9), rng.randint(1, 6)
    row = [rng.randint(5, 50)]
    for i in range(5):
        row.append(row[-1] + (up if i % 2 == 0 else -down))
    return row, f"Add {up}, then subtract {down}, in turn."


def make_geometric(rng: random.Random) -> Row:
    start, ratio = rng.randint(1, 9), rng.choice((2, 2, 3))
    return [start * ratio**i for i in range(6)], f"Multiply by {ratio} each time."


def make_growing(rng: random.Random) -> Row:
    row, step, growth = [rng.randint(0, 20)], rng.randint(1, 6), rng.randint(1, 3)
    for i in range(5):
        row.append(row[-1] + step + growth * i)
    return row, f"The steps grow by {growth}: {', '.join(f'+{b - a}' for a, b in pairwise(row))}."


def make_sums(rng: random.Random) -> Row:
    row = [rng.randint(1, 9), rng.randint(1, 9)]
    while len(row) < 6:
        row.append(row[-2] + row[-1])
    return row, "Each number is the sum of the two before it."


def make_interleaved(rng: random.Random) -> Row:
    def steady() -> list[int]:
        start, step = rng.randint(1, 50), rng.choice((*range(-4, 0), *range(1, 7)))
        return [start + step * i for i in range(4)]

    odd, even = steady(), steady()
    row = list(islice((n for pair in zip(odd, even, strict=True) for n in pair), 7))
    rule = f"Two rows in turn: {', '.join(map(str, odd))} and {', '.join(map(str, even[:3]))}."
    return row, rule


def make_times_and_plus(rng: random.Random) -> Row:
    ratio, constant, row = rng.choice((2, 2, 3)), rng.randint(1, 6), [rng.randint(1, 9)]
    while len(row) < 6:
        row.append(ratio * row[-1] + constant)
    return row, f"Multiply by {ratio} and add {constant}."


MAKERS = {
    1: (make_easy,),
    2: (make_steady,),
    3: (*3 * [make_alternating], make_geometric),
    4: (make_growing, make_sums),
    5: (*3 * [make_interleaved], make_times_and_plus),
}
