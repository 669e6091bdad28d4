"""A session as bytes: what comes back is what went in, and anything else is refused."""

import dataclasses
import json
import zlib

import pytest
import torch

from learner.checkpoint.reading import CheckpointError
from learner.learning.learner import LearnerConfig, new_learner
from learner.measuring import score_of
from learner.visitors.session import SessionState
from learner.visitors.session_data import join, pack_session, split, unpack_session
from learner.visitors.snapshots import Snapshot


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
