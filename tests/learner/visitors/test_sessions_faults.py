"""Sessions on a store that fails: nobody is kept from learning, nothing in memory is lost."""

import shutil
import sqlite3

import pytest

from learner.visitors.session import SessionError
from learner.visitors.stores.sqlite import SqliteStore
from learner.visitors.stores.store import StoreError
from tests.learner.session_server import teach


@pytest.fixture
def broken(monkeypatch):
    """Breaks methods of the store, until it is told to mend them."""
    patch = pytest.MonkeyPatch()

    def fail(*_):
        raise StoreError("there is no room left")

    def break_(*names):
        for name in names:
            patch.setattr(SqliteStore, name, fail)

    break_.mend = patch.undo
    yield break_
    patch.undo()


def test_what_cannot_be_saved_is_told_once_and_saved_later_without_another_change(server, broken):
    sessions = server.start()
    session, other = sessions.open(), sessions.open()
    broken("write")
    teach(session, 1)
    other.note(tab="teach")
    sessions.flush()
    for one in (session, other):
        notice = one.take_notice()
        assert "could not be saved on the server (there is no room left)" in notice
    teach(session, 2)
    sessions.flush()
    assert session.take_notice() == ""
    broken.mend()
    sessions.flush()
    assert server.start().get(session.id).learner.steps == 2
    assert server.start().get(other.id).notes == {"tab": "teach"}


def test_whoever_wants_to_keep_something_is_told(server, broken):
    sessions = server.start()
    session = sessions.open()
    broken("write")
    with pytest.raises(SessionError, match="there is no room left"):
        sessions.keep(session)


def test_what_cannot_be_read_keeps_its_id_and_comes_back(server, broken):
    session_id = server.visitor(server.start(), steps=4)
    sessions = server.start()
    broken("read")
    session = sessions.open(session_id)
    assert session.id == session_id
    assert "cannot be read at the moment" in session.take_notice()
    assert session.learner.steps == 0
    broken.mend()
    sessions.flush()
    assert sessions.get(session_id).learner.steps == 4


def test_what_was_learnt_meanwhile_and_what_was_stored_are_both_there(server, broken):
    session_id = server.visitor(server.start(), steps=4)
    sessions = server.start()
    broken("read", "write")
    session = sessions.open(session_id)
    teach(session, 9)
    sessions.flush()
    broken.mend()
    sessions.flush()
    assert sessions.get(session_id) is session
    assert session.learner.steps == 9
    assert "Undo brings it back" in session.take_notice()
    assert server.start().get(session_id).learner.steps == 9
    assert session.undo().steps == 4


def test_two_apps_on_one_store_lose_neither_learner(server):
    session_id = server.visitor(server.start(), steps=1)
    one, two = server.start(), server.start()
    here, there = one.get(session_id), two.get(session_id)
    teach(here, 5)
    one.flush()
    teach(there, 6)
    two.flush()
    assert "Undo brings it back" in there.take_notice()
    assert server.start().get(session_id).learner.steps == 6
    assert there.undo().steps == 5


def test_a_read_only_database_keeps_nobody_from_reading_and_learning(server, monkeypatch):
    before = server.start()
    session_id = server.visitor(before, steps=4)
    before.close()
    monkeypatch.setattr(SqliteStore, "_writable", lambda self: False)
    sessions = server.start()
    session, other = sessions.open(session_id), sessions.open()
    assert (session.learner.steps, session.take_notice()) == (4, "")
    teach(session, 9)
    teach(other, 1)
    sessions.flush()
    for one in (session, other):
        assert "could not be saved on the server (it is read-only)" in one.take_notice()
    with pytest.raises(SessionError, match="it is read-only"):
        sessions.keep(other)
    assert (session.learner.steps, other.learner.steps) == (9, 1)
    monkeypatch.undo()
    sessions.flush()
    assert server.start().get(session_id).learner.steps == 9


@pytest.mark.parametrize("damage", ["deleted", "folder deleted", "overwritten"])
def test_after_the_loss_of_the_database_everything_in_memory_is_saved_again(server, damage):
    sessions = server.start()
    ids = [server.visitor(sessions, steps=n) for n in (1, 2, 3)]
    open_ones = [sessions.get(session_id) for session_id in ids]
    if damage == "deleted":
        server.database.unlink()
    elif damage == "folder deleted":
        shutil.rmtree(server.folder)
    else:
        server.database.write_bytes(b"not a database at all " * 1000)
    teach(open_ones[0], 7)
    sessions.flush()
    assert [session.take_notice() for session in open_ones] == [""] * 3
    restarted = server.start()
    assert [restarted.get(session_id).learner.steps for session_id in ids] == [7, 2, 3]


def test_a_locked_database_is_told_and_written_when_it_is_free(server):
    sessions = server.start()
    session = sessions.get(server.visitor(sessions))
    other = sqlite3.connect(server.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    teach(session, 3)
    sessions.flush()
    assert "another program is writing there" in session.take_notice()
    assert sessions.get(session.id).learner.steps == 3
    other.execute("COMMIT")
    other.close()
    sessions.flush()
    assert server.start().get(session.id).learner.steps == 3


def test_those_that_have_learnt_least_are_let_go_if_too_many_wait(server, broken, monkeypatch):
    monkeypatch.setattr("learner.visitors.kept_sessions._UNSAVED", 2)
    sessions = server.start()
    broken("write")
    learnt = []
    for episodes in (20, 0, 0, 30, 0):
        session = sessions.open()
        teach(session, 1, episodes)
        sessions.flush()
        if episodes:
            learnt.append(session.id)
    broken.mend()
    sessions.flush()
    assert server.kept() == 2
    for session_id in learnt:
        assert server.start().get(session_id).learner.steps == 1


# What is stored but cannot be understood


def damaged(server, change):
    """Changes what is stored of the only session."""
    with sqlite3.connect(server.database) as database:
        (data,) = database.execute("SELECT data FROM sessions").fetchone()
        database.execute("UPDATE sessions SET data = ?", (change(data),))
    database.close()


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-20] + bytes(20),
        lambda data: b"garbage",
    ],
)
def test_a_session_that_cannot_be_read_starts_anew_and_says_so(server, change):
    session_id = server.visitor(server.start())
    damaged(server, change)
    sessions = server.start()
    session = sessions.open(session_id)
    assert session.id == session_id
    assert session.learner.steps == 0
    notice = session.take_notice()
    assert notice.startswith("Your saved learner cannot be read, so you start with a new one: ")
    assert str(server.folder) not in notice
    teach(session, 6)
    sessions.close()
    assert server.start().open(session_id).learner.steps == 6
