"""Push and pull from the command line, as a person runs them."""

import dataclasses
from functools import partial
from unittest import mock

import pytest

from learner import measuring
from learner.__main__ import parser
from learner.checkpoint.files import load, save, save_zip
from learner.checkpoint.reading import OtherModelError
from learner.cli import pull, push
from learner.hub.client import HubError, RemoteChangedError
from learner.learning.learner import LearnerConfig, new_learner
from learner.learning.worked_examples import worked_examples
from tests.hub.samples import trained_learner
from tests.learner.checkpoints import assert_equal
from tests.learner.tiny_models import build_base_model


@pytest.fixture
def folder(qwen2, tmp_path):
    return save(trained_learner(qwen2), tmp_path / "mine", qwen2)


@pytest.fixture
def ada(hub, monkeypatch):
    """This machine is logged in as ada, and the Hub is the one on loopback."""
    for module, name in ((pull, "fetch"), (push, "push"), (push, "whoami")):
        call = getattr(module, name)
        monkeypatch.setattr(module, name, partial(call, endpoint=hub.endpoint))
    monkeypatch.setenv("HF_TOKEN", hub.store.add_login("ada"))


@pytest.fixture
def run(monkeypatch):
    """Runs a command in front of a base model."""

    def run(base_model, *arguments):
        for module in (pull, push):
            monkeypatch.setattr(module, "load_base_model", lambda *_: base_model)
        options = parser().parse_args([str(argument) for argument in arguments])
        options.run(options)

    return run


def test_push_then_pull(run, hub, ada, qwen2, folder, tmp_path, capsys):
    run(qwen2, "push", folder, "--problems", "5", "--message", "Hello")
    assert "private" in capsys.readouterr().out
    (repo,) = hub.store.listed("model")
    assert repo.repo_id == "ada/soft-prompt-tiny-qwen2-mixed"
    assert repo.head.title == "Hello"
    assert "Accuracy on 5 held-out problems" in repo.head.files["README.md"].data.decode()

    run(qwen2, "pull", repo.repo_id, tmp_path / "theirs")
    printed = capsys.readouterr().out
    assert "made for tiny-qwen2; learnt from 80 episodes" in printed
    assert "on 5 held-out problems" in printed
    assert_equal(load(tmp_path / "theirs", qwen2), trained_learner(qwen2))


def test_a_look_inside_shows_its_pictures_until_the_next_push(run, hub, ada, qwen2, tmp_path):
    learner = new_learner(qwen2, LearnerConfig(soft_tokens=2))
    mine = save(dataclasses.replace(learner, episodes=4), tmp_path / "two", qwen2)
    run(qwen2, "push", mine, "--problems", "2", "--inside")
    (repo,) = hub.store.listed("model")
    files, pictures = repo.head.files, {"inside-strength.png", "inside-vectors.png"}
    assert pictures <= set(files)
    card = files["README.md"].data.decode()
    assert "## Inside" in card and "](inside-vectors.png)" in card
    assert "no gain can be told from chance" in card
    run(qwen2, "push", mine, "--problems", "0", "--onto", repo.head.oid)
    assert not pictures & set(repo.head.files)
    with pytest.raises(ValueError, match="at least 2 problems"):
        run(qwen2, "push", mine, "--problems", "0", "--inside", "--onto", repo.head.oid)


@pytest.mark.parametrize("shots", [0, 2])
def test_a_push_measures_the_prompt_behind_the_worked_examples_that_it_learnt_behind(
    run, hub, ada, qwen2, tmp_path, shots
):
    learner = trained_learner(qwen2)
    learner = dataclasses.replace(
        learner, config=dataclasses.replace(learner.config, shots=shots, chat_template=True)
    )
    folder = save(learner, tmp_path / "mine", qwen2)
    with mock.patch.object(measuring, "complete", side_effect=measuring.complete) as asking:
        run(qwen2, "push", folder, "--problems", "3")
    asked = [ask for call in asking.call_args_list for ask in call.args[1]]
    assert all(ask.chat_template for ask in asked)
    assert [ask.examples for ask in asked if ask.prompt is None] == [()] * 3
    behind = [ask.examples for ask in asked if ask.prompt is not None]
    assert behind == [worked_examples(shots)] * 3


def test_the_name_says_which_families_it_learnt_from(run, hub, ada, qwen2, tmp_path):
    learner = dataclasses.replace(trained_learner(qwen2), families=("causal", "math_word"))
    path = save_zip(learner, tmp_path / "mine.zip", qwen2)
    run(qwen2, "push", path, "--problems", "0")
    (repo,) = hub.store.listed("model")
    assert repo.repo_id == "ada/soft-prompt-tiny-qwen2-causal-math-word"


def test_a_second_push_is_told_of_the_first_and_then_goes_on_top(
    run, hub, ada, qwen2, folder, tmp_path
):
    command = ("push", folder, "--repo", "ada/p", "--problems", "0", "--public")
    run(qwen2, *command)
    save(trained_learner(qwen2, seed=1), folder, qwen2)
    with pytest.raises(RemoteChangedError) as caught:
        run(qwen2, *command)
    run(qwen2, *command, "--onto", caught.value.commit)
    repo = hub.store.repos["model", "ada/p"]
    assert len(repo.commits) == 3 and not repo.private


def test_without_a_login_a_push_says_how_to_log_in(run, qwen2, folder):
    with pytest.raises(HubError, match="hf auth login"):
        run(qwen2, "push", folder)


def test_a_prompt_for_another_model_is_only_pulled_on_request(
    run, hub, ada, qwen2, folder, tmp_path
):
    run(qwen2, "push", folder, "--repo", "ada/p", "--problems", "0")
    llama = build_base_model("llama")
    with pytest.raises(OtherModelError, match="made for 'tiny-qwen2'"):
        run(llama, "pull", "ada/p", tmp_path / "theirs")
    assert not (tmp_path / "theirs").exists()
    run(llama, "pull", "ada/p", tmp_path / "theirs", "--any-model")
    assert load(tmp_path / "theirs", llama).episodes == 80
