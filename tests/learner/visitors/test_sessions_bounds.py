"""Sessions: bounds on their number and age, and what can go wrong on the disk."""

import errno
import gc
import os

import pytest

from learner.visitors import sessions as sessions_module
from learner.visitors.session import SessionError
from tests.learner.session_server import DAY, teach

pytestmark = pytest.mark.usefixtures("no_sync")


def test_memory_is_bounded_and_the_disk_remembers(server):
    sessions = server.start(max_in_memory=2)
    ids = [server.visitor(sessions, steps=n) for n in range(1, 6)]
    gc.collect()
    assert len(sessions._alive) == 2
    assert [sessions.get(session_id).learner.steps for session_id in ids] == [1, 2, 3, 4, 5]


def test_a_session_that_is_held_meets_no_double(server):
    sessions = server.start(max_in_memory=1)
    held = sessions.open()
    teach(held, 1)
    server.visitor(sessions)  # pushes it out
    teach(held, 2)
    assert sessions.get(held.id) is held
    sessions.flush()
    assert server.start().get(held.id).learner.steps == 2


def test_the_disk_keeps_those_used_last(server):
    sessions = server.start(max_sessions=3)
    first, second, third = (server.visitor(sessions) for _ in range(3))
    server.now += 1
    sessions.get(first)
    fourth = server.visitor(sessions)
    assert server.kept() == 3
    restarted = server.start(max_sessions=3)
    for session_id in (first, third, fourth):
        assert restarted.get(session_id).learner.steps == 1
    for known in (sessions, restarted):
        with pytest.raises(SessionError, match="no longer kept"):
            known.get(second)


def test_a_session_in_use_is_not_removed(server):
    sessions = server.start(max_sessions=1)
    session = sessions.get(server.visitor(sessions))
    with session.run():
        server.visitor(sessions)
        assert sessions.get(session.id) is session
        assert server.start(max_sessions=2).get(session.id).learner.steps == 1


def test_sessions_expire_at_a_restart_and_when_asked_for(server):
    sessions = server.start(max_age_seconds=DAY, max_in_memory=1)
    old, older = server.visitor(sessions), server.visitor(sessions)
    server.now += DAY / 2
    young = server.visitor(sessions)
    server.now += DAY / 2 + 5
    with pytest.raises(SessionError, match="no longer kept"):
        sessions.get(old)
    assert server.kept() == 2
    restarted = server.start(max_age_seconds=DAY)
    assert server.kept() == 1
    assert restarted.get(young).learner.steps == 1
    with pytest.raises(SessionError):
        restarted.get(older)


def test_what_is_not_a_session_is_left_alone(server):
    server.start()
    (server.folder / "README").write_text("Here are the sessions.")
    os.utime(server.folder / "README", (0, 0))
    server.start(max_age_seconds=DAY)
    assert (server.folder / "README").exists()


# What can go wrong on the disk


@pytest.mark.parametrize(
    "name", ["adapter_model.safetensors", "training_state.json", "session.json"]
)
@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_a_session_that_cannot_be_read_starts_anew_and_says_so(server, name, content):
    session_id = server.visitor(server.start())
    (path,) = server.folder.glob(f"*/checkpoint/{name}")
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    sessions = server.start()
    session = sessions.open(session_id)
    assert session.id == session_id
    assert session.learner.steps == 0
    notice = session.take_notice()
    assert notice.startswith("Your saved learner cannot be read, so you start with a new one: ")
    assert name in notice and str(server.folder) not in notice
    teach(session, 6)
    sessions.close()
    assert server.start().open(session_id).learner.steps == 6


@pytest.mark.parametrize(
    "content",
    [b"{}", b'{"seed":-1,"position":0,"notes":{}}', b'{"seed":1,"position":0,"notes":[]}'],
)
def test_a_session_file_of_the_wrong_shape_starts_anew(server, content):
    session_id = server.visitor(server.start())
    (path,) = server.folder.glob("*/checkpoint/session.json")
    path.write_bytes(content)
    assert "session.json" in server.start().open(session_id).take_notice()


def test_a_full_disk_is_told_and_the_learner_goes_on(server, monkeypatch):
    sessions = server.start()
    session = sessions.open()

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(sessions_module, "write_folder", full)
        teach(session, 1)
        sessions.flush()
        assert "No space left on device" in session.take_notice()
    teach(session, 2)
    sessions.flush()
    assert session.take_notice() == ""
    assert server.start().get(session.id).learner.steps == 2


def test_what_never_changed_can_be_kept_all_the_same_with_a_folder_beside_it(server):
    sessions = server.start()
    session = sessions.open()
    assert not sessions.folder_of(session).exists()
    sessions.keep(session)
    (sessions.folder_of(session) / "more").mkdir()
    teach(session, 2)
    sessions.flush()
    assert (sessions.folder_of(session) / "more").is_dir()
    again = server.start()
    restored = again.get(session.id)
    assert restored.learner.steps == 2
    assert again.folder_of(restored) == sessions.folder_of(session)


def test_what_is_held_is_not_removed_until_it_is_let_go(server):
    sessions = server.start(max_sessions=1)
    session = sessions.open()
    with session.held():
        assert session.in_use
        sessions.keep(session)
        server.visitor(sessions)
        server.visitor(sessions)
        assert sessions.folder_of(session).is_dir()
    assert not session.in_use
    server.visitor(sessions)
    assert not sessions.folder_of(session).exists()


def test_a_full_disk_is_told_to_whoever_wants_to_keep_something(server, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    sessions = server.start()
    session = sessions.open()
    monkeypatch.setattr(sessions_module, "write_folder", full)
    with pytest.raises(SessionError, match="No space left on device"):
        sessions.keep(session)
