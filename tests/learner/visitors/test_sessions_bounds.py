"""Sessions: bounds on their number, size and age, and who is never removed to make room."""

import gc
import os
import time
from functools import partial

import pytest

from learner.learning.learner import new_learner
from learner.visitors.limits import DAY, PROMISED_EPISODES, PROMISED_SECONDS, Limits
from learner.visitors.session import SessionError
from learner.visitors.sessions import Sessions
from tests.learner.session_server import teach


def test_memory_is_bounded_and_the_disk_remembers(server):
    sessions = server.start(max_in_memory=2)
    ids = [server.visitor(sessions, steps=n) for n in range(1, 6)]
    gc.collect()
    assert len(sessions._alive) == 2
    assert [sessions.get(session_id).learner.steps for session_id in ids] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("days", [400, -400])
def test_nobody_loses_anything_when_the_machines_clock_is_set(tmp_path, server, monkeypatch, days):
    fresh = partial(new_learner, server.base_model)
    sessions = Sessions(tmp_path / "more", server.base_model, fresh, max_in_memory=1)
    ids = [server.visitor(sessions) for _ in range(2)]
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + days * DAY)
    ids += [server.visitor(sessions) for _ in range(2)]
    gc.collect()
    assert [sessions.get(session_id).learner.steps for session_id in ids] == [1] * 4
    sessions.close()


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
    limits = Limits(sessions=3)
    sessions = server.start(limits=limits)
    first, second, third = (server.visitor(sessions) for _ in range(3))
    server.now += 1
    sessions.get(first)
    fourth = server.visitor(sessions)
    assert server.kept() == 3
    restarted = server.start(limits=limits)
    for session_id in (first, third, fourth):
        assert restarted.get(session_id).learner.steps == 1
    with pytest.raises(SessionError, match="no longer kept"):
        restarted.get(second)


def test_who_has_to_go_lives_on_in_memory_and_is_saved_again_when_used(server):
    limits = Limits(sessions=1)
    sessions = server.start(limits=limits)
    first = server.visitor(sessions)
    server.visitor(sessions)
    server.now += 1
    assert sessions.get(first).learner.steps == 1
    sessions.flush()
    assert server.start(limits=limits).get(first).learner.steps == 1


def test_bytes_are_bounded_too(server):
    sessions = server.start()
    server.visitor(sessions)
    size = sessions._store.size()
    limits = Limits(size=size * 7 // 2)
    sessions = server.start(limits=limits)
    for _ in range(6):
        server.visitor(sessions)
    assert server.kept() == 3


def test_what_lies_beside_a_session_counts_and_goes_with_it(server):
    sessions = server.start()
    session = sessions.open()
    sessions.keep(session)
    folder = sessions.folder_of(session)
    (folder / "experiments").mkdir(parents=True)
    (folder / "experiments" / "much").write_bytes(bytes(100_000))
    sessions.close()
    limits = Limits(size=60_000)
    sessions = server.start(limits=limits)  # which finds it, and too much of it
    assert not folder.exists()
    with pytest.raises(SessionError, match="no longer kept"):
        sessions.get(session.id)


def test_newcomers_never_push_out_who_has_really_learnt(server):
    limits = Limits(sessions=5)
    sessions = server.start(limits=limits, max_in_memory=1)
    learnt = [server.visitor(sessions, 3, PROMISED_EPISODES) for _ in range(4)]
    newcomers = [server.visitor(sessions) for _ in range(50)]
    assert server.kept() == 5
    restarted = server.start(limits=limits)
    assert [restarted.get(session_id).learner.steps for session_id in learnt] == [3] * 4
    assert restarted.get(newcomers[-1]).learner.steps == 1  # the last of them had the one place
    with pytest.raises(SessionError, match="no longer kept"):
        restarted.get(newcomers[-2])


def test_without_room_a_newcomer_is_told_and_learns_all_the_same(server):
    limits = Limits(sessions=2)
    sessions = server.start(limits=limits)
    for _ in range(2):
        server.visitor(sessions, 3, PROMISED_EPISODES)
    newcomer = sessions.get(server.visitor(sessions, 5, PROMISED_EPISODES))
    assert "has no room for more" in newcomer.take_notice()
    assert sessions.get(newcomer.id).learner.steps == 5
    with pytest.raises(SessionError, match="no room for more"):
        sessions.keep(newcomer)
    assert server.kept() == 2
    server.now += PROMISED_SECONDS + 1  # what was promised has been kept
    sessions.get(newcomer.id)
    sessions.flush()
    assert server.start(limits=limits).get(newcomer.id).learner.steps == 5


def test_a_soft_prompt_that_was_loaded_has_not_learnt_here(server):
    limits = Limits(sessions=1)
    sessions = server.start(limits=limits)
    session = sessions.open()
    teach(session, 1, 1000)
    trained = session.learner
    assert session.state.learnt == 1000
    loaded = sessions.open()
    loaded.replace_learner(trained)
    assert loaded.state.learnt == 0


def test_a_session_in_use_is_not_removed(server):
    limits = Limits(sessions=1)
    sessions = server.start(limits=limits)
    session = sessions.get(server.visitor(sessions))
    with session.run():
        server.visitor(sessions)
        assert sessions.get(session.id) is session
        assert server.start(limits=Limits(sessions=2)).get(session.id).learner.steps == 1


def test_sessions_expire_at_a_restart_and_when_asked_for(server):
    limits = Limits(age=DAY)
    sessions = server.start(limits=limits, max_in_memory=1)
    old, older = server.visitor(sessions), server.visitor(sessions)
    server.now += DAY / 2
    young = server.visitor(sessions)
    server.now += DAY / 2 + 5
    with pytest.raises(SessionError, match="no longer kept"):
        sessions.get(old)
    assert server.kept() == 2
    restarted = server.start(limits=limits)
    assert server.kept() == 1
    assert restarted.get(young).learner.steps == 1
    with pytest.raises(SessionError):
        restarted.get(older)


def test_being_looked_at_is_being_used(server):
    limits = Limits(age=DAY)
    sessions = server.start(limits=limits)
    session_id = server.visitor(sessions)
    for _ in range(3):
        server.now += DAY * 2 / 3
        restarted = server.start(limits=limits)
        assert restarted.get(session_id).learner.steps == 1
        restarted.close()


def test_what_is_not_a_session_is_left_alone(server):
    server.folder.mkdir()
    (server.folder / "README").write_text("Here are the sessions.")
    os.utime(server.folder / "README", (0, 0))
    server.visitor(server.start(limits=Limits(age=DAY)))
    assert (server.folder / "README").exists()


def test_what_never_changed_can_be_kept_all_the_same_with_a_folder_beside_it(server):
    sessions = server.start()
    session = sessions.open()
    assert not sessions.folder_of(session).exists()
    sessions.keep(session)
    (sessions.folder_of(session) / "more").mkdir(parents=True)
    teach(session, 2)
    sessions.flush()
    again = server.start()
    restored = again.get(session.id)
    assert restored.learner.steps == 2
    assert again.folder_of(restored) == sessions.folder_of(session)
    assert (again.folder_of(restored) / "more").is_dir()


def test_what_is_held_is_not_removed_until_it_is_let_go(server):
    sessions = server.start(limits=Limits(sessions=1))
    session = sessions.open()
    with session.held():
        assert session.in_use
        sessions.keep(session)
        (sessions.folder_of(session) / "more").mkdir(parents=True)
        server.visitor(sessions)
        server.visitor(sessions)
        assert sessions.folder_of(session).is_dir()
    assert not session.in_use
    server.visitor(sessions)
    assert not sessions.folder_of(session).exists()
