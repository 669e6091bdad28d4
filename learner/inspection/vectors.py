"""Which vector matters: each put back, each alone trained, and its exact share of the gain.

Putting one vector back shows nothing where others say the same; one alone shows nothing where it
takes several. Shapley's value (1953) is the vector's gain averaged over all orders in which the
vectors could be put in place, so the values add up to the whole gain. Up to ``EXACT`` vectors all
subsets can be asked; otherwise random orders and their mirror images. The value is linear in the
game, so each problem has values of its own, and their spread over problems gives intervals and
p-values, which are corrected for asking about every vector at once (Holm, 1979).
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import comb

from arena import Problem
from arena.crossed import crossed_mean
from arena.statistics import SIGNIFICANT, Interval, holm
from learner.inspection.subject import Change, Subject, change, scores
from learner.measuring import Answers, Score

EXACT = 8  # vectors whose subsets, 256, are all asked
ORDERS = 16  # random orders otherwise, half of them mirror images

Kept = tuple[bool, ...]
"""Which vectors are trained; the others are as they began."""


@dataclass(frozen=True)
class Effect:
    """What one altered vector does: its score, against the whole (or against none), by family.

    ``p_value`` is corrected for the number of vectors.
    """

    score: Score
    change: Change
    p_value: float
    families: dict[str, float]  # the change in accuracy

    @property
    def helps(self) -> bool:
        """Whether it is a gain that can be told from chance."""
        return self.change.value > 0 and self.p_value < SIGNIFICANT

    @property
    def harms(self) -> bool:
        """Whether it is a loss that can be told from chance."""
        return self.change.value < 0 and self.p_value < SIGNIFICANT


@dataclass(frozen=True)
class Share:
    """A vector's Shapley value, in accuracy; ``p_value`` (corrected) is for a value of 0."""

    value: float
    interval: Interval
    p_value: float

    @property
    def carries(self) -> bool:
        """Whether it is a share that can be told from nothing."""
        return self.value > 0 and self.p_value < SIGNIFICANT


@dataclass(frozen=True)
class Vectors:
    """Which vector matters; all tuples have an entry a vector."""

    none: Score  # untrained
    whole: Score  # trained
    put_back: tuple[Effect, ...]  # against the whole
    alone: tuple[Effect, ...]  # against none
    shares: tuple[Share, ...]
    problems_for_shares: int
    subsets: int  # that the shares rest on

    @property
    def order(self) -> list[int]:
        """The vectors, those that matter most first."""
        return sorted(range(len(self.shares)), key=lambda i: -self.shares[i].value)


def vectors(
    answers: Answers,
    subject: Subject,
    problems: Sequence[Problem],
    problems_for_shares: int = 40,
    orders: int | None = None,
) -> Vectors:
    """Every measure of every vector; the shares over the first so many problems, two or more.

    They rest on so many ``orders``, an even number; None: on all subsets where that can be.
    """
    n = subject.vectors
    everything, nothing = (True,) * n, (False,) * n
    singles = [tuple(i == j for j in range(n)) for i in range(n)]
    backs = [tuple(i != j for j in range(n)) for i in range(n)]
    found = _kept_scores(answers, subject, [everything, nothing, *singles, *backs], problems)
    few = problems[:problems_for_shares]
    table, subsets = _values(answers, subject, few, found, orders)
    means = [crossed_mean(rows) for rows in table]
    corrected = holm([mean.p_value for mean in means])
    return Vectors(
        none=found[nothing],
        whole=found[everything],
        put_back=_effects(found[everything], [found[kept] for kept in backs], problems),
        alone=_effects(found[nothing], [found[kept] for kept in singles], problems),
        shares=tuple(
            Share(mean.mean, mean.interval, p) for mean, p in zip(means, corrected, strict=True)
        ),
        problems_for_shares=len(few),
        subsets=subsets,
    )


def shapley(values: Mapping[Kept, Sequence[float]], n: int) -> list[list[float]]:
    """Exact Shapley values from what all subsets are worth on each problem: [vectors][problems]."""
    problems = len(next(iter(values.values())))
    table = [[0.0] * problems for _ in range(n)]
    for kept, with_all in values.items():
        size = sum(kept)
        for i in range(n):
            if kept[i]:
                others = (*kept[:i], False, *kept[i + 1 :])
                without = values[others]
                weight = 1 / (n * comb(n - 1, size - 1))
                row = table[i]
                for p in range(problems):
                    row[p] += weight * (with_all[p] - without[p])
    return table


def _values(
    answers: Answers,
    subject: Subject,
    problems: Sequence[Problem],
    known: dict[Kept, Score],
    number: int | None,
) -> tuple[list[list[list[float]]], int]:
    """Each vector's values [orders or 1][problems], and how many subsets they rest on."""
    n = subject.vectors
    exact = number is None and n <= EXACT
    orders = [] if exact else _orders(n, number or ORDERS)
    grown = [_growing(order) for order in orders]
    all_subsets = (
        product((False, True), repeat=n) if exact else (one for way in grown for one in way)
    )
    subsets = list(dict.fromkeys(all_subsets))
    unknown = [kept for kept in subsets if kept not in known]
    found = known | (_kept_scores(answers, subject, unknown, problems) if unknown else {})
    right = {kept: [float(one) for one in found[kept].right[: len(problems)]] for kept in subsets}
    if exact:
        return [[row] for row in shapley(right, n)], len(subsets)
    table: list[list[list[float]]] = [[] for _ in range(n)]
    for order, way in zip(orders, grown, strict=True):
        for i, (before, after) in zip(order, pairwise(way), strict=True):
            gains = zip(right[before], right[after], strict=True)
            table[i].append([now - then for then, now in gains])
    return table, len(subsets)


def _kept_scores(
    answers: Answers, subject: Subject, subsets: Sequence[Kept], problems: Sequence[Problem]
) -> dict[Kept, Score]:
    """How the problems are answered with only these vectors trained, for each of the subsets."""
    prompts = {kept: subject.with_vectors(kept) for kept in subsets}
    return scores(answers, subject, prompts, problems)


def _orders(n: int, number: int) -> list[list[int]]:
    """Random orders of n vectors and their mirror images, always the same ones."""
    rng = random.Random(n)
    orders = [rng.sample(range(n), n) for _ in range(number // 2)]
    return [way for order in orders for way in (order, order[::-1])]


def _growing(order: Sequence[int]) -> list[Kept]:
    """The subsets that come about when vectors are put in place in this order."""
    n = len(order)
    return [tuple(i in order[:size] for i in range(n)) for size in range(n + 1)]


def _effects(
    before: Score, altered: Sequence[Score], problems: Sequence[Problem]
) -> tuple[Effect, ...]:
    changes = [change(before, after) for after in altered]
    corrected = holm([one.p_value for one in changes])
    families = before.by_family(problems)
    return tuple(
        Effect(
            after,
            one,
            p,
            {
                name: tally.accuracy - families[name].accuracy
                for name, tally in after.by_family(problems).items()
            },
        )
        for after, one, p in zip(altered, changes, corrected, strict=True)
    )
