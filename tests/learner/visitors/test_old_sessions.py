"""Sessions of earlier versions, a folder each, are taken over into the store."""

import dataclasses
import json
import os

import pytest

from learner.checkpoint.format import TRAINING_STATE, pack
from learner.learning.learner import LearnerConfig, new_learner
from learner.visitors import old_sessions
from learner.visitors.store import StoreError


def old_folder(server, qwen2, session_id, steps=4):
    """What an earlier version left of a session."""
    learner = dataclasses.replace(new_learner(qwen2, LearnerConfig()), steps=steps, episodes=16)
    folder = server.folder / server.start()._key(session_id, qwen2.source)
    (folder / "checkpoint").mkdir(parents=True)
    files = pack(learner, qwen2)
    files["README.md"] = b"# A card"
    files["session.json"] = json.dumps({"seed": 7, "position": 5, "notes": {"tab": "x"}}).encode()
    for name, data in files.items():
        (folder / "checkpoint" / name).write_bytes(data)
    os.utime(folder, (server.now, server.now))
    return folder


def test_at_the_first_start_they_are_taken_over(server, qwen2):
    folders = [old_folder(server, qwen2, letter * 43, int(steps)) for letter, steps in ("c4", "d5")]
    (folders[1] / "experiments").mkdir()
    sessions = server.start()
    for letter, steps in ("c4", "d5"):
        session = sessions.get(letter * 43)
        assert session.learner.steps == int(steps)
        assert (session.seed, session.position, session.notes) == (7, 5, {"tab": "x"})
        assert session.state.learnt == 16
    assert not folders[0].exists()
    assert [path.name for path in folders[1].iterdir()] == ["experiments"]
    assert sessions.folder_of(sessions.get("d" * 43)) == folders[1]


def test_what_the_store_cannot_take_stays_in_its_folder(server, qwen2, monkeypatch):
    folder = old_folder(server, qwen2, "a" * 43)

    def fail(*_):
        raise StoreError("there is no room left")

    with monkeypatch.context() as broken:
        broken.setattr("learner.visitors.sqlite_store.SqliteStore.write", fail)
        server.start()
        assert (folder / "checkpoint" / TRAINING_STATE).exists()
    assert server.start().get("a" * 43).learner.steps == 4


def test_being_killed_in_between_loses_nothing(server, qwen2, monkeypatch):
    folder = old_folder(server, qwen2, "a" * 43)
    with monkeypatch.context() as killed:
        killed.setattr(old_sessions.shutil, "rmtree", lambda *_: (_ for _ in ()).throw(OSError()))
        server.start()
    assert folder.exists()
    sessions = server.start()
    assert not folder.exists()
    assert sessions.get("a" * 43).learner.steps == 4


@pytest.mark.parametrize("content", [b"", b"[]", b'{"episodes": "many"}', b'{"episodes": -1}'])
def test_one_that_cannot_be_understood_is_for_its_visitor_to_hear_of(server, qwen2, content):
    folder = old_folder(server, qwen2, "a" * 43)
    (folder / "checkpoint" / TRAINING_STATE).write_bytes(content)
    session = server.start().open("a" * 43)
    assert "cannot be read, so you start with a new one" in session.take_notice()
