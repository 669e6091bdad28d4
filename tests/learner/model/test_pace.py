"""A pace finds the size that takes so long, follows a machine that changes, and stays in bounds."""

import threading
import time

import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from learner.model.pace import Largest, Pace, worked


@settings(deadline=None)
@example(seconds=1.0, fixed=0.82, each=0.003, first=1)
@given(
    seconds=st.floats(0.01, 2),
    fixed=st.floats(0, 0.9),
    each=st.floats(1e-4, 1e-1),
    first=st.integers(1, 10_000),
)
def test_it_settles_where_it_takes_so_long(
    seconds: float, fixed: float, each: float, first: int
) -> None:
    """Whatever part of the time is there at any size."""
    pace = Pace(seconds, first)
    for _ in range(400):
        pace.measured(pace.size, seconds * fixed + each * pace.size)
    expected = max(1.0, seconds * (1 - fixed) / each)
    assert abs(pace.size - expected) <= 1 + 0.05 * expected


@given(
    measured=st.lists(st.tuples(st.integers(1, 5000), st.floats(0, 100))),
    least=st.integers(1, 20),
    more=st.integers(0, 100),
)
def test_it_stays_in_bounds_whatever_is_measured(
    measured: list[tuple[int, float]], least: int, more: int
) -> None:
    pace = Pace(0.1, 50, least, least + more)
    for size, seconds in measured:
        pace.measured(size, seconds)
        assert least <= pace.size <= least + more


def test_a_machine_that_gets_busy_and_free_again_is_followed() -> None:
    pace = Pace(1.0, 8)
    for slow, expected in ((1, 100), (20, 5), (1, 100)):
        for _ in range(40):
            pace.measured(pace.size, slow * pace.size / 100)
        assert abs(pace.size - expected) <= 1


def test_what_is_much_smaller_speaks_only_if_it_takes_too_long() -> None:
    pace = Pace(1.0, 100)
    pace.measured(3, 0.02)
    assert pace.size == 100
    pace.measured(3, 1.5)
    assert pace.size < 100


def test_a_remainder_that_costs_more_than_its_share_makes_nothing_smaller() -> None:
    """Passes cost something however small: 30 of 100 in three quarters of the time that 100 may."""
    pace = Pace(1.0, 100)
    for _ in range(10):
        pace.measured(90, 0.95)
        pace.measured(30, 0.75)
    assert pace.size == 100


def test_what_others_do_meanwhile_is_not_work() -> None:
    began, now = worked(torch.device("cpu")), time.perf_counter()
    threading.Event().wait(0.2)
    assert time.perf_counter() - now >= 0.19
    assert worked(torch.device("cpu")) - began < 0.1


@given(st.floats(1e-5, 1.0))
def test_what_may_take_longer_does_so_up_to_a_size_alone(each: float) -> None:
    """Half a second while that is 500 or fewer, and a tenth of a second for more."""
    largest = Largest(Pace(0.1, 300), Pace(0.5, 300, most=500))
    for _ in range(400):
        largest.measured(largest.size, each * largest.size)
    expected = max(1.0, min(500, 0.5 / each), 0.1 / each)
    assert abs(largest.size - expected) <= 1 + 0.05 * expected
