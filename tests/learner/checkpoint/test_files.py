"""Checkpoints on the disk: exact round trips, and going on as if nothing had happened."""

import os
import signal
import zipfile
from itertools import cycle, islice

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arena import stream
from learner.checkpoint.files import load, load_zip, save, save_zip
from learner.checkpoint.format import pack, unpack
from learner.checkpoint.reading import CheckpointError
from learner.learning.learner import Learner, LearnerConfig, StepRecord, new_learner
from learner.learning.training import train_step
from tests.learner.checkpoints import OURS, TENSORS, assert_equal, random_learner

# The fixture is one unchanging model, whatever the example.
ANY_EXAMPLE = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_folder_round_trip_is_exact(qwen2, tmp_path):
    learner = random_learner(qwen2)
    learner.prompt[0, 0] = -0.0
    learner.first_moment[0, 0] = 1e-45  # a subnormal
    folder = save(learner, tmp_path / "prompt", qwen2)
    assert set(os.listdir(folder)) == {*OURS, "learning_curves.png"}
    assert "](learning_curves.png)" in (folder / "README.md").read_text()
    assert_equal(load(folder, qwen2), learner)


def test_a_later_checkpoint_replaces_an_earlier_one(qwen2, tmp_path):
    save(random_learner(qwen2, seed=0), tmp_path / "prompt")
    later = random_learner(qwen2, seed=1)
    assert_equal(load(save(later, tmp_path / "prompt"), qwen2), later)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a second process that is cheap")
def test_a_process_killed_while_it_saves_leaves_one_checkpoint_or_the_other(qwen2, tmp_path):
    learners = [random_learner(qwen2, seed=seed) for seed in (0, 1)]
    folder = save(learners[0], tmp_path / "prompt")
    for _ in range(30):
        saved, say = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                for learner in cycle(learners):
                    save(learner, folder)
                    os.write(say, b".")
            finally:
                os._exit(1)
        os.read(saved, 1)  # one is saved; the next one is on its way
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        os.close(saved)
        os.close(say)
        loaded = load(folder, qwen2)
        which = [torch.equal(learner.prompt, loaded.prompt) for learner in learners].index(True)
        assert_equal(loaded, learners[which])


def test_zip_round_trip_is_exact_and_repeatable(qwen2, tmp_path):
    learner = random_learner(qwen2)
    path = save_zip(learner, tmp_path / "prompt.zip", qwen2)
    assert set(zipfile.ZipFile(path).namelist()) == {*OURS, "learning_curves.png"}
    assert_equal(load_zip(path, qwen2), learner)
    assert save_zip(learner, tmp_path / "again.zip", qwen2).read_bytes() == path.read_bytes()


@given(
    config=st.builds(
        LearnerConfig,
        soft_tokens=st.integers(1, 100),
        initialiser=st.sampled_from(["vocabulary", "text", "normal"]),
        init_text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip),
        init_std=st.floats(min_value=0, exclude_min=True, allow_infinity=False),
        learning_rate=st.floats(min_value=0, exclude_min=True, allow_infinity=False),
        episodes_per_step=st.integers(1, 64),
        chat_template=st.booleans(),
        seed=st.integers(0, 2**64 - 1),
    ),
    losses=st.lists(st.floats(-1e6, 1e6), max_size=5),
    counts=st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)),
)
@settings(ANY_EXAMPLE, max_examples=60)
def test_any_learner_survives(qwen2, config, losses, counts):
    tensors = {name: torch.full((config.soft_tokens, qwen2.hidden_size), 0.3) for name in TENSORS}
    learner = Learner(
        config=config,
        **tensors,
        steps=counts[0],
        episodes=counts[1],
        history=tuple(StepRecord(1, 4, loss, 0, 4, 0.5, False) for loss in losses),
        source=qwen2.source,
    )
    assert_equal(unpack(pack(learner, qwen2), qwen2), learner)


@pytest.mark.parametrize("chat_template", [False, True])
def test_a_run_that_was_interrupted_is_the_run_that_was_not(qwen2, tmp_path, chat_template):
    learner = new_learner(qwen2, LearnerConfig(soft_tokens=3, chat_template=chat_template))
    interrupted = learner
    for problem in islice(stream(seed=0), 4):
        learner, report = train_step(qwen2, learner, [problem])
        assert report.accepted
        save(interrupted, tmp_path / "prompt", qwen2)
        interrupted = train_step(qwen2, load(tmp_path / "prompt", qwen2), [problem])[0]
    assert_equal(interrupted, learner)
    assert learner.steps == len(learner.history) == 4


def test_a_folder_that_is_none_is_refused(qwen2, tmp_path):
    (tmp_path / "file").write_text("text")
    for path in (tmp_path / "file", tmp_path / "nothing"):
        with pytest.raises(CheckpointError, match="is not a folder"):
            load(path, qwen2)


def test_a_folder_is_read_no_further_than_the_limits(qwen2, tmp_path):
    folder = save(random_learner(qwen2), tmp_path / "prompt")
    with open(folder / "README.md", "wb") as file:
        file.truncate(1 << 40)  # sparse: a terabyte that takes no room
    with pytest.raises(CheckpointError, match=r"README\.md is larger"):
        load(folder, qwen2)


def test_other_files_in_a_folder_are_not_looked_at(qwen2, tmp_path):
    learner = random_learner(qwen2)
    folder = save(learner, tmp_path / "prompt")
    (folder / "optimizer.pt").write_bytes(b"\x80\x04 a pickle")
    assert_equal(load(folder, qwen2), learner)


def test_saving_over_other_files_is_refused(qwen2, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(CheckpointError, match=r"thesis\.tex.*choose a new folder"):
        save(random_learner(qwen2), tmp_path)
    assert os.listdir(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize("write", [save, save_zip])
def test_a_place_that_cannot_be_written_is_said(qwen2, tmp_path, write):
    (tmp_path / "file").write_text("text")
    with pytest.raises(CheckpointError, match=r"could not be written.*choose another"):
        write(random_learner(qwen2), tmp_path / "file" / "prompt")
