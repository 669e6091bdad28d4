"""What torch saved is read whole and never run, and is no larger than an original can be."""

import pickle
import re
import zipfile

import pytest
import torch

from learner.checkpoint.original.archive import LearningMetrics, read_archive
from learner.checkpoint.original.learner import load_original
from learner.checkpoint.reading import CheckpointError
from tests.learner.checkpoints import OriginalExperiment, rezipped


def test_what_was_saved_is_what_is_read(qwen2, written):
    saved = OriginalExperiment().learn(2).saved()
    value = read_archive(written(saved), qwen2.hidden_size)
    assert {"soft_prompt", "optimizer", "episode_count", "metrics_history"} <= set(value)
    assert value["episode_count"] == len(value["metrics_history"]) == 2
    assert all(isinstance(entry, LearningMetrics) for entry in value["metrics_history"])


@pytest.mark.parametrize("name", ["qwen_learner.Other", "__main__.Other", "evil.LearningMetrics"])
def test_no_other_name_is_allowed(qwen2, written, name):
    module, _, kind = name.rpartition(".")
    data = OriginalExperiment().learn(1).saved()

    def edit(records):
        allowed = b"cqwen_learner\nLearningMetrics\n"
        changed = records["archive/data.pkl"].replace(allowed, f"c{module}\n{kind}\n".encode())
        return records | {"archive/data.pkl": changed}

    with pytest.raises(CheckpointError, match=re.escape(f"names '{name}'")):
        load_original(written(rezipped(data, edit)), qwen2, accept_other_model=True)


def test_torch_allows_nothing_more_afterwards(qwen2, written):
    allowed = set(torch.serialization.get_safe_globals())
    path = written(OriginalExperiment().learn(1).saved())
    load_original(path, qwen2, accept_other_model=True)
    assert set(torch.serialization.get_safe_globals()) == allowed
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)


def test_a_tensor_whose_bytes_are_missing_or_too_few_is_refused(qwen2, written):
    data = OriginalExperiment().learn(1).saved()
    for edit in (
        lambda records: {name: r for name, r in records.items() if not name.endswith("data/0")},
        lambda records: records | {"archive/data/0": b"short"},
    ):
        with pytest.raises(CheckpointError, match="names tensors that it does not hold"):
            load_original(written(rezipped(data, edit)), qwen2, accept_other_model=True)


@pytest.mark.parametrize(
    "more",
    [
        {f"archive/data/{number}": b"" for number in range(40)},
        {"archive/data.pkl": bytes(2 << 20)},
        {"archive/data/99": bytes(8 << 20)},
    ],
    ids=["entries", "pickle", "tensor"],
)
def test_more_than_an_original_holds_is_not_read(qwen2, written, monkeypatch, more):
    data = rezipped(OriginalExperiment().learn(1).saved(), lambda records: records | more)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("it was read"))
    with pytest.raises(CheckpointError, match=r"more than any checkpoint|larger than any"):
        load_original(written(data), qwen2, accept_other_model=True)
