"""Differences are taken problem by problem where they can be, and honestly where they cannot."""

import json
from dataclasses import replace

import pytest

from arena.crossed import crossed_mean, difference
from arena.statistics import mcnemar_exact, wilson
from arena.unpaired import fisher_exact
from learner.experiments.estimates import (
    Arm,
    alone,
    effect,
    estimate,
    final,
    initial,
    kept,
    rate,
    versus,
    versus_change,
)
from learner.experiments.original import PUBLISHED
from learner.experiments.results_file import parse_results
from learner.measuring import Score, score_of
from tests.learner.experiments.originals import train_qwen_record
from tests.learner.experiments.runs import PROBLEMS, made_up


def arm(name="mine", seeds=5, **settings):
    return Arm(name, tuple(made_up(seed, name=name, **settings) for seed in range(seeds)))


def test_seeds_are_judged_with_their_problems():
    mine = arm()
    found = mine.effect(final, initial)
    table = difference(
        [run.final.right for run in mine.runs], [run.curve[0].right for run in mine.runs]
    )
    crossed = crossed_mean(table)
    assert (found.value, found.interval, found.p_value) == (
        crossed.mean,
        crossed.interval,
        crossed.p_value,
    )
    assert found.paired
    estimate = mine.estimate(final)
    assert (estimate.seeds, estimate.problems) == (5, PROBLEMS)
    assert estimate.interval.low < estimate.value < estimate.interval.high


def test_one_run_is_judged_by_the_exact_test():
    (run,) = arm(seeds=1).runs
    found = Arm("one", (run,)).effect(final, initial)
    pair = ([value > 0 for value in score.right] for score in (run.curve[0], run.final))
    assert found.p_value == mcnemar_exact(*pair).p_value
    assert found.value == pytest.approx(run.final.accuracy - run.curve[0].accuracy)


def test_what_never_changed_is_as_sure_as_the_problems_allow():
    same = score_of("1100", False, 80)
    found = effect([same, same], [same, same], paired=True)
    bound = wilson(0, 4).high
    assert (found.value, found.interval.low, found.interval.high) == (0.0, -bound, bound)
    assert found.p_value == 1.0


def test_runs_on_other_problems_are_separate_samples():
    mine, other = arm(), arm("other", problems="another set")
    found = versus(mine, other, final)
    assert not found.paired
    sums = [sum(run.final.correct for run in side.runs) for side in (other, mine)]
    n = 5 * PROBLEMS
    assert found.p_value == fisher_exact(sums[0], n, sums[1], n)
    assert versus_change(mine, other) is None


def test_only_seeds_that_both_have_are_paired():
    mine, other = arm(seeds=5), arm("other", seeds=3)
    few = Arm("mine", mine.runs[:3])
    assert versus(mine, other, final) == versus(few, other, final)
    assert versus(mine, other, final).paired


def test_gains_are_compared_as_gains():
    mine, slow = arm(after=0.8), arm("slow", after=0.3)
    found = versus_change(mine, slow)
    assert found.value == pytest.approx(
        mine.effect(final, initial).value - slow.effect(final, initial).value
    )
    assert found.interval.low > 0


def test_the_originals_runs_are_never_paired():
    published = Arm("published", (PUBLISHED[0],))
    found = published.effect(final, initial)
    assert not found.paired
    assert found.value == pytest.approx(-0.03)
    assert found.interval.low < 0 < found.interval.high
    read = parse_results(json.dumps(train_qwen_record()).encode(), "checkpoints")
    assert not versus(arm(), Arm("read", (read,)), final).paired


def test_which_score_is_meant():
    run = made_up()
    assert alone(run).correct == 0
    assert kept(replace(run, kept=None)) == run.final
    with pytest.raises(ValueError, match="did not measure the model alone"):
        alone(PUBLISHED[0])
    assert rate(arm(seeds=3)) == pytest.approx(150.0)


def test_an_interval_over_seeds_is_wider_than_if_all_answers_were_independent():
    scores = [score_of("1111100000", False, 80), score_of("1111110000", False, 80)]
    pooled = Score(11, 20).interval
    crossed = estimate(scores).interval
    assert crossed.high - crossed.low > pooled.high - pooled.low
    assert estimate([Score(11, 20)]).interval == pooled
