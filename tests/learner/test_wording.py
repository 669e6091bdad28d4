"""Numbers in words."""

import pytest

from arena.statistics import Interval
from learner import wording


def test_accuracies_and_changes_carry_their_intervals():
    assert wording.accuracy(0.62, Interval(0.551, 0.684)) == "62.0 % [55.1, 68.4]"
    assert wording.change(-0.03, Interval(-0.248, 0.219)) == "−3.0 [−24.8, +21.9]"


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.5, "p = 0.5"), (0.0123, "p = 0.012"), (0.00051, "p = 0.0005"), (0.0, "p < 0.0001")],
)
def test_p_values(value, words):
    assert wording.p_value(value) == words


def test_power_names_its_n():
    assert wording.power(20).startswith("n = 20 can only see changes above ±")
    points = [int(wording.power(n).split("±")[1].split()[0]) for n in (20, 200, 2000)]
    assert points == sorted(points, reverse=True)


def test_a_table_keeps_to_its_columns():
    assert wording.table([["a", "b"], ["1|2", "3\n4"]]) == "\n".join(
        ["| a | b |", "| --- | --- |", "| 1\\|2 | 3 4 |"]
    )
    assert (wording.count(1, "seed"), wording.count(5, "seed")) == ("1 seed", "5 seeds")


def test_counts_shares_and_times():
    assert [wording.count(n, "seed") for n in (1, 5, 1000)] == ["1 seed", "5 seeds", "1,000 seeds"]
    assert wording.percent(0.625) == "62\u202f%"
    assert wording.small_percent(0.004) == "under 1\u202f%"
    assert wording.small_percent(0) == "0\u202f%"
    assert [wording.duration(s) for s in (-1, 12, 180)] == ["0 s", "12 s", "3 min"]
