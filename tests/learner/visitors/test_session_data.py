"""A session as bytes: what comes back is what went in, and anything else is refused."""

import dataclasses
import json
import os
import zlib

import pytest
import torch

from learner.checkpoint.format import TRAINING_STATE, pack
from learner.checkpoint.reading import CheckpointError
from learner.learning.learner import LearnerConfig, new_learner
from learner.measuring import score_of
from learner.visitors import session_data
from learner.visitors.session import SessionState
from learner.visitors.session_data import join, pack_session, split, unpack_session
from learner.visitors.snapshots import Snapshot
from learner.visitors.stores.store import StoreError


def test_everything_comes_back(qwen2):
    learner = dataclasses.replace(new_learner(qwen2, LearnerConfig()), steps=3, episodes=12)
    state = SessionState(learner, seed=7, position=5, notes='{"tab": "teach"}', learnt=8)
    back = unpack_session(pack_session(state, qwen2), qwen2)
    assert torch.equal(back.learner.prompt, learner.prompt)
    assert (back.learner.steps, back.learner.episodes) == (3, 12)
    assert (back.seed, back.position, back.notes, back.learnt) == (7, 5, '{"tab": "teach"}', 8)


def test_snapshots_come_back_with_their_names_and_scores(qwen2):
    first = new_learner(qwen2, LearnerConfig())
    then = dataclasses.replace(first, prompt=first.prompt + 1, episodes=4)
    longer = new_learner(qwen2, LearnerConfig(soft_tokens=3))
    kept = (Snapshot("a", then, (score_of("10-", True, 4),)), Snapshot("“b”\n", longer))
    state = SessionState(first, seed=7, snapshots=kept)
    back = state
    for _ in range(2):  # what came back is saved as it is
        back = unpack_session(pack_session(back, qwen2), qwen2)
    assert [(one.name, one.scores) for one in back.snapshots] == [
        (one.name, one.scores) for one in kept
    ]
    for one, other in zip(back.snapshots, kept, strict=True):
        assert one.is_of(other.learner)
        assert torch.equal(one.learner.first_moment, other.learner.first_moment)
    assert not back.snapshots[0].is_of(back.learner)


def test_files_are_joined_and_split():
    files = {"a": b"", "b.json": b"{}", "c": bytes(range(256)) * 100}
    assert split(join(files), 1 << 20) == files


def test_what_inflates_beyond_its_bound_is_refused():
    with pytest.raises(CheckpointError, match="too long"):
        split(join({"a": bytes(1 << 24)}), 1 << 20)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        zlib.compress(b""),
        zlib.compress(b"\xff\xff\xff\x7f{}"),
        zlib.compress(b"\x02\x00\x00\x00{}more"),
        zlib.compress(b'\x09\x00\x00\x00{"a": -1}'),
        zlib.compress(b'\x09\x00\x00\x00{"a": 99}'),
    ],
)
def test_what_was_not_joined_is_refused(data):
    with pytest.raises(CheckpointError, match="what was saved"):
        split(data, 1 << 20)


@pytest.mark.parametrize(
    "content",
    [{}, {"seed": -1, "position": 0, "notes": {}}, {"seed": 1, "position": 0, "notes": []}],
)
def test_a_session_file_of_the_wrong_shape_is_refused(qwen2, content):
    state = SessionState(new_learner(qwen2, LearnerConfig()), seed=1)
    files = split(pack_session(state, qwen2), 1 << 24)
    files["session.json"] = json.dumps(content).encode()
    with pytest.raises(CheckpointError, match=r"session\.json"):
        unpack_session(join(files), qwen2)


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
        assert (session.seed, session.state.position, session.notes) == (7, 5, {"tab": "x"})
        assert session.state.learnt == 16
    assert not folders[0].exists()
    assert [path.name for path in folders[1].iterdir()] == ["experiments"]
    assert sessions.folder_of(sessions.get("d" * 43)) == folders[1]


def test_what_the_store_cannot_take_stays_in_its_folder(server, qwen2, monkeypatch):
    folder = old_folder(server, qwen2, "a" * 43)

    def fail(*_):
        raise StoreError("there is no room left")

    with monkeypatch.context() as broken:
        broken.setattr("learner.visitors.stores.sqlite.SqliteStore.write", fail)
        server.start()
        assert (folder / "checkpoint" / TRAINING_STATE).exists()
    assert server.start().get("a" * 43).learner.steps == 4


def test_being_killed_in_between_loses_nothing(server, qwen2, monkeypatch):
    folder = old_folder(server, qwen2, "a" * 43)
    with monkeypatch.context() as killed:
        killed.setattr(session_data.shutil, "rmtree", lambda *_: (_ for _ in ()).throw(OSError()))
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
