"""Sessions: unguessable ids, visitors kept apart, and survival of a restart."""

import dataclasses
import os
import threading

import pytest
import torch

from arena import stream
from learner.learning.training import train_step
from learner.visitors.session import SessionError
from learner.visitors.stores.sqlite import SqliteStore
from tests.learner.session_server import teach

# Ids


def test_ids_are_long_random_and_not_to_be_seen_on_the_disk(server):
    sessions = server.start()
    ids = {server.visitor(sessions) for _ in range(5)}
    assert len(ids) == 5
    assert all(len(session_id) == 43 for session_id in ids)  # 256 bits in base 64
    names = " ".join(
        os.path.join(path, name)
        for path, folders, files in os.walk(server.folder)
        for name in (*folders, *files)
    )
    content = b"".join(path.read_bytes() for path in server.folder.rglob("*") if path.is_file())
    for session_id in ids:
        assert session_id not in names
        assert session_id.encode() not in content


@pytest.mark.parametrize(
    "bad",
    [
        None,
        "",
        7,
        [],
        {},
        "short",
        "../" * 14 + "x",
        "a" * 42 + "/",
        "a" * 42 + "\n",
        "a" * 44,
        "é" * 43,
    ],
)
def test_what_cannot_be_an_id_touches_nothing(server, bad, monkeypatch):
    sessions = server.start()
    monkeypatch.setattr(sessions, "_key", None)  # looking into the store would fail the test
    with pytest.raises(SessionError, match="not the id"):
        sessions.get(bad)


def test_an_id_that_was_not_given_out_gets_another_and_a_notice(server):
    sessions = server.start()
    unknown = "a" * 43
    with pytest.raises(SessionError, match="no longer kept"):
        sessions.get(unknown)
    session = sessions.open(unknown)
    assert session.id != unknown
    assert "no longer kept" in session.take_notice()
    assert sessions.open().take_notice() == ""


def test_two_visitors_never_see_each_others_learner(server):
    sessions = server.start()
    mine, yours = sessions.open(), sessions.open()
    teach(mine, 3)
    mine.note(problem="mine")
    sessions.flush()
    assert yours.learner.steps == 0 and yours.notes == {}
    restarted = server.start()
    assert restarted.get(mine.id).learner.steps == 3
    with pytest.raises(SessionError):
        restarted.get(yours.id)  # never changed, never saved


def test_one_id_is_one_session_in_all_tabs(server):
    sessions = server.start()
    session = sessions.open()
    assert sessions.get(session.id) is session
    assert sessions.open(session.id) is session


# Saving and restoring


def test_everything_but_undo_survives_a_restart(server, qwen2):
    sessions = server.start()
    session = sessions.open()
    problems = [next(stream(seed)) for seed in range(2)]
    with session.run():
        for _ in range(3):
            session.adopt(train_step(qwen2, session.learner, problems)[0])
    session.note(problem={"question": "1 + 1?"})
    session.advance(5)
    sessions.close()
    again = server.start().open(session.id)
    assert again is not session
    assert again.id == session.id
    assert again.take_notice() == ""
    for name in ("prompt", "first_moment", "second_moment"):
        assert torch.equal(getattr(again.learner, name), getattr(session.learner, name))
    assert again.learner.history == session.learner.history
    assert (again.notes, again.state.position, again.seed) == (session.notes, 5, session.seed)
    assert again.undo_depth == 0
    uninterrupted, _ = train_step(qwen2, session.learner, problems)
    continued, _ = train_step(qwen2, again.learner, problems)
    assert torch.equal(continued.prompt, uninterrupted.prompt)
    assert continued.history == uninterrupted.history


def test_the_end_of_a_run_is_saved_without_anybody_asking(server, monkeypatch):
    saved = threading.Event()
    write = SqliteStore.write

    def watched(*arguments):
        version = write(*arguments)
        saved.set()
        return version

    monkeypatch.setattr(SqliteStore, "write", watched)
    session = server.start().open()
    teach(session, 2)
    assert saved.wait(30)
    assert server.start().get(session.id).learner.steps == 2


def test_a_session_that_never_changed_is_not_saved(server):
    sessions = server.start()
    for _ in range(10):
        sessions.open()
    sessions.close()
    assert server.kept() == 0


def test_closing_stops_the_runs(server):
    sessions = server.start()
    session = sessions.open()
    with session.run():
        sessions.close()
        assert session.stop.is_set()
        session.adopt(dataclasses.replace(session.learner, steps=9))
    assert server.start().get(session.id).learner.steps == 9


def test_base_models_keep_their_learners_apart(server, qwen2):
    session_id = server.visitor(server.start())
    other = dataclasses.replace(qwen2, source=dataclasses.replace(qwen2.source, name="other"))
    with pytest.raises(SessionError, match="no longer kept"):
        server.start(other).get(session_id)
    assert server.start().get(session_id).learner.steps == 1


def test_what_is_promised_is_what_the_store_can_keep(server):
    assert "for 7 days after its last use" in server.start().promise
    assert "a restart forgets them" in server.start(lasting=False).promise
