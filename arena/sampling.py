"""Seeded streams of problems, and splits that cannot overlap.

A problem belongs to the split that the hash of its question says, whatever the seed, the process
or the Python version: ``stream`` draws until the question falls into the split that was asked for.
Problem ``i`` of a stream depends on ``(seed, split, families, difficulty, i)`` alone, so a run can
be continued from any position without replaying what came before.
"""

import hashlib
import random
from collections.abc import Iterator, MutableSequence, Sequence
from itertools import count, islice
from typing import Any, TypeVar

from arena.families import FAMILIES
from arena.problem import Problem

DIFFICULTIES = (1, 2, 3, 4, 5)
SPLITS = {"train": range(0, 60), "validation": range(60, 70), "held-out": range(70, 100)}  # percent

T = TypeVar("T")


def split_of(problem: Problem) -> str:
    """The split that a problem belongs to, by the content hash of its question."""
    percent = int(problem.key[:8], 16) % 100
    return next(name for name, share in SPLITS.items() if percent in share)


def stream(
    seed: int,
    split: str = "train",
    families: Sequence[str] | None = None,
    difficulty: int | Sequence[int] | None = None,
    start: int = 0,
) -> Iterator[Problem]:
    """Endless problems of one split, from position ``start`` of the stream.

    The mix is balanced: every block of ``len(families) * len(difficulties)`` problems holds each
    combination once, in an order of its own. Questions may, rarely, repeat within a split.

    Raises ValueError for an unknown split, family or difficulty.
    """
    cells = [(f, d) for f in _families(families) for d in _difficulties(difficulty)]
    if split not in SPLITS:
        raise ValueError(f"There is no split {split!r}; choose one of {', '.join(SPLITS)}.")
    return (_problem(seed, split, cells, index) for index in count(start))


def held_out(
    n: int,
    seed: int = 0,
    families: Sequence[str] | None = None,
    difficulty: int | Sequence[int] | None = None,
    split: str = "held-out",
) -> list[Problem]:
    """The first ``n`` different problems of the held-out stream: the same set every time.

    Raises ValueError where ``stream`` does, or if there are not ``n`` different problems.
    """
    if n < 0:
        raise ValueError("A number of problems is 0 or more.")
    distinct: dict[str, Problem] = {}
    for problem in islice(stream(seed, split, families, difficulty), 100 * n + 100):
        if len(distinct) >= n:
            break
        distinct.setdefault(problem.key, problem)
    if len(distinct) < n:
        raise ValueError(f"These families and difficulties have no {n} different problems.")
    return list(distinct.values())


def _problem(seed: int, split: str, cells: Sequence[tuple[str, int]], index: int) -> Problem:
    block, place = divmod(index, len(cells))
    order = list(cells)
    Draw(f"{seed}/{split}/order/{block}").shuffle(order)
    family, difficulty = order[place]
    rng = Draw(f"{seed}/{split}/{family}/{difficulty}/{index}")
    while True:
        problem = FAMILIES[family](rng, difficulty)
        if split_of(problem) == split:
            return problem


def _families(families: Sequence[str] | None) -> list[str]:
    chosen = list(FAMILIES if families is None else dict.fromkeys(families))
    unknown = [name for name in chosen if name not in FAMILIES]
    if unknown or not chosen:
        what = f"There is no family {unknown[0]!r}" if unknown else "No family was chosen"
        raise ValueError(f"{what}; choose from {', '.join(FAMILIES)}.")
    return chosen


def _difficulties(difficulty: int | Sequence[int] | None) -> list[int]:
    if difficulty is None:
        return list(DIFFICULTIES)
    chosen = list(difficulty) if isinstance(difficulty, Sequence) else [difficulty]
    if not chosen or any(level not in DIFFICULTIES for level in chosen):
        raise ValueError("Difficulty is a whole number from 1 (easy) to 5 (hard).")
    return chosen


class Draw(random.Random):
    """``random.Random`` whose draws are the same on every Python version.

    The standard library promises that only of seeding and of ``random()``; so the draws that
    families use are made from ``random()`` here, for the arguments that families pass.
    """

    def __init__(self, name: str) -> None:
        super().__init__(int.from_bytes(hashlib.sha256(name.encode()).digest(), "big"))

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        values = range(start) if stop is None else range(start, stop, step)
        return self.choice(values)

    def randint(self, a: int, b: int) -> int:
        return self.choice(range(a, b + 1))

    def choice(self, seq: Sequence[T]) -> T:  # type: ignore[override]
        return seq[int(self.random() * len(seq))]

    def shuffle(self, x: MutableSequence[Any]) -> None:  # type: ignore[override]
        for i in range(len(x) - 1, 0, -1):
            j = int(self.random() * (i + 1))
            x[i], x[j] = x[j], x[i]

    def sample(  # type: ignore[override]
        self, population: Sequence[T], k: int, *, counts: None = None
    ) -> list[T]:
        pool = list(population)
        self.shuffle(pool)
        return pool[:k]
