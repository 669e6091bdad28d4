"""Every file that is not right is refused in one sentence; what is older or elsewhere is told."""

import dataclasses
import json

import pytest
import safetensors.torch
import torch

from learner.checkpoint.format import pack, unpack
from learner.checkpoint.reading import CheckpointError, OtherModelError
from learner.learning.learner import MAX_HISTORY, LearnerConfig, StepRecord
from learner.model.source import HUB, ModelSource
from tests.learner.checkpoints import assert_equal, random_learner


def refusal(files, base_model) -> str:
    """The sentence that ``files`` are refused with."""
    with pytest.raises(CheckpointError) as caught:
        unpack(files, base_model)
    return str(caught.value)


# Which base model


def test_another_model_of_the_same_size_is_told_and_can_be_accepted(qwen2):
    files = pack(random_learner(qwen2, source=ModelSource(HUB, "org/other", "abc")))
    with pytest.raises(OtherModelError, match=r"org/other.*tiny-qwen2"):
        unpack(files, qwen2)
    learner = unpack(files, qwen2, accept_other_model=True)
    assert learner.source == qwen2.source


def test_another_revision_is_told(qwen2):
    with pytest.raises(OtherModelError, match="revision"):
        unpack(
            pack(
                random_learner(qwen2, source=dataclasses.replace(qwen2.source, revision="random-1"))
            ),
            qwen2,
        )


def test_a_branch_is_no_revision_to_compare(qwen2):
    assert (
        unpack(
            pack(random_learner(qwen2, source=dataclasses.replace(qwen2.source, revision="main"))),
            qwen2,
        ).steps
        == 7
    )


def test_a_plain_adapter_for_another_model_is_told(qwen2):
    files = pack(random_learner(qwen2, source=ModelSource(HUB, "org/other")))
    del files["training_state.json"], files["training_state.safetensors"]
    with pytest.raises(OtherModelError, match="org/other"):
        unpack(files, qwen2)
    assert unpack(files, qwen2, accept_other_model=True).steps == 0


# Files from before


def test_a_checkpoint_from_before_there_were_more_settings_loads_with_their_defaults(qwen2):
    learner = random_learner(qwen2)
    files = pack(learner, qwen2)
    state = json.loads(files["training_state.json"])
    first = {"soft_tokens", "initialiser", "init_text", "init_std", "learning_rate", "seed"}
    first |= {"episodes_per_step", "max_grad_norm", "chat_template"}
    step = {"step", "episodes", "loss", "correct", "total", "grad_norm", "chat_template"}
    state["config"] = {name: state["config"][name] for name in first}
    state["history"] = [{name: record[name] for name in step} for record in state["history"]]
    del state["families"], state["stream_seed"]
    files["training_state.json"] = json.dumps(state).encode()
    earlier = dataclasses.replace(learner, families=(), stream_seed=None)
    assert_equal(unpack(files, qwen2), earlier)
    assert learner.config == LearnerConfig(**state["config"])


def test_a_later_setting_is_written_only_where_it_is_used(qwen2):
    learner = random_learner(qwen2)
    assert "end_weight" not in json.loads(pack(learner)["training_state.json"])["config"]
    config = dataclasses.replace(learner.config, end_weight=0.3)
    used = dataclasses.replace(learner, config=config)
    assert_equal(unpack(pack(used), qwen2), used)


# Refusals


def edited_json(name, **changes):
    """An edit of one JSON file: keys set, or removed where the value is ``...``."""

    def edit(files):
        value = json.loads(files[name]) | changes
        value = {key: item for key, item in value.items() if item is not ...}
        return files | {name: json.dumps(value).encode()}

    return edit


def edited_tensors(name, edit):
    """An edit of one safetensors file's dict of tensors."""
    return lambda files: (
        files | {name: safetensors.torch.save(edit(safetensors.torch.load(files[name])))}
    )


def replaced(name, data):
    return lambda files: files | {name: data}


def without(*names):
    return lambda files: {name: data for name, data in files.items() if name not in names}


def with_step(**changes):
    """An edit of the history: one step, changed."""
    step = dataclasses.asdict(StepRecord(1, 4, 0.5, 2, 4, 0.5, False)) | changes
    return edited_json("training_state.json", history=[step])


def with_number(name, tensor, value):
    def edit(tensors):
        tensors[tensor][0, 0] = value
        return tensors

    return edited_tensors(name, edit)


CONFIG = dataclasses.asdict(LearnerConfig(soft_tokens=5))
STEP = dataclasses.asdict(StepRecord(1, 4, 0.5, 2, 4, 0.5, False))
ADAPTER, STATE = "adapter_config.json", "training_state.json"
MODEL, MOMENTS = "adapter_model.safetensors", "training_state.safetensors"
REFUSED = {
    "no config": (without(ADAPTER), f"{ADAPTER} is missing"),
    "no prompt": (without(MODEL), f"{MODEL} is missing"),
    "half a state": (without(STATE), f"{STATE} is missing"),
    "other half": (without(MOMENTS), f"{MOMENTS} is missing"),
    "stranger": (replaced("run.py", b""), "'run.py' does not belong"),
    "huge": (replaced(ADAPTER, b" " * (1 << 21)), f"{ADAPTER} is larger than 1 MB"),
    "not JSON": (replaced(ADAPTER, b"{"), f"{ADAPTER} is not readable"),
    "not UTF-8": (replaced(ADAPTER, b"\xff{}"), f"{ADAPTER} is not readable"),
    "deep JSON": (replaced(STATE, b"[" * 100_000), f"{STATE} is not readable"),
    "long number": (replaced(STATE, b'{"a":' + b"9" * 5000 + b"}"), f"{STATE} is not readable"),
    "JSON list": (replaced(ADAPTER, b"[]"), "a JSON object"),
    "LoRA": (edited_json(ADAPTER, peft_type="LORA"), "a 'LORA' adapter; only prompt tuning"),
    "type a list": (edited_json(ADAPTER, peft_type=["LORA"]), "only prompt tuning"),
    "encoder-decoder": (edited_json(ADAPTER, task_type="SEQ_2_SEQ_LM"), "only prompts for CAUSAL"),
    "two stacks": (
        edited_json(ADAPTER, num_transformer_submodules=2),
        "num_transformer_submodules",
    ),
    "no tokens": (edited_json(ADAPTER, num_virtual_tokens=0), "0 virtual tokens; 1 to"),
    "more tokens than are read": (
        edited_json(ADAPTER, num_virtual_tokens=512),
        "512 virtual tokens; 1 to 511 fit in front of tiny-qwen2",
    ),
    "half a token": (edited_json(ADAPTER, num_virtual_tokens=2.5), "a whole number"),
    "tokens true": (edited_json(ADAPTER, num_virtual_tokens=True), "a whole number"),
    "other width": (edited_json(ADAPTER, token_dim=896), "896, but tiny-qwen2"),
    "other length": (edited_json(ADAPTER, num_virtual_tokens=6), "different checkpoints"),
    "truncated": (lambda files: files | {MODEL: files[MODEL][:-1]}, f"{MODEL} is not a whole"),
    "empty": (replaced(MODEL, b""), f"{MODEL} is not a whole"),
    "a pickle": (replaced(MODEL, b"\x80\x04" + b"x" * 99), f"{MODEL} is not a safetensors"),
    "huge header": (replaced(MODEL, b"\xff" * 8 + b"{}"), f"{MODEL} is not a safetensors"),
    "wrong name": (edited_tensors(MODEL, lambda t: {"soft": t["prompt_embeddings"]}), "['soft']"),
    "one more": (
        edited_tensors(MODEL, lambda t: t | {"x": torch.zeros(1)}),
        "['prompt_embeddings'",
    ),
    "no tensor": (edited_tensors(MODEL, lambda t: {}), "holds the tensors []"),
    "wrong shape": (
        edited_tensors(MODEL, lambda t: {"prompt_embeddings": torch.zeros(32, 5)}),
        "[32, 5]; [5, 32] would be right",
    ),
    "wrong dtype": (
        edited_tensors(MODEL, lambda t: {"prompt_embeddings": torch.zeros(5, 32).half()}),
        "dtype F16; F32",
    ),
    "integers": (
        edited_tensors(MOMENTS, lambda t: {name: tensor.int() for name, tensor in t.items()}),
        "dtype I32; F32",
    ),
    "NaN": (with_number(MODEL, "prompt_embeddings", float("nan")), "NaN or infinite"),
    "infinite": (with_number(MOMENTS, "first_moment", float("inf")), "NaN or infinite"),
    "negative square": (with_number(MOMENTS, "second_moment", -1.0), "negative"),
    "from the future": (edited_json(STATE, schema_version=2), "schema_version 2"),
    "no version": (edited_json(STATE, schema_version=...), "schema_version None"),
    "one key less": (edited_json(STATE, steps=...), "has no steps in its top level"),
    "one key more": (edited_json(STATE, mood="good"), "an unknown 'mood' in its top level"),
    "families a text": (edited_json(STATE, families="causal"), "families 'causal'; a list"),
    "family a number": (edited_json(STATE, families=[1]), "families[0] 1; a text"),
    "family a page": (edited_json(STATE, families=["x" * 41]), "; a short name"),
    "family in markup": (edited_json(STATE, families=["<b>"]), "families[0] '<b>'; a short name"),
    "endless families": (edited_json(STATE, families=["x"] * 33), "at most 32"),
    "stream a text": (edited_json(STATE, stream_seed="0"), "stream_seed '0'"),
    "stream negative": (edited_json(STATE, stream_seed=-1), "stream_seed -1"),
    "negative count": (edited_json(STATE, steps=-1), "steps -1; 0 or more"),
    "count a text": (edited_json(STATE, episodes="4"), "a whole number"),
    "count too large": (edited_json(STATE, episodes=10**30), "a whole number"),
    "config a list": (edited_json(STATE, config=[]), "an object"),
    "unknown setting": (
        edited_json(STATE, config=CONFIG | {"mood": 1}),
        "unknown 'mood' in its config",
    ),
    "setting a text": (edited_json(STATE, config=CONFIG | {"seed": "0"}), "config.seed '0'"),
    "lone surrogate": (edited_json(STATE, config=CONFIG | {"init_text": "\ud800"}), "readable"),
    "seed too large": (
        edited_json(STATE, config=CONFIG | {"seed": 10**30}),
        "no more than 64 bits",
    ),
    "step too large": (with_step(step=10**30), "which cannot be"),
    "loss beyond a float": (with_step(loss=10**400), "history[0].loss"),
    "absurd rate": (edited_json(STATE, config=CONFIG | {"learning_rate": -1.0}), "learning rate"),
    "NaN rate": (
        edited_json(STATE, config=CONFIG | {"learning_rate": float("nan")}),
        "nan; a finite number",
    ),
    "overflowing rate": (
        lambda files: files | {STATE: files[STATE].replace(b"0.1", b"1e999")},
        "config.init_std inf; a finite number",
    ),
    "unknown initialiser": (edited_json(STATE, config=CONFIG | {"initialiser": "x"}), "'x'"),
    "model a text": (edited_json(STATE, base_model="qwen"), "an object"),
    "history a text": (edited_json(STATE, history="long"), "history 'long'; a list"),
    "endless history": (edited_json(STATE, history=[STEP] * (MAX_HISTORY + 1)), str(MAX_HISTORY)),
    "step a number": (edited_json(STATE, history=[1]), "history[0]"),
    "step without loss": (
        edited_json(STATE, history=[{"step": 1}]),
        "has no episodes, loss, correct, total, grad_norm, chat_template in its history[0]",
    ),
    "more right than asked": (with_step(correct=5), "5 of 4 correct"),
    "asked nothing": (with_step(correct=0, total=0), "0 of 0 correct"),
    "endless loss": (with_step(loss=1e300), "loss 1e+300"),
    "too many episodes to count on": (edited_json(STATE, episodes=2**60), "a smaller one,"),
    "step before the first": (with_step(episodes=-(10**400)), "which cannot be"),
    "a book to start from": (
        edited_json(STATE, config=CONFIG | {"init_text": "x" * 10_001}),
        "at most 10,000 characters",
    ),
    "negative norm": (with_step(grad_norm=-1.0), "gradient norm -1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_file_is_refused_in_one_sentence(qwen2, case):
    edit, expected = REFUSED[case]
    files = pack(random_learner(qwen2), qwen2)
    sentence = refusal(edit(files), qwen2)
    assert expected in sentence
    assert len(sentence) < 400 and "\n" not in sentence
    assert sentence.endswith(".")
