"""Statistics where seeds and problems both vary: every seed's learner answered the same problems.

A *table* has a row for each seed and a column for each problem. What one seed did on a thousand
problems is not a thousand independent observations, and neither is what many seeds did on one
problem; so the variance of the mean is put together from both, by the analysis of variance of a
crossed layout with two random effects (Searle, Casella & McCulloch, 1992, chapter 4):
``(MS_seeds + MS_problems - MS_rest) / (seeds * problems)``, with degrees of freedom after
Satterthwaite (1946). For a mean this is also the two-way cluster-robust variance of Cameron,
Gelbach & Miller (2011). Intervals therefore speak of seeds *and* problems that were not tried.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from arena.statistics import Interval, score_interval, t_cdf, t_quantile, two_sided_z

ROUNDING = 1e-9  # what equal terms may differ by, relatively
Table = Sequence[Sequence[float]]
"""``outcome[i][j]``: what the learner of seed i made of problem j; as many columns in each row."""


@dataclass(frozen=True)
class CrossedMean:
    """A mean over seeds and problems; ``p_value`` is two-sided, for a true mean of 0."""

    mean: float
    interval: Interval
    p_value: float
    seeds: int
    problems: int


def crossed_mean(table: Table, confidence: float = 0.95) -> CrossedMean:
    """The mean of a table with its t-interval: for differences between two tables, cell by cell.

    With one seed, seeds are taken as fixed and only the problems vary. Where no cell differs from
    another there is no spread to judge by: the interval is the mean itself.

    Raises ValueError unless there are at least two problems, and as many in each row.
    """
    mean, variance, degrees = _mean_variance_degrees(table)
    margin = t_quantile(1 - (1 - confidence) / 2, degrees) * math.sqrt(variance)
    if variance > 0:
        p_value = 2 * (1 - t_cdf(abs(mean) / math.sqrt(variance), degrees))
    else:
        p_value = 0.0 if mean else 1.0
    interval = Interval(mean - margin, mean + margin)
    return CrossedMean(mean, interval, p_value, len(table), len(table[0]))


def crossed_accuracy(table: Table, confidence: float = 0.95) -> CrossedMean:
    """The accuracy of a table of rights (1) and wrongs (0), with an interval within 0 and 1.

    Wilson's interval for the number of independent outcomes that would leave as much variance (the
    effective sample size), reduced for the few degrees of freedom (Korn & Graubard, 1998; with
    Wilson's interval, Dean & Pagano, 2015). Where all are right, or all wrong, the problems count
    as the sample. Raises ValueError as `crossed_mean`; its ``p_value`` is for an accuracy of 0.
    """
    estimate = crossed_mean(table, confidence)
    mean, variance, degrees = _mean_variance_degrees(table)
    seeds, problems = len(table), len(table[0])
    size = float(problems)
    if seeds > 1 and variance > 0:
        z, t = two_sided_z(1 - confidence), t_quantile(1 - (1 - confidence) / 2, degrees)
        size = min(mean * (1 - mean) / variance * (z / t) ** 2, float(seeds * problems))
    interval = score_interval(mean, size, confidence)
    return CrossedMean(mean, interval, estimate.p_value, seeds, problems)


def difference(after: Table, before: Table) -> list[list[float]]:
    """``after - before``, cell by cell; one row alone stands for every seed (the model alone).

    Raises ValueError where the two are not about the same seeds and problems.
    """
    rows = max(len(after), len(before))
    widened = [list(table) * rows if len(table) == 1 else list(table) for table in (after, before)]
    sizes = {tuple(map(len, table)) for table in widened}
    if len(sizes) != 1:
        raise ValueError("Only tables over the same seeds and the same problems can be compared.")
    return [
        [float(now) - float(then) for now, then in zip(*row_pair, strict=True)]
        for row_pair in zip(*widened, strict=True)
    ]


def _mean_variance_degrees(table: Table) -> tuple[float, float, int]:
    """The mean of a table, the variance of that mean, and its degrees of freedom."""
    seeds, problems = len(table), len(table[0]) if table else 0
    if problems < 2 or any(len(row) != problems for row in table):
        raise ValueError("A table needs at least two problems, and as many for every seed.")
    by_seed = [fmean(row) for row in table]
    by_problem = [fmean(column) for column in zip(*table, strict=True)]
    mean = fmean(by_seed)
    spread_problems = seeds * sum((value - mean) ** 2 for value in by_problem) / (problems - 1)
    if seeds == 1:
        return mean, spread_problems / problems, problems - 1
    spread_seeds = problems * sum((value - mean) ** 2 for value in by_seed) / (seeds - 1)
    rest = sum(
        (cell - row_mean - column_mean + mean) ** 2
        for row, row_mean in zip(table, by_seed, strict=True)
        for cell, column_mean in zip(row, by_problem, strict=True)
    )
    rest_degrees = (seeds - 1) * (problems - 1)
    spread_rest = rest / rest_degrees
    parts = (
        (spread_seeds, seeds - 1),
        (spread_problems, problems - 1),
        (-spread_rest, rest_degrees),
    )
    total = sum(part for part, _ in parts)
    largest = max(part for part, _ in parts)
    if total <= largest * (1 + ROUNDING):  # an estimate below one of its own terms: take that term
        total = largest
        degrees = min(count for part, count in parts if part >= largest * (1 - ROUNDING))
    else:
        degrees = math.floor(total**2 / sum(part**2 / count for part, count in parts) + ROUNDING)
    return mean, total / (seeds * problems), max(1, degrees)
