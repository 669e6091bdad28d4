"""Statistics for runs that did not answer the same problems: two separate samples.

Weaker than the paired comparisons of `arena.statistics`; for results from elsewhere, such as the
original experiments, which drew fresh problems for every evaluation, and for timings.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from statistics import fmean, variance

from arena.statistics import Interval, t_cdf, wilson


def difference_interval(
    before: int, n_before: int, after: int, n_after: int, confidence: float = 0.95
) -> Interval:
    """The interval of ``after / n_after - before / n_before``, two independent proportions.

    From the two Wilson intervals (Newcombe, 1998, Statistics in Medicine 17:873, method 10).
    Raises ValueError where `wilson` does, or if either n is 0.
    """
    if not n_before or not n_after:
        raise ValueError("Nothing was answered on one side, so there is no difference to tell.")
    first, second = wilson(before, n_before, confidence), wilson(after, n_after, confidence)
    then, now = before / n_before, after / n_after
    low = math.hypot(now - second.low, first.high - then)
    high = math.hypot(second.high - now, then - first.low)
    return Interval(now - then - low, now - then + high)


def fisher_exact(before: int, n_before: int, after: int, n_after: int) -> float:
    """Two-sided p-value that two independent proportions are equal (Fisher, 1935).

    The chance, given how many were right in all, of a split no more likely than the one seen.
    """
    right, total = before + after, n_before + n_after
    ways = {
        count: math.comb(n_before, count) * math.comb(n_after, right - count)
        for count in range(max(0, right - n_after), min(n_before, right) + 1)
    }
    return float(
        Fraction(sum(w for w in ways.values() if w <= ways[before]), math.comb(total, right))
    )


def welch(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided p-value that two samples have the same mean (Welch, 1947), at least two of each.

    Degrees of freedom are rounded down. Samples without any spread differ or they do not.
    """
    parts = [variance(sample) / len(sample) for sample in (first, second)]
    gap = abs(fmean(first) - fmean(second))
    if not sum(parts):
        return float(gap == 0)
    share = parts[0] / sum(parts)  # a share, for squares of small variances vanish
    spread = share**2 / (len(first) - 1) + (1 - share) ** 2 / (len(second) - 1)
    degrees = max(1, math.floor(1 / spread + 1e-9))  # a whole number may come out a hair less
    return 2 * (1 - t_cdf(gap / math.sqrt(sum(parts)), degrees))
