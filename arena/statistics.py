"""The statistics behind every number that is shown: intervals, paired tests, power, transfer.

Pure arithmetic on counts and accuracies; proportions and accuracies are fractions from 0 to 1.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

SIGNIFICANT = 0.05
"""Below this p-value something is said to differ, everywhere."""

Matrix = Sequence[Sequence[float]]
"""``accuracy[i][j]``: accuracy on task j after learning task i; as many rows as columns."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval ``[low, high]``."""

    low: float
    high: float


@dataclass(frozen=True)
class McNemar:
    """A paired before/after comparison on the same problems.

    ``gained`` were wrong before and are right after, ``lost`` the other way round; ``p_value`` is
    two-sided, for the hypothesis that a changed problem is as likely to be gained as lost.
    """

    gained: int
    lost: int
    p_value: float


@dataclass(frozen=True)
class Mean:
    """A mean over seeds with its confidence interval; ``n`` is the number of seeds."""

    mean: float
    interval: Interval
    n: int


@dataclass(frozen=True)
class Transfer:
    """What learning tasks one after the other did to accuracy (see ``transfer``)."""

    average_accuracy: float
    backward: float
    forward: float
    forgetting: float


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """The score interval of a proportion (Wilson, 1927), without continuity correction.

    Unlike ``p ± z·se`` it stays within 0 and 1 and keeps its coverage for few problems and for
    accuracies near 0 or 1 (Newcombe, 1998). With ``n = 0`` nothing is known: ``[0, 1]``.

    Raises ValueError unless ``0 <= successes <= n``.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes out of {n} is not a proportion.")
    if n == 0:
        return Interval(0.0, 1.0)
    return score_interval(successes / n, n, confidence)


def score_interval(share: float, n: float, confidence: float = 0.95) -> Interval:
    """Wilson's interval for a ``share`` of ``n`` > 0 observations, which need not be whole."""
    z = two_sided_z(1 - confidence)
    centre = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    scale = 1 + z * z / n
    low = 0.0 if share == 0 else (centre - spread) / scale
    high = 1.0 if share == 1 else (centre + spread) / scale
    return Interval(low, high)


def mcnemar_exact(before: Sequence[bool], after: Sequence[bool]) -> McNemar:
    """The exact test of McNemar (1947) on paired outcomes: a binomial test of gained against lost.

    Raises ValueError where the two are not about the same number of problems.
    """
    if len(before) != len(after):
        raise ValueError(f"{len(before)} outcomes before and {len(after)} after are not pairs.")
    gained = sum(now and not then for then, now in zip(before, after, strict=True))
    lost = sum(then and not now for then, now in zip(before, after, strict=True))
    return McNemar(gained, lost, _sign_test(gained, lost))


def paired_difference(gained: int, lost: int, n: int, confidence: float = 0.95) -> Interval:
    """The score interval of a change in accuracy on the same ``n`` problems (Tango, 1998).

    ``gained`` were wrong before and are right after, ``lost`` the other way round. Where nothing
    changed it still has the width that so few problems leave it, as Wilson's has at 0 and at 1.

    Raises ValueError where more problems changed than there are, or there are none.
    """
    if n < 1 or gained < 0 or lost < 0 or gained + lost > n:
        raise ValueError(f"{gained} gained and {lost} lost of {n} problems cannot be.")
    z = two_sided_z(1 - confidence)

    def score(change: float) -> float:
        """How far what was seen is from a true ``change``, in standard errors."""
        b = -gained - lost + (2 * n - gained + lost) * change
        c = -lost * change * (1 - change)
        q = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
        variance = n * (2 * q + change * (1 - change))
        off = gained - lost - n * change
        return off / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, off)

    seen = (gained - lost) / n
    low = -1.0 if seen == -1 else _bisect(lambda change: z - score(change), -1.0, seen)
    high = 1.0 if seen == 1 else _bisect(lambda change: -z - score(change), seen, 1.0)
    return Interval(low, high)


def _sign_test(one: int, other: int) -> float:
    """Two-sided exact binomial p-value of ``one`` against ``other`` under equal chances."""
    changed, fewer = one + other, min(one, other)
    ways = tail = 1  # ways to choose 0, 1, 2, … of the changed: each follows from the one before
    for i in range(fewer):
        ways = ways * (changed - i) // (i + 1)
        tail += ways
    return min(1.0, 2 * tail / 2**changed)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Mean:
    """The mean of one value a seed, with its t-interval (Student, 1908).

    Give one accuracy, or one before/after difference, a seed. The interval speaks of other seeds on
    these very problems; of other problems too, `arena.crossed`.

    Raises ValueError for fewer than two values, from which no spread can be told.
    """
    if len(values) < 2:
        raise ValueError("An interval over seeds needs at least two seeds.")
    mean = fmean(values)
    margin = t_quantile(1 - (1 - confidence) / 2, len(values) - 1) * stdev(values)
    margin /= math.sqrt(len(values))
    return Mean(mean, Interval(mean - margin, mean + margin), len(values))


def problems_needed(
    change: float, discordant: float, power: float = 0.8, significance: float = SIGNIFICANT
) -> int:
    """How many paired problems show a true ``change`` in accuracy with the given ``power``.

    ``discordant`` is the share of problems whose outcome changes at all, gained plus lost, and at
    least ``|change|``. The normal approximation of Connor (1987), but never so few problems that
    the exact test could not reach ``significance``.

    Raises ValueError where ``change`` is 0 or ``discordant`` is not between ``|change|`` and 1.
    """
    change = abs(change)
    if not 0 < change <= discordant <= 1:
        raise ValueError("The change must be above 0, and the discordant share between it and 1.")
    z, z_power = two_sided_z(significance), NormalDist().inv_cdf(power)
    root = z * math.sqrt(discordant) + z_power * math.sqrt(discordant - change**2)
    return max(math.ceil((root / change) ** 2), math.ceil(_fewest(significance) / discordant))


def detectable_change(
    n: int, discordant: float = 0.3, power: float = 0.8, significance: float = SIGNIFICANT
) -> float:
    """The smallest change in accuracy that ``n`` paired problems show with the given ``power``.

    The inverse of ``problems_needed``, to a thousandth. Where not even a change in all of the
    ``discordant`` share would show, more problems must change for any change to be seen: the result
    is then above ``discordant``, and 1 where nothing shows at all.
    """
    for thousandth in range(1, 1001):
        change = thousandth / 1000
        if problems_needed(change, max(change, discordant), power, significance) <= n:
            return change
    return 1.0


def _fewest(significance: float) -> int:
    """The fewest changed problems, all one way, that the exact test calls significant."""
    return math.ceil(1 - math.log2(significance))


def transfer(accuracy: Matrix, untrained: Sequence[float]) -> Transfer:
    """Continual-learning measures of tasks learnt one after the other.

    ``untrained[j]`` is the accuracy on task j before any learning. Average accuracy, backward and
    forward transfer as in Lopez-Paz & Ranzato (2017); forgetting as in Chaudhry et al. (2018): how
    far each earlier task fell from its best.

    Raises ValueError unless there are at least two tasks and as many rows as columns.
    """
    tasks = len(accuracy)
    if tasks < 2 or len(untrained) != tasks or any(len(row) != tasks for row in accuracy):
        raise ValueError("Transfer needs a square table of accuracies over at least two tasks.")
    final, earlier = accuracy[-1], range(tasks - 1)
    return Transfer(
        average_accuracy=fmean(final),
        backward=fmean(final[j] - accuracy[j][j] for j in earlier),
        forward=fmean(accuracy[j][j + 1] - untrained[j + 1] for j in earlier),
        forgetting=fmean(max(row[j] for row in accuracy[:-1]) - final[j] for j in earlier),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for having asked all of these questions at once (Holm, 1979), in order."""
    adjusted = [0.0] * len(p_values)
    least = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = least
    return adjusted


def two_sided_z(significance: float) -> float:
    """The standard normal deviate that is exceeded, either way, this often."""
    return NormalDist().inv_cdf(1 - significance / 2)


def t_quantile(probability: float, degrees: int) -> float:
    """Student's t below which ``probability`` (> 0.5) lies, by bisection of the exact integral."""
    high = 1.0
    while t_cdf(high, degrees) < probability:
        high *= 2
    return _bisect(lambda t: t_cdf(t, degrees) - probability, 0.0, high)


def t_cdf(t: float, degrees: int) -> float:
    """Exact for whole degrees of freedom (Abramowitz & Stegun, 1964, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    term, total = (cosine, cosine) if odd else (1.0, 1.0)
    for k in range(2 + odd, degrees, 2):
        term *= cosine**2 * (k - 1) / k
        total += term
    if not odd:
        return 0.5 + sine * total / 2
    return 0.5 + (angle + (sine * total if degrees > 1 else 0.0)) / math.pi


def _bisect(rises: Callable[[float], float], low: float, high: float) -> float:
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (low, middle) if rises(middle) > 0 else (middle, high)
    return (low + high) / 2
