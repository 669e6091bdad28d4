"""A lecture hall is let in at once; whoever goes on at that pace has to wait, and nobody else."""

import pytest

from learner.visitors.arrivals import DAY, KEPT, VISITS, Arrivals, Rate
from learner.visitors.session import SessionError
from tests.learner.session_server import teach


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
