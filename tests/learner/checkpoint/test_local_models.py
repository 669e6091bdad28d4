"""A model that lies on this machine: its name and its weights' hash go out, its path never does."""

import json

import pytest

from learner.checkpoint.files import load, load_zip, save, save_zip
from learner.checkpoint.format import ADAPTER_CONFIG, TRAINING_STATE, pack, unpack
from learner.checkpoint.model_card import model_card
from learner.checkpoint.reading import CheckpointError, OtherModelError
from learner.experiments.results_file import environment
from learner.hub.push import published_files
from learner.learning.learner import LearnerConfig, new_learner
from learner.model.loading import load_base_model
from learner.model.source import FOLDER
from tests.learner.checkpoints import assert_equal
from tests.learner.model.test_base_model import save as save_model
from tests.learner.tiny_models import build_model


@pytest.fixture
def base_model(tmp_path):
    folder = save_model(build_model("qwen2"), tmp_path / "private" / "my-model")
    return load_base_model(str(folder), device="cpu", dtype="float32")


@pytest.fixture
def learner(base_model):
    return new_learner(base_model, LearnerConfig(soft_tokens=3))


def test_its_path_stays_on_this_machine(base_model, learner, tmp_path):
    written = {
        **pack(learner, base_model),
        "README.md": model_card(learner).encode(),
        **{
            f"pushed {k}": v for k, v in published_files(learner, "ada/p", None, base_model).items()
        },
        "results.json": json.dumps(environment(base_model)).encode(),
    }
    for name, data in written.items():
        assert b"private" not in data and str(tmp_path).encode() not in data, name


def test_its_name_and_the_hash_of_its_weights_go_along(base_model, learner):
    files = pack(learner, base_model)
    adapter = json.loads(files[ADAPTER_CONFIG])
    assert adapter["base_model_name_or_path"] == "my-model"
    assert adapter["revision"] == base_model.revision and len(base_model.revision) == 64
    state = json.loads(files[TRAINING_STATE])
    assert state["base_model"] == {
        "kind": FOLDER,
        "name": "my-model",
        "revision": base_model.revision,
    }
    card = model_card(learner)
    assert "`my-model`" in card and base_model.revision in card


def recorded(files, base_model):
    """The files as they were written before there were kinds: with the folder's whole path."""
    state = json.loads(files[TRAINING_STATE])
    state["base_model"] = base_model
    return {**files, TRAINING_STATE: json.dumps(state).encode()}


def test_a_checkpoint_that_carries_its_models_path_still_opens(base_model, learner):
    old = recorded(
        pack(learner, base_model),
        {"name": "/somewhere/else/my-model", "revision": base_model.revision},
    )
    assert_equal(unpack(old, base_model), learner)
    other = recorded(old, {"name": "/somewhere/else/my-model", "revision": "0" * 64})
    with pytest.raises(OtherModelError, match="my-model in revision '0000"):
        unpack(other, base_model)


def test_a_kind_that_is_none_is_refused(base_model, learner):
    strange = {"name": "my-model", "revision": "", "kind": "floppy"}
    with pytest.raises(CheckpointError, match="'floppy'"):
        unpack(recorded(pack(learner, base_model), strange), base_model)


def test_it_is_the_same_model_wherever_it_lies(base_model, learner, tmp_path):
    moved = save_model(build_model("qwen2"), tmp_path / "moved")
    there = load_base_model(str(moved), device="cpu", dtype="float32")
    assert there.name != base_model.name and there.revision == base_model.revision
    for loaded in (
        load(save(learner, tmp_path / "folder", base_model), there),
        load_zip(save_zip(learner, tmp_path / "prompt.zip", base_model), there),
    ):
        assert loaded.source == there.source
