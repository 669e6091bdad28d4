"""How many are there now? A short story about things that come and go; the answer is a number.

A story is an opening that sets one running count, changes to it, and sometimes a sentence that
has nothing to do with it.

1. a number to 13, one gain or loss
2. a number to 30, one gain, loss or comparison ("Bob has 7 fewer coins than Alice")
3. boxes with so many in each, sometimes with one gain or loss after
4. a number to 20, two changes, and a sentence to ignore
5. boxes, two changes, a sentence to ignore, and sometimes the rest is shared equally
"""

import random
from typing import NamedTuple

from arena.problem import Problem
from arena.words import PEOPLE, THINGS


class Step(NamedTuple):
    """One sentence of the story, the sum it stands for, and the running count after it."""

    sentence: str
    sum: str
    total: int


CHANGES_COUNT = {1: (1,), 2: (1,), 3: (0, 1), 4: (2,), 5: (2,)}
LARGEST = {1: 13, 2: 30, 3: 10, 4: 20, 5: 12}


def generate(rng: random.Random, difficulty: int) -> Problem:
    """A word problem; the answer is a whole number from 0 to 999."""
    owner, other = rng.sample(PEOPLE, 2)
    thing, unrelated = rng.sample(THINGS, 2)
    largest = LARGEST[difficulty]
    asked = f"How many {thing} does {owner} have now?"

    steps = [opening(rng, owner, thing, largest, in_boxes=difficulty in (3, 5))]
    if difficulty == 2 and rng.random() < 0.4:
        steps.append(comparison(rng, owner, other, thing, steps[-1].total, largest))
        asked = f"How many {thing} does {other} have?"
    else:
        for _ in range(rng.choice(CHANGES_COUNT[difficulty])):
            change = rng.choice((gain, loss)) if steps[-1].total > 2 else gain
            steps.append(change(rng, owner, other, thing, steps[-1].total, largest))
    sentences = [step.sentence for step in steps]

    if difficulty >= 4:
        ignored = f"{rng.choice((owner, other))} has {rng.randint(2, largest)} {unrelated}."
        sentences.insert(rng.randint(1, len(sentences)), ignored)
    friends = [n for n in range(2, 10) if steps[-1].total and steps[-1].total % n == 0]
    if difficulty == 5 and friends and rng.random() < 0.5:
        steps.append(share(owner, thing, steps[-1].total, rng.choice(friends)))
        sentences.append(steps[-1].sentence)
        asked = f"How many {thing} does each friend get?"

    return Problem(
        family="math_word",
        difficulty=difficulty,
        question=" ".join([*sentences, asked]),
        answer=str(steps[-1].total),
        answer_kind="number",
        explanation=", then ".join(step.sum for step in steps if step.sum) + ".",
    )


def opening(rng: random.Random, owner: str, thing: str, largest: int, in_boxes: bool) -> Step:
    if in_boxes:
        boxes, each = rng.randint(2, 6), rng.randint(2, 9)
        total = boxes * each
        return Step(
            f"{owner} has {boxes} boxes with {each} {thing} in each.",
            f"{boxes} × {each} = {total}",
            total,
        )
    count = rng.randint(5, largest)
    return Step(f"{owner} has {count} {thing}.", "", count)


def gain(rng: random.Random, owner: str, other: str, thing: str, count: int, largest: int) -> Step:
    n = rng.randint(2, largest)
    told = (
        f"{other} gives {owner} {n} more {thing}.",
        f"{owner} buys {n} more {thing}.",
    )
    return Step(rng.choice(told), f"{count} + {n} = {count + n}", count + n)


def loss(rng: random.Random, owner: str, other: str, thing: str, count: int, largest: int) -> Step:
    n = rng.randint(2, min(count - 1, largest))
    told = (
        f"{owner} gives {n} {thing} to {other}.",
        f"{owner} loses {n} {thing}.",
    )
    return Step(rng.choice(told), f"{count} − {n} = {count - n}", count - n)


def comparison(
    rng: random.Random, owner: str, other: str, thing: str, count: int, largest: int
) -> Step:
    if rng.random() < 0.5:
        n = rng.randint(2, largest)
        return Step(
            f"{other} has {n} more {thing} than {owner}.", f"{count} + {n} = {count + n}", count + n
        )
    n = rng.randint(2, count - 1)
    return Step(
        f"{other} has {n} fewer {thing} than {owner}.", f"{count} − {n} = {count - n}", count - n
    )


def share(owner: str, thing: str, count: int, friends: int) -> Step:
    return Step(
        f"{owner} shares all the {thing} equally among {friends} friends.",
        f"{count} ÷ {friends} = {count // friends}",
        count // friends,
    )
