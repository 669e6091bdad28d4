"""Whatever names a checkpoint opens it."""

from functools import partial

import pytest

from learner.checkpoint.files import save, save_zip
from learner.checkpoint.reading import CheckpointError, OtherModelError
from learner.hub import opening as checkpoint_source
from learner.hub.opening import open_checkpoint, open_checkpoints
from learner.hub.push import push
from tests.learner.checkpoints import OriginalExperiment, assert_equal, random_learner
from tests.learner.tiny_models import build_base_model


@pytest.fixture
def on_the_hub(hub, qwen2, monkeypatch):
    """Ada's soft prompt is on the Hub on loopback, and this machine is logged in as her."""
    fetch = partial(checkpoint_source.fetch, endpoint=hub.endpoint, keep=False)
    monkeypatch.setattr(checkpoint_source, "fetch", fetch)
    token = hub.store.add_login("ada")
    monkeypatch.setenv("HF_TOKEN", token)
    return push(random_learner(qwen2), "ada/prompt", token, endpoint=hub.endpoint)


def test_a_folder_a_zip_file_and_the_hub(qwen2, tmp_path, on_the_hub):
    learner = random_learner(qwen2)
    folder = save(learner, tmp_path / "prompt", qwen2)
    archive = save_zip(learner, tmp_path / "prompt.zip", qwen2)
    page = f"https://huggingface.co/{on_the_hub.repo_id}"
    for reference in (folder, str(folder), archive, "ada/prompt", str(on_the_hub.share), page):
        assert_equal(open_checkpoint(reference, qwen2), learner)


def test_the_folder_of_a_run_stands_for_its_best(qwen2, tmp_path):
    best, last = random_learner(qwen2), random_learner(qwen2, seed=2)
    save(last, tmp_path / "run" / "checkpoint_ep80", qwen2)
    save(best, tmp_path / "run" / "best", qwen2)
    assert_equal(open_checkpoint(tmp_path / "run", qwen2), best)


def test_a_run_with_a_prompt_for_each_family_says_which_there_are(qwen2, tmp_path):
    best = tmp_path / "run" / "best"
    for seed, family in enumerate(("causal", "sequence")):
        save(random_learner(qwen2, seed), best / family, qwen2)
    for folder in (tmp_path / "run", best):
        with pytest.raises(CheckpointError) as caught:
            open_checkpoint(folder, qwen2)
        assert "a soft prompt for each family" in str(caught.value)
        assert f"choose one of them: {best / 'causal'}, {best / 'sequence'}." in str(caught.value)
        opened = open_checkpoints(folder, qwen2)
        assert list(opened) == ["causal", "sequence"]
        assert_equal(opened["sequence"], random_learner(qwen2, 1))


def test_a_run_of_several_seeds_says_where_their_best_are(qwen2, tmp_path):
    for seed in (0, 1):
        save(random_learner(qwen2), tmp_path / f"seed-{seed}" / "best", qwen2)
    with pytest.raises(CheckpointError, match=r"the best of one: .*seed-0/best, .*seed-1/best\.$"):
        open_checkpoint(tmp_path, qwen2)


def test_a_file_of_the_original_experiments(qwen2, tmp_path):
    path = tmp_path / "checkpoint_ep3.pt"
    path.write_bytes(OriginalExperiment().learn(3).saved())
    assert open_checkpoint(path, qwen2, accept_other_model=True).episodes == 3
    with pytest.raises(OtherModelError, match="does not say which model"):
        open_checkpoint(path, qwen2)


def test_another_model_is_asked_about_wherever_it_comes_from(qwen2, tmp_path, on_the_hub):
    llama = build_base_model("llama")
    for reference in (save(random_learner(qwen2), tmp_path / "prompt"), "ada/prompt"):
        with pytest.raises(OtherModelError, match="made for 'tiny-qwen2', not tiny-llama"):
            open_checkpoint(reference, llama)
        assert open_checkpoint(reference, llama, accept_other_model=True).episodes == 28


@pytest.mark.parametrize("reference", ["nowhere", "ada/nothing", "runs/no/such/prompt"])
def test_what_is_nowhere_is_neither_here_nor_there(qwen2, on_the_hub, reference):
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(reference, qwen2)
    here, _, there = str(caught.value).partition("; and as a name on the Hub: ")
    assert here == f"There is no folder or file {reference} here"
    assert reference in there
