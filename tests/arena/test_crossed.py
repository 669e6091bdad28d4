"""Seeds crossed with problems, against the simple cases inside it and against simulation."""

import random
from statistics import fmean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.crossed import crossed_accuracy, crossed_mean, difference
from arena.statistics import mean_interval, wilson

law = settings(deadline=None)
values = st.floats(-1, 1).map(lambda value: round(value, 3))


sizes = st.tuples(st.integers(2, 6), st.integers(2, 12))


def tables(cell=values):
    return sizes.flatmap(
        lambda size: st.lists(
            st.lists(cell, min_size=size[1], max_size=size[1]), min_size=size[0], max_size=size[0]
        )
    )


@law
@given(st.lists(values, min_size=2, max_size=8), st.integers(2, 9))
def test_if_all_problems_are_alike_only_seeds_count(by_seed, problems):
    result = crossed_mean([[value] * problems for value in by_seed])
    expected = mean_interval(by_seed)
    assert result.mean == pytest.approx(expected.mean)
    assert result.interval.low == pytest.approx(expected.interval.low, abs=1e-9)
    assert result.interval.high == pytest.approx(expected.interval.high, abs=1e-9)


@law
@given(st.lists(values, min_size=2, max_size=9), st.integers(1, 6))
def test_if_all_seeds_agree_more_of_them_tell_no_more(by_problem, seeds):
    result = crossed_mean([by_problem] * seeds)
    expected = mean_interval(by_problem)  # the problems are the sample, however many seeds
    assert result.mean == pytest.approx(expected.mean)
    assert result.interval.low == pytest.approx(expected.interval.low, abs=1e-9)


@law
@given(tables())
def test_the_interval_is_around_the_mean_and_judges_as_the_p_value(table):
    result = crossed_mean(table)
    assert result.mean == pytest.approx(fmean(fmean(row) for row in table))
    assert (result.seeds, result.problems) == (len(table), len(table[0]))
    assert result.interval.low <= result.mean <= result.interval.high
    assert 0 <= result.p_value <= 1
    excludes_zero = not result.interval.low <= 0 <= result.interval.high
    if abs(result.p_value - 0.05) > 1e-6:
        assert excludes_zero == (result.p_value < 0.05)


@law
@given(tables())
def test_seeds_and_problems_are_interchangeable(table):
    turned = [list(column) for column in zip(*table, strict=True)]
    one, other = crossed_mean(table), crossed_mean(turned)
    assert one.interval.low == pytest.approx(other.interval.low, abs=1e-9)


def simulated(rng: random.Random, seeds: int, problems: int) -> list[list[float]]:
    """A true mean of 0, with luck of the seed, of the problem, and of both."""
    of_seed = [rng.gauss(0, 0.5) for _ in range(seeds)]
    of_problem = [rng.gauss(0, 1) for _ in range(problems)]
    return [[a + b + rng.gauss(0, 1) for b in of_problem] for a in of_seed]


def test_the_interval_covers_as_often_as_it_says():
    rng = random.Random(5)
    rounds, covered, too_narrow = 600, 0, 0
    for _ in range(rounds):
        table = simulated(rng, seeds=5, problems=30)
        interval = crossed_mean(table).interval
        covered += interval.low <= 0 <= interval.high
        cells = [cell for row in table for cell in row]  # as if all were independent
        margin = 1.96 * stdev(cells) / len(cells) ** 0.5
        too_narrow += abs(fmean(cells)) <= margin
    assert 0.93 <= covered / rounds <= 0.99
    assert too_narrow / rounds < 0.7  # what treating every answer as independent would claim


@law
@given(tables(cell=st.integers(0, 1)))
def test_an_accuracy_stays_within_0_and_1(table):
    result = crossed_accuracy(table)
    assert 0 <= result.interval.low <= result.mean <= result.interval.high <= 1
    assert result.interval.low < result.interval.high


def test_an_accuracy_of_one_seed_is_wilsons():
    assert crossed_accuracy([[1, 1, 0, 1, 0, 0, 1, 1]]).interval == wilson(5, 8)


@pytest.mark.parametrize("outcome", [0, 1])
def test_all_alike_is_as_sure_as_the_problems_allow(outcome):
    assert crossed_accuracy([[outcome] * 40] * 5).interval == wilson(40 * outcome, 40)


@law
@given(tables(cell=st.integers(0, 1)))
def test_an_accuracy_is_never_surer_than_independent_outcomes_would_be(table):
    result = crossed_accuracy(table)
    cells = sum(map(len, table))
    best = wilson(sum(map(sum, table)), cells)
    assert result.interval.high - result.interval.low >= best.high - best.low - 1e-9


def test_differences_pair_cells_and_one_row_stands_for_all_seeds():
    after = [[1, 0, 1], [1, 1, 0]]
    assert difference(after, [[0, 0, 1]]) == [[1, 0, 0], [1, 1, -1]]
    assert difference([[1, 1, 1]], after) == [[0, 1, 0], [0, 0, 1]]
    assert difference(after, after) == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("after", "before"), [([[1, 0]], [[1, 0, 1]]), ([[1, 0]] * 2, [[1, 0]] * 3)]
)
def test_what_does_not_pair_is_refused(after, before):
    with pytest.raises(ValueError, match="same seeds and the same problems"):
        difference(after, before)


@pytest.mark.parametrize("table", [[], [[1]], [[1, 0], [1]]])
def test_a_table_needs_two_problems_and_full_rows(table):
    with pytest.raises(ValueError, match="at least two problems"):
        crossed_mean(table)
