"""Sessions: unguessable ids, survival of a restart, bounds on number and age, bad ids and files."""

import dataclasses
import errno
import gc
import os
import threading

import pytest
import torch

from arena import stream
from learner import sessions as sessions_module
from learner.checkpoint import load
from learner.session import SessionError
from learner.sessions import Sessions
from learner.soft_prompt import LearnerConfig
from learner.training import train_step

NEVER = 1e6  # an interval that no test outlives: saved at the end of a run and when flushed
DAY = 86400.0


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    """What is synced, and when, is tested in test_atomic_folder.py."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


class Server:
    """The sessions of an app that can be restarted, with a disk and a clock for the test."""

    def __init__(self, folder, base_model):
        self.folder = folder
        self.base_model = base_model
        self.now = 1_000_000.0
        self._running = []

    def start(self, base_model=None, **options):
        sessions = Sessions(
            self.folder,
            base_model or self.base_model,
            save_interval=NEVER,
            clock=lambda: self.now,
            **options,
        )
        self._running.append(sessions)
        return sessions

    def stop(self):
        for sessions in self._running:
            sessions.close()

    def visitor(self, sessions, steps=1):
        """The id of a new visitor whose learner has changed and is saved, a second later."""
        self.now += 1
        session = sessions.open()
        teach(session, steps)
        sessions.flush()
        return session.id

    def kept(self):
        return len(os.listdir(self.folder))


def teach(session, steps):
    """As if the learner had taken so many steps."""
    with session.run() as run:
        run.adopt(dataclasses.replace(session.learner, steps=steps))


@pytest.fixture
def server(tmp_path, qwen2):
    server = Server(tmp_path / "sessions", qwen2)
    yield server
    server.stop()


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
    monkeypatch.setattr(sessions, "_path", None)  # looking on the disk would fail the test
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
    with session.run() as run:
        for _ in range(3):
            run.adopt(train_step(qwen2, session.learner, problems)[0])
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
    assert (again.notes, again.position, again.seed) == (session.notes, 5, session.seed)
    assert again.undo_depth == 0
    uninterrupted, _ = train_step(qwen2, session.learner, problems)
    continued, _ = train_step(qwen2, again.learner, problems)
    assert torch.equal(continued.prompt, uninterrupted.prompt)
    assert continued.history == uninterrupted.history


def test_what_is_saved_is_a_checkpoint(server, qwen2):
    server.visitor(server.start(), steps=4)
    (folder,) = server.folder.iterdir()
    assert load(folder / "checkpoint", qwen2).steps == 4


def test_the_end_of_a_run_is_saved_without_anybody_asking(server, monkeypatch):
    saved = threading.Event()
    write = sessions_module.write_folder

    def watched(*arguments, **options):
        write(*arguments, **options)
        saved.set()

    monkeypatch.setattr(sessions_module, "write_folder", watched)
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
    with session.run() as run:
        sessions.close()
        assert run.stopped
        run.adopt(dataclasses.replace(session.learner, steps=9))
    assert server.start().get(session.id).learner.steps == 9


def test_base_models_keep_their_learners_apart(server, qwen2):
    session_id = server.visitor(server.start())
    other = dataclasses.replace(qwen2, name="other")
    with pytest.raises(SessionError, match="no longer kept"):
        server.start(other).get(session_id)
    assert server.start().get(session_id).learner.steps == 1


def test_new_visitors_start_with_the_apps_settings(server):
    sessions = server.start(config=LearnerConfig(soft_tokens=3))
    assert sessions.open().learner.prompt.shape[0] == 3


# Bounds


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
