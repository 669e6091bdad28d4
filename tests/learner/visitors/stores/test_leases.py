"""Leases: one app at a time, until it gives back, dies or is cut off."""

import threading
from functools import partial
from itertools import count

import pytest

from learner.learning.learner import new_learner
from learner.visitors.session import SessionBusy
from learner.visitors.sessions import Sessions
from learner.visitors.stores.leases import LEASE_SECONDS, ObjectLeases
from learner.visitors.stores.object_store import ObjectStore
from learner.visitors.stores.objects import RemoteObjects
from learner.visitors.stores.store import StoreError
from tests.learner.session_server import teach


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def objects():
    return RemoteObjects("memory:///")


def nothing():
    raise AssertionError("it was not lost")


def test_one_has_it_until_it_is_given_back(objects, clock):
    one, other = (ObjectLeases(objects, clock) for _ in range(2))
    assert one.take("a", nothing)
    assert one.take("a", nothing)
    assert not other.take("a", nothing)
    assert other.take("b", nothing)
    other.leave("a")  # which it does not have
    assert not other.take("a", nothing)
    one.leave("a")
    assert other.take("a", nothing) and not one.take("a", nothing)
    assert len(objects.below("leases/a")) == 1


def test_that_of_one_who_died_runs_out(objects, clock):
    dead, other = (ObjectLeases(objects, clock) for _ in range(2))
    assert dead._take("a")  # and nobody prolongs it
    clock.now += LEASE_SECONDS - 1
    assert not other.take("a", nothing)
    clock.now += 2
    assert other.take("a", nothing)


def test_it_is_prolonged_and_whoever_loses_it_is_told(objects, clock):
    one, other = (ObjectLeases(objects, clock) for _ in range(2))
    lost = []
    assert one.take("a", lambda: lost.append("a"))
    clock.now += LEASE_SECONDS - 1
    one.prolong()
    clock.now += LEASE_SECONDS - 1
    assert not other.take("a", nothing) and not lost
    clock.now += LEASE_SECONDS + 1  # as if it had been stopped for long
    assert other.take("a", nothing)
    one.prolong()
    one.prolong()
    assert lost == ["a"]


def test_what_is_left_while_it_is_prolonged_stays_left(objects, clock, monkeypatch):
    one, other = (ObjectLeases(objects, clock) for _ in range(2))
    assert one.take("a", nothing)
    take = one._take
    monkeypatch.setattr(one, "_take", lambda key: one.leave(key) or take(key))
    one.prolong()
    assert other.take("a", nothing)


def test_it_is_prolonged_by_itself(objects):
    one = ObjectLeases(objects, seconds=0.05)
    assert one.take("a", lambda: None)
    seen = set()
    while len(seen) < 3:
        seen |= set(objects.below("leases/a"))
    one.leave("a")


def test_of_many_who_ask_at_once_one_gets_it(objects, clock):
    start, got = threading.Barrier(8), []

    def ask():
        leases = ObjectLeases(objects, clock)
        start.wait()
        if leases.take("a", nothing):
            got.append(leases)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1


def test_what_is_not_whole_is_nobodys(objects, clock):
    for number, data in zip(count(1), (b"", b"me", b"me soon", b"\xff\xfe 1"), strict=False):
        objects.create(f"leases/a/{number}", data)
    assert ObjectLeases(objects, clock).take("a", nothing)


def test_storage_out_of_reach_keeps_nobody_from_learning(objects, clock, monkeypatch):
    def fail(*_):
        raise StoreError("its storage is out of reach")

    leases = ObjectLeases(objects, clock)
    monkeypatch.setattr(objects, "below", fail)
    assert leases.take("a", nothing)
    leases.leave("a")


# Two apps, one store


@pytest.fixture
def apps(objects, qwen2, tmp_path):
    """Two apps' sessions in one store, which save when a run ends or they are told to."""
    made = [
        Sessions(
            tmp_path / name,
            qwen2,
            partial(new_learner, qwen2),
            store=ObjectStore(objects),
            save_interval=3600,
        )
        for name in ("one", "other")
    ]
    yield made
    for sessions in made:
        sessions.close()


def test_a_learner_is_taught_in_one_app_at_a_time(apps):
    one, other = apps
    session = one.open()
    teach(session, 1, 4)
    elsewhere = other.get(session.id)
    with session.run():
        with pytest.raises(SessionBusy), elsewhere.run():
            pass
        assert not elsewhere.running
    with elsewhere.run(), pytest.raises(SessionBusy), session.run():
        pass


def test_a_run_goes_on_from_what_was_learnt_at_the_other_app(apps):
    one, other = apps
    session = one.open()
    teach(session, 1, 8)
    elsewhere = other.get(session.id)
    assert elsewhere.learner.episodes == session.learner.episodes
    teach(session, 1, 12)  # the other one does not know yet
    with elsewhere.run():
        assert elsewhere.learner.episodes == session.learner.episodes
    assert elsewhere.undo().episodes < session.learner.episodes


def test_a_page_that_is_opened_shows_what_was_learnt_at_the_other_app(apps):
    one, other = apps
    session = one.open()
    teach(session, 1, 16)
    other.open(session.id)
    teach(session, 1, 20)
    found = other.open(session.id)
    assert found.learner.episodes == session.learner.episodes and not found.take_notice()


def test_what_only_one_app_has_is_not_lost(apps):
    one, other = apps
    session = one.open()
    teach(session, 1, 24)
    elsewhere = other.get(session.id)
    elsewhere.reset()  # not saved yet
    teach(session, 1, 28)
    found = other.open(session.id)
    assert found is elsewhere and found.learner.episodes == 0
    assert "Undo brings it back" in found.take_notice()
    assert found.undo().episodes == session.learner.episodes


def test_a_run_that_has_lost_its_lease_ends(apps, monkeypatch):
    one, _ = apps
    session = one.open()
    with session.run():
        (key,) = one._store.leases._held
        monkeypatch.setattr(one._store.leases, "_take", lambda key: False)
        one._store.leases.prolong()
        assert session.stop.is_set() and "another server" in session.take_notice()
        assert key not in one._store.leases._held
