"""Two samples that share no problems, against published values and sums done the long way."""

import math
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.unpaired import difference_interval, fisher_exact, welch


@pytest.mark.parametrize(
    ("after", "n_after", "before", "n_before", "low", "high"),
    [  # Newcombe (1998), Statistics in Medicine 17:873-890, table II, method 10
        (56, 70, 48, 80, 0.0524, 0.3339),
        (9, 10, 3, 10, 0.1705, 0.8090),
        (6, 7, 2, 7, 0.0582, 0.8062),
        (5, 56, 0, 29, -0.0381, 0.1926),
        (10, 10, 0, 10, 0.6075, 1.0000),
    ],
)
def test_difference_matches_published_intervals(after, n_after, before, n_before, low, high):
    interval = difference_interval(before, n_before, after, n_after)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


def test_difference_needs_answers_on_both_sides():
    with pytest.raises(ValueError, match="one side"):
        difference_interval(0, 0, 3, 5)


def test_fisher_on_the_tea_tasting():
    assert fisher_exact(3, 4, 1, 4) == pytest.approx(0.4857, abs=5e-5)  # Fisher (1935)
    assert fisher_exact(4, 4, 0, 4) == pytest.approx(2 / 70)


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.data())
def test_fisher_counts_every_way_to_deal_the_rights(n_before, n_after, data):
    before = data.draw(st.integers(0, n_before))
    after = data.draw(st.integers(0, n_after))
    deals = [
        sum(place < n_before for place in deal)
        for deal in combinations(range(n_before + n_after), before + after)
    ]
    seen = deals.count(before)
    as_rare = sum(deals.count(deal) <= seen for deal in deals)
    assert fisher_exact(before, n_before, after, n_after) == pytest.approx(as_rare / len(deals))


def test_welch_of_a_hand_worked_case():
    # Means 2 and 5, variances of the means 1/3 and 5/3: t = 3 / sqrt(2) on 4.08 degrees, so 4,
    # where Student's distribution is 1/2 + 3/8 t / sqrt(1 + t^2/4) (1 - t^2 / (12 + 3 t^2)).
    t = 3 / math.sqrt(2)
    above = 3 / 8 * t / math.sqrt(1 + t**2 / 4) * (1 - t**2 / (12 + 3 * t**2))
    assert welch([1, 2, 3], [2, 4, 6, 8]) == pytest.approx(2 * (1 / 2 - above))


@settings(deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=2, max_size=8), st.floats(-5, 5))
def test_welch_is_symmetric_and_sees_no_difference_in_the_same(sample, shift):
    moved = [value + shift for value in sample]
    assert math.isclose(welch(sample, moved), welch(moved, sample), rel_tol=1e-6, abs_tol=1e-9)
    assert welch(sample, sample) == 1.0
