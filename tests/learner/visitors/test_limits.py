"""Making room: who goes first, who never, and when there is none."""

import random

import pytest

from learner.visitors.limits import (
    DAY,
    KEPT,
    PROMISED_EPISODES,
    PROMISED_SECONDS,
    VISITS,
    Arrivals,
    Limits,
    Rate,
    surplus,
)
from learner.visitors.session import SessionError
from learner.visitors.stores.store import Summary
from tests.learner.session_server import teach

NOW = 100 * DAY


def row(key, days=0.0, learnt=0, size=10):
    return Summary(key, 1, NOW - days * DAY, learnt, size)


def gone(kept, more=None, held=(), **limits):
    removed, enough = surplus(kept, more, NOW, Limits(**limits), held)
    return "".join(summary.key for summary in removed), enough


def test_while_there_is_room_only_what_is_too_old_goes():
    kept = [row("a", 31), row("b", 29), row("c", 31, learnt=1000)]
    assert gone(kept, row("n")) == ("ac", True)


def test_those_that_hardly_learnt_go_first_the_longest_unused_of_them_first():
    kept = [row("a", 20, PROMISED_EPISODES), row("b", 1), row("c", 2), row("d", 3)]
    assert gone(kept, row("n"), sessions=3) == ("dc", True)
    assert gone(kept, row("n"), sessions=1) == ("dcba", True)


def test_nobody_goes_within_the_promised_time():
    kept = [row("a", PROMISED_SECONDS / DAY - 0.1, PROMISED_EPISODES), row("b", 0, 500)]
    assert gone(kept, row("n"), sessions=2) == ("", False)
    assert gone(kept, row("n"), size=25) == ("", False)
    kept[0] = row("a", PROMISED_SECONDS / DAY + 0.1, PROMISED_EPISODES)
    assert gone(kept, row("n"), sessions=2) == ("a", True)


def test_what_is_held_stays_however_old():
    assert gone([row("a", 99), row("b", 99)], held={"a"}) == ("b", True)


def test_who_is_there_already_takes_no_second_place():
    kept = [row("a", size=90), row("b", size=5)]
    assert gone(kept, row("a", size=95), size=100, sessions=2) == ("", True)
    assert gone(kept, row("a", size=96), size=100) == ("b", True)
    assert gone(kept, row("a", size=101), size=100) == ("b", False)


def test_whatever_happens_the_limits_hold_and_no_promise_is_broken():
    rng = random.Random(0)
    for _ in range(300):
        kept = [
            row(str(i), rng.uniform(0, 40), rng.choice([0, 9, 10, 99]), rng.randint(1, 50))
            for i in range(rng.randint(0, 20))
        ]
        more = row("new", 0, 0, rng.randint(1, 50))
        limits = Limits(sessions=rng.randint(1, 20), size=rng.randint(1, 500))
        removed, enough = surplus(kept, more, NOW, limits, ())
        left = [summary for summary in kept if summary not in removed]
        for summary in removed:
            days = (NOW - summary.used_at) / DAY
            assert summary.learnt < 10 or days > 7
        if enough:
            assert len(left) + 1 <= limits.sessions
            assert sum(summary.size for summary in left) + more.size <= limits.size


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def admitted(arrivals, address, number):
    return sum(arrivals.admit(address) for _ in range(number))


def test_an_address_brings_a_hall_at_once_and_then_so_many_a_day():
    clock = Clock()
    arrivals = Arrivals(Rate(300, 24), Rate(1000, 1000), clock)
    assert admitted(arrivals, "hall", 1000) == 300
    assert admitted(arrivals, "elsewhere", 10) == 10
    clock.now = DAY / 24
    assert admitted(arrivals, "hall", 10) == 1
    clock.now = 30 * DAY
    assert admitted(arrivals, "hall", 1000) == 300


def test_all_addresses_together_bring_no_more_than_that():
    clock = Clock()
    arrivals = Arrivals(Rate(5, 5), Rate(100, 10), clock)
    assert sum(arrivals.admit(str(address)) for address in range(1000)) == 100
    clock.now = DAY
    assert sum(arrivals.admit(str(address)) for address in range(1000)) == 10


def test_whoever_is_not_let_in_does_not_count():
    arrivals = Arrivals(Rate(2, 1), Rate(3, 1), Clock())
    assert admitted(arrivals, "one", 100) == 2
    assert admitted(arrivals, "other", 100) == 1


def test_addresses_long_gone_are_forgotten():
    clock = Clock()
    arrivals = Arrivals(Rate(1, DAY), Rate(10, 100 * DAY), clock)
    for address in range(1000):
        clock.now += 1.0
        assert arrivals.admit(str(address))
    assert len(arrivals._levels) <= 21


def test_a_lecture_hall_is_never_kept_waiting():
    for by_address, _ in (VISITS, KEPT):
        assert admitted(Arrivals(by_address, Rate(10_000, 1), Clock()), "hall", 300) == 300


@pytest.fixture
def sessions(server):
    """Three newcomers are let in from an address, and one of them is kept."""
    plenty = Rate(100, 1e-9)
    visits, keeps = Arrivals(Rate(3, 1e-9), plenty), Arrivals(Rate(1, 1e-9), plenty)
    return server.start(visits=visits, keeps=keeps)


def test_a_newcomer_too_many_is_told_and_a_known_visitor_comes_in(sessions):
    known = [sessions.open(address="hall").id for _ in range(3)]
    with pytest.raises(SessionError, match="newcomers"):
        sessions.open(address="hall")
    assert sessions.open(known[0], address="hall").id == known[0]
    assert sessions.open(address="elsewhere").id not in known


def test_a_newcomer_who_is_not_kept_learns_on_and_is_told(sessions):
    first, second = (sessions.open(address="hall") for _ in range(2))
    teach(first, 1)
    sessions.flush()
    teach(second, 2)
    teach(first, 3)
    sessions.flush()
    assert first.take_notice() == ""
    assert "too many new ones have come from your address" in second.take_notice()
    assert sessions.get(second.id).learner.steps == 2
    other = sessions.open(address="elsewhere")
    teach(other, 1)
    sessions.flush()
    assert other.take_notice() == ""


def test_nothing_can_be_kept_beside_a_session_that_is_not_kept(sessions):
    first, second = (sessions.open(address="hall") for _ in range(2))
    sessions.keep(first)
    with pytest.raises(SessionError, match="too many new ones"):
        sessions.keep(second)
