"""A base model is loaded frozen and whole, or refused in one sentence."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel, MambaConfig, MambaForCausalLM, PreTrainedModel

from learner.model import loading
from learner.model.loading import load_base_model
from learner.model.precision import native_bfloat16
from learner.model.source import ModelError
from tests.learner.tiny_models import build_model, build_tokenizer


def save(model: PreTrainedModel, folder: Path) -> Path:
    model.save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(params=["qwen2", "llama"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return save(build_model(request.param), tmp_path / "model")


def test_a_folder_is_loaded_frozen_and_whole(folder: Path) -> None:
    base_model = load_base_model(str(folder), device="cpu", dtype="float32")
    assert base_model.name == folder.name
    assert not base_model.model.training
    assert all(not parameter.requires_grad for parameter in base_model.model.parameters())
    assert base_model.embeddings.shape == (base_model.vocabulary_size, base_model.hidden_size)
    assert base_model.hidden_size == 32
    assert base_model.context_length == 512
    assert base_model.has_chat_template
    saved = build_model("qwen2" if "qwen2" in base_model.model.config.model_type else "llama")
    for name, weight in saved.state_dict().items():
        assert torch.equal(weight, base_model.model.state_dict()[name])
    assert base_model.parameter_count == sum(p.numel() for p in saved.parameters())


def test_the_revision_of_a_folder_is_the_digest_of_its_weights(tmp_path: Path) -> None:
    first = save(build_model("qwen2"), tmp_path / "first")
    again = save(build_model("qwen2"), tmp_path / "again")
    other = save(build_model("qwen2", seed=1), tmp_path / "other")
    revisions = [load_base_model(str(path)).revision for path in (first, again, other)]
    weights = (first / "model.safetensors").read_bytes()
    assert revisions[0] == revisions[1] == hashlib.sha256(weights).hexdigest()
    assert revisions[2] != revisions[0]


def test_the_dtype_is_what_is_asked_for_or_what_the_hardware_is_fast_at(folder: Path) -> None:
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        base_model = load_base_model(str(folder), device="cpu", dtype=name)
        assert base_model.dtype == base_model.embeddings.dtype == dtype
    auto = load_base_model(str(folder), device="cpu").dtype
    assert auto == torch.float32 or native_bfloat16(torch.device("cpu"))


def test_what_is_no_model_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name in ("nobody/no-such-model", "not a name", str(tmp_path)):
        with pytest.raises(ModelError) as refused:
            load_base_model(name)
        message = str(refused.value)
        assert name in message and message.endswith(".") and "\n" not in message


def test_weights_larger_than_the_memory_are_not_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "free_bytes", lambda _: 1000)
    with pytest.raises(
        ModelError, match=r"model takes 0\.0 GB of memory as float32, and 0\.0 GB are"
    ):
        load_base_model(str(folder), device="cpu", dtype="float32")


def break_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def break_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-500])


def remove_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def only_a_pickle(folder: Path) -> None:
    remove_weights(folder)
    torch.save(build_model("qwen2").state_dict(), folder / "pytorch_model.bin")


def wrong_shape(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_size": 64}))


@pytest.mark.parametrize(
    "nonsense",
    [
        {"hidden_size": "abc"},
        {"rope_parameters": 7},
        {"num_attention_heads": 0},
        {"num_hidden_layers": None},
        {"hidden_act": "magic"},
        {"vocab_size": -1},
        {"layer_types": [1]},
        {"model_type": ["qwen2"]},
        {"quantization_config": 7},
    ],
    ids=lambda nonsense: next(iter(nonsense)),
)
def test_a_config_of_nonsense_is_refused(tmp_path: Path, nonsense: dict[str, object]) -> None:
    folder = save(build_model("qwen2"), tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **nonsense}))
    with pytest.raises(ModelError) as refused:
        load_base_model(str(folder))
    message = str(refused.value)
    assert str(folder) in message and message.endswith(".") and "\n" not in message


def test_ctrl_c_while_loading_is_no_damage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(loading, "prepare", pressed)
    with pytest.raises(KeyboardInterrupt):
        load_base_model(str(folder))


@pytest.mark.parametrize(
    "damage", [break_config, break_weights, remove_weights, only_a_pickle, wrong_shape]
)
def test_a_damaged_model_is_refused(tmp_path: Path, damage: object) -> None:
    folder = save(build_model("qwen2"), tmp_path / "model")
    damage(folder)  # type: ignore[operator]
    with pytest.raises(ModelError) as refused:
        load_base_model(str(folder))
    assert str(folder) in str(refused.value) and "\n" not in str(refused.value)


def test_a_model_that_is_no_causal_language_model_is_refused(tmp_path: Path) -> None:
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    bert = BertModel(BertConfig(**shape, intermediate_size=32, vocab_size=404))
    with pytest.raises(ModelError):
        load_base_model(str(save(bert, tmp_path / "bert")))


def test_a_model_whose_rows_cannot_share_a_prefix_is_refused(tmp_path: Path) -> None:
    config = MambaConfig(hidden_size=32, num_hidden_layers=1, vocab_size=404, state_size=4)
    mamba = save(MambaForCausalLM(config), tmp_path / "mamba")
    with pytest.raises(ModelError, match="share a prefix"):
        load_base_model(str(mamba))


@pytest.mark.parametrize("device", ["warp", "cuda:99" if not torch.cuda.is_available() else "x"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(ModelError):
        load_base_model(device=device)


def test_a_dtype_that_is_none_is_refused() -> None:
    with pytest.raises(ModelError, match="float32, bfloat16 or auto"):
        load_base_model(dtype="int3")
