"""Statistics against published values, textbook data and sums done the long way."""

import math
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.statistics import (
    Interval,
    Mean,
    detectable_change,
    holm,
    mcnemar_exact,
    mean_interval,
    paired_difference,
    problems_needed,
    transfer,
    wilson,
)

law = settings(deadline=None)


def pairs(gained=0, lost=0, both=0, neither=0):
    """Outcomes before and after, with that many problems of each fate."""
    before = [False] * gained + [True] * lost + [True] * both + [False] * neither
    after = [True] * gained + [False] * lost + [True] * both + [False] * neither
    return before, after


# --- Wilson ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [  # Newcombe (1998), Statistics in Medicine 17:857-872, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_matches_published_intervals(successes, n, low, high):
    interval = wilson(successes, n)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


counts = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@law
@given(counts, st.floats(0.5, 0.999))
def test_wilson_is_where_the_score_test_just_rejects(count, confidence):
    successes, n = count
    share, interval = successes / n, wilson(successes, n, confidence)
    assert 0 <= interval.low <= share <= interval.high <= 1
    z = [
        abs(share - limit) / math.sqrt(limit * (1 - limit) / n)
        for limit in (interval.low, interval.high)
        if 0 < limit < 1
    ]
    assert all(math.isclose(z[0], score, rel_tol=1e-6) for score in z)
    assert math.isclose(math.erf(z[0] / math.sqrt(2)), confidence, rel_tol=1e-6)


@law
@given(counts)
def test_wilson_mirrors_and_narrows(count):
    successes, n = count
    interval, mirrored = wilson(successes, n), wilson(n - successes, n)
    assert math.isclose(interval.low, 1 - mirrored.high, abs_tol=1e-12)
    wider, more = wilson(successes, n, 0.99), wilson(10 * successes, 10 * n)
    assert wider.high - wider.low > interval.high - interval.low > more.high - more.low


def test_wilson_knows_nothing_from_no_problems():
    assert wilson(0, 0) == Interval(0.0, 1.0)


@pytest.mark.parametrize(("successes", "n"), [(-1, 5), (6, 5), (1, 0)])
def test_wilson_refuses_what_is_no_proportion(successes, n):
    with pytest.raises(ValueError, match="not a proportion"):
        wilson(successes, n)


# --- McNemar --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gained", "lost", "p_value"),
    [
        (1, 7, 0.0703),  # airway hyper-responsiveness, Fagerland et al. (2013), exact conditional
        (0, 6, 0.03125),  # 2 / 2^6, the fewest that can reach 0.05
        (0, 5, 0.0625),
        (9, 1, 22 / 1024),
        (5, 5, 1.0),
        (0, 0, 1.0),
    ],
)
def test_mcnemar_matches_published_and_hand_worked_values(gained, lost, p_value):
    result = mcnemar_exact(*pairs(gained, lost, both=12, neither=3))
    assert (result.gained, result.lost) == (gained, lost)
    assert result.p_value == pytest.approx(p_value, abs=5e-5)


@law
@given(st.integers(0, 6), st.integers(0, 6))
def test_mcnemar_counts_every_way_the_changes_could_have_gone(gained, lost):
    changed = gained + lost
    ways = [sum(way) for way in product((0, 1), repeat=changed)]
    as_far = sum(abs(2 * ups - changed) >= abs(gained - lost) for ups in ways)
    assert mcnemar_exact(*pairs(gained, lost)).p_value == pytest.approx(as_far / len(ways))


@law
@given(st.integers(0, 2000), st.integers(0, 2000), st.integers(0, 50))
def test_mcnemar_is_symmetric_and_blind_to_unchanged_problems(gained, lost, both):
    p_value = mcnemar_exact(*pairs(gained, lost, both)).p_value
    assert 0 <= p_value <= 1
    assert p_value == mcnemar_exact(*pairs(lost, gained)).p_value


def test_mcnemar_needs_pairs():
    with pytest.raises(ValueError, match="not pairs"):
        mcnemar_exact([True], [True, False])


# --- Seeds ----------------------------------------------------------------------------------------


def test_mean_interval_of_students_sleep_data():
    extra_hours = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]  # Student (1908)
    result = mean_interval(extra_hours)
    assert result.n == 10
    assert result.mean == pytest.approx(1.58)
    assert result.interval.low == pytest.approx(0.7001142)
    assert result.interval.high == pytest.approx(2.4598858)


@pytest.mark.parametrize(
    ("n", "confidence", "t"),
    [  # two-sided critical values of Student's t, any statistical table; n - 1 degrees
        (2, 0.95, 12.706),
        (3, 0.95, 4.303),
        (5, 0.95, 2.776),
        (6, 0.99, 4.032),
        (11, 0.90, 1.812),
        (31, 0.95, 2.042),
        (121, 0.95, 1.980),
    ],
)
def test_mean_interval_uses_the_tabled_t(n, confidence, t):
    values = [float(i) for i in range(n)]
    margin = mean_interval(values, confidence).interval.high - (n - 1) / 2
    standard_error = math.sqrt(n * (n + 1) / 12 / n)
    assert margin / standard_error == pytest.approx(t, abs=6e-4)


def test_mean_interval_of_equal_seeds_has_no_width():
    assert mean_interval([0.5, 0.5, 0.5]) == Mean(0.5, Interval(0.5, 0.5), 3)


def test_mean_interval_needs_two_seeds():
    with pytest.raises(ValueError, match="two seeds"):
        mean_interval([0.5])


# --- Many questions at once -----------------------------------------------------------------------


def test_holm_of_hand_worked_values():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@law
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_is_between_one_question_and_all(p_values):
    adjusted = holm(p_values)
    for raw, after in zip(p_values, adjusted, strict=True):
        assert raw <= after <= min(1.0, raw * len(p_values))
    ranked = sorted(zip(p_values, adjusted, strict=True))
    assert [after for _, after in ranked] == sorted(adjusted)
    least = min(p_values)
    assert min(adjusted) == pytest.approx(min(1.0, least * len(p_values)))


# --- Power ----------------------------------------------------------------------------------------


def exact_power(n, change, discordant):
    """The chance that the exact test finds the change, summed over all numbers gained and lost."""
    up, down = (discordant + change) / 2, (discordant - change) / 2
    power = 0.0
    for gained in range(n + 1):
        for lost in range(n - gained + 1):
            if mcnemar_exact(*pairs(gained, lost)).p_value <= 0.05:
                same = n - gained - lost
                ways = math.comb(n, gained) * math.comb(n - gained, lost)
                power += ways * up**gained * down**lost * (1 - discordant) ** same
    return power


@pytest.mark.parametrize(("change", "discordant"), [(0.3, 0.3), (0.35, 0.5), (0.5, 0.6)])
def test_the_problems_needed_give_about_the_power_asked_for(change, discordant):
    n = problems_needed(change, discordant)
    assert 0.68 <= exact_power(n, change, discordant) <= 0.9


def test_twenty_problems_only_see_large_changes():
    assert 0.3 < detectable_change(20) < 0.4
    assert detectable_change(5) == 1.0  # five changes all one way still have p = 0.0625


@law
@given(st.integers(6, 5000), st.floats(0.05, 1))
def test_the_detectable_change_is_the_smallest(n, discordant):
    change = detectable_change(n, discordant)
    assert problems_needed(change, max(change, discordant)) <= n
    smaller = change - 0.001
    if smaller > 0.0005:
        assert problems_needed(smaller, max(smaller, discordant)) > n


@pytest.mark.parametrize(("change", "discordant"), [(0, 0.3), (0.4, 0.3), (0.4, 1.1)])
def test_power_refuses_impossible_shares(change, discordant):
    with pytest.raises(ValueError, match="discordant share"):
        problems_needed(change, discordant)


# --- Transfer -------------------------------------------------------------------------------------


def test_transfer_of_a_table_worked_by_hand():
    accuracy = [
        [0.8, 0.3, 0.1],
        [0.9, 0.7, 0.4],
        [0.6, 0.5, 0.9],
    ]
    result = transfer(accuracy, untrained=[0.2, 0.2, 0.2])
    assert result.average_accuracy == pytest.approx((0.6 + 0.5 + 0.9) / 3)
    assert result.backward == pytest.approx(((0.6 - 0.8) + (0.5 - 0.7)) / 2)
    assert result.forward == pytest.approx(((0.3 - 0.2) + (0.4 - 0.2)) / 2)
    assert result.forgetting == pytest.approx(((0.9 - 0.6) + (0.7 - 0.5)) / 2)


@pytest.mark.parametrize(
    ("accuracy", "untrained"), [([[1.0]], [0.0]), ([[1.0, 0.0]], [0.0]), ([[1, 0], [0, 1]], [0.0])]
)
def test_transfer_needs_a_square_table(accuracy, untrained):
    with pytest.raises(ValueError, match="square table"):
        transfer(accuracy, untrained)


def test_a_paired_difference_where_nothing_changed_is_as_wide_as_so_few_problems_leave_it():
    """Tango's closed form: z² / (n + z²) either way."""
    interval, z = paired_difference(0, 0, 100), 1.959964
    assert (interval.low, interval.high) == pytest.approx((-z * z / (100 + z * z), 0.0369948), 1e-4)


@pytest.mark.parametrize(("gained", "lost", "n"), [(1, 0, 50), (10, 12, 50), (3, 1, 20)])
def test_the_ends_of_a_paired_difference_are_as_far_off_as_the_likelihood_says(gained, lost, n):
    """The variance at either end from the likelihood itself, maximised by trying everything."""
    interval = paired_difference(gained, lost, n)
    for change in (interval.low, interval.high):

        def likelihood(share: float, change: float = change) -> float:
            """Of losing with this chance, and gaining with this and the change more."""
            chances = (share + change, share, 1 - 2 * share - change)
            counts = (gained, lost, n - gained - lost)
            return sum(k * math.log(p) for k, p in zip(counts, chances, strict=True) if k)

        least, most = max(0.0, -change), (1 - change) / 2
        tried = [least + (most - least) * (i + 0.5) / 20000 for i in range(20000)]
        share = max(tried, key=likelihood)
        error = math.sqrt((2 * share + change - change**2) / n)
        assert abs((gained - lost) / n - change) / error == pytest.approx(1.96, abs=2e-3)


def test_a_paired_difference_turns_with_its_sign_and_ends_at_one():
    there, back = paired_difference(7, 2, 30), paired_difference(2, 7, 30)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert paired_difference(5, 0, 5).high == 1
    assert paired_difference(0, 5, 5).low == -1


@pytest.mark.parametrize("counts", [(0, 0, 0), (3, 3, 5), (-1, 0, 5)])
def test_a_paired_difference_of_more_than_there_is_is_refused(counts):
    with pytest.raises(ValueError, match="cannot be"):
        paired_difference(*counts)


def test_the_score_interval_covers_the_true_difference_as_often_as_it_says():
    """Exactly, over all outcomes of 40 problems of which 15 % are gained and 10 % lost."""
    covered = 0.0
    for gained in range(41):
        for lost in range(41 - gained):
            ways = math.comb(40, gained) * math.comb(40 - gained, lost)
            chance = ways * 0.15**gained * 0.10**lost * 0.75 ** (40 - gained - lost)
            if chance > 1e-6:
                interval = paired_difference(gained, lost, 40)
                covered += chance * (interval.low <= 0.05 <= interval.high)
    assert 0.94 < covered < 0.97
