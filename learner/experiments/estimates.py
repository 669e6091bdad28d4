"""Estimates from runs: accuracies, and differences between them, with the right kind of interval.

Where it is known which problems were asked, differences are taken problem by problem: for one run
with the exact test of McNemar, for several seeds by the crossed layout of `arena.crossed`. Else, as
with the original's files, the two sides are separate samples (`arena.unpaired`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean

from arena.crossed import Table, crossed_accuracy, crossed_mean, difference
from arena.statistics import Interval, mcnemar_exact, wilson
from arena.unpaired import difference_interval, fisher_exact
from learner import wording
from learner.experiments.results import Results, Share
from learner.measuring import Score

Which = Callable[[Results], Score]
"""Which score of a run is meant: the first one, say, or the last one."""


@dataclass(frozen=True)
class Estimate:
    """An accuracy with its 95 % interval, over so many seeds and problems."""

    value: float
    interval: Interval
    problems: int
    seeds: int

    @property
    def words(self) -> str:
        """``62.0 % [55.1, 68.4]``."""
        return wording.accuracy(self.value, self.interval)


@dataclass(frozen=True)
class Effect:
    """A difference in accuracy with its 95 % interval and two-sided p-value.

    ``paired`` says whether it was taken problem by problem.
    """

    value: float
    interval: Interval
    p_value: float
    paired: bool

    @property
    def points(self) -> str:
        """``+31.5 [+25.0, +38.0]``, in percentage points."""
        return wording.change(self.value, self.interval)

    @property
    def words(self) -> str:
        """``+31.5 [+25.0, +38.0], p < 0.0001``; says where the two sides are separate samples."""
        words = f"{self.points}, {wording.p_value(self.p_value)}"
        return words if self.paired else f"{words} (separate samples)"


@dataclass(frozen=True)
class Arm:
    """One experiment under a name: a run, or several seeds of it."""

    name: str
    runs: tuple[Results, ...]

    @cached_property
    def by_seed(self) -> dict[int, Results]:
        """The runs by their seed."""
        return {run.seed: run for run in self.runs}

    def estimate(self, which: Which) -> Estimate:
        """The accuracy of the arm."""
        return estimate([which(run) for run in self.runs])

    def effect(self, after: Which, before: Which) -> Effect:
        """The difference between two scores of the same runs."""
        return effect(
            [after(run) for run in self.runs],
            [before(run) for run in self.runs],
            all(run.problems for run in self.runs),
        )


def initial(run: Results) -> Score:
    """Before any learning, behind the untrained soft prompt."""
    return run.curve[0]


def final(run: Results) -> Score:
    """After the last episode."""
    return run.final


def kept(run: Results) -> Score:
    """What validation chose; the last one where it was not asked."""
    return run.kept or run.final


def milestone(place: int) -> Which:
    """At the n-th milestone of a run."""
    return lambda run: run.curve[place]


def alone(run: Results) -> Score:
    """The model without a soft prompt. Raises ValueError where that was not measured."""
    if run.alone is None:
        raise ValueError(f"{run.name} did not measure the model alone.")
    return run.alone


def examples_alone(run: Results) -> Score:
    """The model with worked examples and no soft prompt. Raises ValueError as `alone`."""
    if run.examples_alone is None:
        raise ValueError(f"{run.name} did not measure worked examples alone.")
    return run.examples_alone


def versus(one: Arm, other: Arm, which: Which, which_other: Which | None = None) -> Effect:
    """How much better ``one`` is than ``other``: on the same seeds and problems where they share
    them, as separate samples where they do not."""
    which_other = which_other or which
    seeds = sorted(one.by_seed.keys() & other.by_seed.keys())
    asked = {run.problems for arm in (one, other) for run in arm.runs}
    if seeds and len(asked) == 1 and all(asked):
        return effect(
            [which(one.by_seed[seed]) for seed in seeds],
            [which_other(other.by_seed[seed]) for seed in seeds],
            paired=True,
        )
    return effect([which(r) for r in one.runs], [which_other(r) for r in other.runs], paired=False)


def versus_change(one: Arm, other: Arm) -> Effect | None:
    """How much more ``one`` gained by learning than ``other``; None where they do not pair."""
    seeds = sorted(one.by_seed.keys() & other.by_seed.keys())
    asked = {run.problems for arm in (one, other) for run in arm.runs}
    if not seeds or len(asked) != 1 or not all(asked):
        return None
    gains = []
    for arm in (one, other):
        runs = [arm.by_seed[seed] for seed in seeds]
        gains.append(difference([r.final.right for r in runs], [r.curve[0].right for r in runs]))
    return of_table(difference(*gains))


def effect(after: Sequence[Score], before: Sequence[Score], paired: bool) -> Effect:
    """``after`` less ``before``: one score a seed, or one that stands for all seeds."""
    if not paired:
        return _separate(after, before)
    found = of_table(
        difference([score.right for score in after], [score.right for score in before])
    )
    if len(after) == len(before) == 1:
        return replace(found, p_value=mcnemar_exact(before[0].right, after[0].right).p_value)
    return found


def of_table(table: Table) -> Effect:
    """The mean of a table of differences.

    Where no difference varies its spread says nothing, so the interval is what Wilson's says of an
    event that was not seen in so many problems.
    """
    crossed = crossed_mean(table)
    low, high = crossed.interval.low, crossed.interval.high
    if low == high:
        unseen = wilson(0, crossed.problems).high
        low, high = max(-1.0, low - unseen), min(1.0, high + unseen)
    return Effect(crossed.mean, Interval(low, high), crossed.p_value, paired=True)


def _separate(after: Sequence[Score], before: Sequence[Score]) -> Effect:
    counts = [
        (sum(score.correct for score in scores), sum(score.n for score in scores))
        for scores in (before, after)
    ]
    (right_before, n_before), (right_after, n_after) = counts
    return Effect(
        right_after / n_after - right_before / n_before,
        difference_interval(right_before, n_before, right_after, n_after),
        fisher_exact(right_before, n_before, right_after, n_after),
        paired=False,
    )


def rate(arm: Arm) -> float:
    """Episodes a second of all the arm's seeds together, in learning alone."""
    return fmean(run.episodes_per_second for run in arm.runs) * len(arm.runs)


def step_rates(arm: Arm) -> list[float]:
    """The same of each single step: seeds side by side take the same steps in the same time."""
    return [rate * len(arm.runs) for rate in arm.runs[0].step_rates]


def estimate(scores: Sequence[Score]) -> Estimate:
    """The mean accuracy of one score a seed.

    Its interval is over seeds and problems where outcomes are known; else over all answers: for the
    original's runs, Wilson's of the one score there is.
    """
    problems = min(score.n for score in scores)
    if all(score.outcomes for score in scores) and len({score.n for score in scores}) == 1:
        interval = crossed_accuracy([score.right for score in scores]).interval
    else:
        interval = wilson(sum(score.correct for score in scores), sum(s.n for s in scores))
    return Estimate(fmean(score.accuracy for score in scores), interval, problems, len(scores))


def curve_of(runs: Sequence[Results]) -> dict[int, Estimate]:
    """The accuracy of the runs by episodes, at every milestone that all of them have passed."""
    milestones = set.intersection(*({score.episodes for score in run.curve} for run in runs))
    return {
        episodes: estimate(
            [score for run in runs for score in run.curve if score.episodes == episodes]
        )
        for episodes in sorted(milestones)
    }


def pooled(shares: Sequence[Share]) -> Share:
    """One share for all seeds: as sure as one of them, because the problems are the same."""
    return Share(fmean(share.accuracy for share in shares), min(share.n for share in shares))
