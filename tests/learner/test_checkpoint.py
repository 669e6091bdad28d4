"""Checkpoints: exact round trips, PEFT both ways, and every bad file refused in one sentence."""

import dataclasses
import io
import json
import os
import stat
import zipfile
from itertools import islice

import peft
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import Qwen2ForCausalLM

from arena import stream
from learner.batch import Batch, Row
from learner.checkpoint import CheckpointError, OtherModelError, load, load_zip, save, save_zip
from learner.checkpoint_format import SIZE_LIMITS, pack, unpack
from learner.formatting import encode
from learner.soft_prompt import MAX_HISTORY, Learner, LearnerConfig, StepRecord, new_learner
from learner.training import train_step

# The fixture is one unchanging model, whatever the example.
ANY_EXAMPLE = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TENSORS = ("prompt", "first_moment", "second_moment")
OURS = {
    "README.md",
    "adapter_config.json",
    "adapter_model.safetensors",
    "training_state.json",
    "training_state.safetensors",
}


@pytest.fixture
def base_model(qwen2):
    """One architecture will do: a checkpoint knows no more of it than its size."""
    return qwen2


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    """What is synced, and when, is tested in test_atomic_folder.py."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def random_learner(base_model, seed=0, **changes) -> Learner:
    """A learner as after some training: nothing in it is a round number."""
    generator = torch.Generator().manual_seed(seed)
    config = LearnerConfig(soft_tokens=5, learning_rate=0.1 / 3, seed=2**63, init_text="é|`\n-")
    fresh = new_learner(base_model, config)
    values = {
        name: torch.randn(fresh.prompt.shape, generator=generator).square() / 3 for name in TENSORS
    }
    history = tuple(
        StepRecord(i, 4 * i, 1 / (i + 3), i % 5, 4 + i % 2, 2**0.5 * i, bool(i % 2))
        for i in range(1, 8)
    )
    return dataclasses.replace(fresh, **values, steps=7, episodes=28, history=history, **changes)


def assert_equal(one: Learner, other: Learner) -> None:
    """Bit for bit."""
    for field in dataclasses.fields(Learner):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if field.name in TENSORS:
            assert mine.dtype == theirs.dtype == torch.float32
            assert torch.equal(mine.view(torch.int32), theirs.view(torch.int32))
        else:
            assert mine == theirs


def refusal(files, base_model, **options) -> str:
    """The sentence that ``files`` are refused with."""
    with pytest.raises(CheckpointError) as caught:
        unpack(files, base_model, **options)
    return str(caught.value)


# Round trips


def test_folder_round_trip_is_exact(base_model, tmp_path):
    learner = random_learner(base_model)
    learner.prompt[0, 0] = -0.0
    learner.first_moment[0, 0] = 1e-45  # a subnormal
    folder = save(learner, tmp_path / "prompt", base_model)
    assert set(os.listdir(folder)) == OURS
    assert_equal(load(folder, base_model), learner)


def test_a_later_checkpoint_replaces_an_earlier_one(base_model, tmp_path):
    save(random_learner(base_model, seed=0), tmp_path / "prompt")
    later = random_learner(base_model, seed=1)
    assert_equal(load(save(later, tmp_path / "prompt"), base_model), later)


def test_zip_round_trip_is_exact_and_repeatable(base_model, tmp_path):
    learner = random_learner(base_model)
    path = save_zip(learner, tmp_path / "prompt.zip", base_model)
    assert set(zipfile.ZipFile(path).namelist()) == OURS
    assert_equal(load_zip(path, base_model), learner)
    assert save_zip(learner, tmp_path / "again.zip", base_model).read_bytes() == path.read_bytes()


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
    losses=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5),
    counts=st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)),
)
@settings(ANY_EXAMPLE, max_examples=60)
def test_any_learner_survives(base_model, config, losses, counts):
    tensors = {
        name: torch.full((config.soft_tokens, base_model.hidden_size), 0.3) for name in TENSORS
    }
    learner = Learner(
        config=config,
        **tensors,
        steps=counts[0],
        episodes=counts[1],
        history=tuple(StepRecord(1, 4, loss, 0, 4, 0.5, False) for loss in losses),
        model_name=base_model.name,
        model_revision=base_model.revision,
    )
    assert_equal(unpack(pack(learner, base_model), base_model), learner)


@pytest.mark.parametrize("chat_template", [False, True])
def test_a_run_that_was_interrupted_is_the_run_that_was_not(base_model, tmp_path, chat_template):
    learner = new_learner(base_model, LearnerConfig(soft_tokens=3, chat_template=chat_template))
    interrupted = learner
    for problem in islice(stream(seed=0), 4):
        learner, report = train_step(base_model, learner, [problem])
        assert report.accepted
        save(interrupted, tmp_path / "prompt", base_model)
        interrupted = train_step(base_model, load(tmp_path / "prompt", base_model), [problem])[0]
    assert_equal(interrupted, learner)
    assert learner.steps == len(learner.history) == 4


# PEFT


def plain_model(base_model) -> Qwen2ForCausalLM:
    """The same weights in a model that nothing of ours has touched."""
    plain = Qwen2ForCausalLM(type(base_model.model.config)(**base_model.model.config.to_dict()))
    plain.load_state_dict(base_model.model.state_dict())
    plain.set_attn_implementation("eager")
    return plain.eval()


def test_peft_reads_ours(base_model, tmp_path):
    learner = random_learner(base_model)
    folder = save(learner, tmp_path / "prompt", base_model)
    adapted = peft.PeftModel.from_pretrained(plain_model(base_model), folder).eval()
    assert torch.equal(adapted.get_prompt_embedding_to_save("default"), learner.prompt)
    ids = torch.tensor([[5, 9, 2, 7, 7, 1], [3, 3, 8, 6, 1, 4]])
    plain = plain_model(base_model)
    embeddings = plain.get_input_embeddings()(ids)
    with torch.no_grad():
        logits = adapted(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        soft = learner.prompt.expand(2, -1, -1)
        expected = plain(inputs_embeds=torch.cat((soft, embeddings), dim=1)).logits
        unprompted = plain(inputs_embeds=embeddings).logits
    torch.testing.assert_close(logits, expected)
    assert (logits[:, -6:] - unprompted).abs().max() > 0.1


@pytest.mark.parametrize("chat_template", [False, True])
def test_peft_sees_what_our_forward_pass_sees(base_model, tmp_path, chat_template):
    learner = random_learner(base_model)
    adapted = peft.PeftModel.from_pretrained(
        plain_model(base_model), save(learner, tmp_path / "prompt", base_model)
    ).eval()
    encoded = encode(base_model, "What is 2 + 3?", None, chat_template)
    ids = encoded.head + encoded.question
    rows = [Row(0, encoded.head, encoded.question, predictions=len(encoded.question))]
    with torch.no_grad():
        ours = Batch(base_model, rows, [len(learner.prompt)]).logits(learner.prompt)
        theirs = adapted(input_ids=torch.tensor([ids])).logits[0, -len(ours) :]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_the_config_is_the_one_peft_would_write(base_model, tmp_path):
    learner = random_learner(base_model, model_revision="0" * 64)
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5)
    adapted = peft.get_peft_model(plain_model(base_model), config)
    adapted.save_pretrained(tmp_path / "theirs")
    theirs = json.loads((tmp_path / "theirs" / "adapter_config.json").read_text())
    ours = json.loads(pack(learner, base_model)["adapter_config.json"])
    theirs["base_model_name_or_path"] = base_model.name
    assert theirs.pop("peft_version").startswith("0.21.")
    assert ours.pop("peft_version").startswith("0.21.")
    assert ours == theirs


def test_without_the_base_model_peft_fills_the_gaps(base_model, tmp_path):
    learner = random_learner(base_model)
    adapted = peft.PeftModel.from_pretrained(
        plain_model(base_model), save(learner, tmp_path / "prompt")
    )
    assert torch.equal(adapted.get_prompt_embedding_to_save("default"), learner.prompt)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_we_read_pefts(base_model, tmp_path, dtype):
    adapted = peft.get_peft_model(
        plain_model(base_model),
        peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
    )
    adapted.prompt_encoder.to(dtype)
    adapted.save_pretrained(tmp_path)
    learner = load(tmp_path, base_model)
    saved = safetensors.torch.load_file(tmp_path / "adapter_model.safetensors")
    assert saved["prompt_embeddings"].dtype == dtype
    assert torch.equal(learner.prompt, saved["prompt_embeddings"].float())
    assert learner.prompt.dtype == torch.float32
    assert learner.config == LearnerConfig(soft_tokens=3)
    assert not learner.first_moment.any() and not learner.second_moment.any()
    assert (learner.steps, learner.episodes, learner.history) == (0, 0, ())


# Which base model


def test_another_model_of_the_same_size_is_told_and_can_be_accepted(base_model):
    files = pack(random_learner(base_model, model_name="org/other", model_revision="abc"))
    with pytest.raises(OtherModelError, match=r"org/other.*tiny-qwen2"):
        unpack(files, base_model)
    learner = unpack(files, base_model, accept_other_model=True)
    assert (learner.model_name, learner.model_revision) == ("tiny-qwen2", "random-0")


def test_another_revision_is_told(base_model):
    with pytest.raises(OtherModelError, match="revision"):
        unpack(pack(random_learner(base_model, model_revision="random-1")), base_model)


def test_a_plain_adapter_for_another_model_is_told(base_model):
    files = pack(random_learner(base_model, model_name="org/other"))
    del files["training_state.json"], files["training_state.safetensors"]
    with pytest.raises(OtherModelError, match="org/other"):
        unpack(files, base_model)
    assert unpack(files, base_model, accept_other_model=True).steps == 0


# The card


def test_the_card_is_valid_front_matter_and_names_the_model(base_model):
    hub = pack(random_learner(base_model, model_name="org/name"))["README.md"].decode()
    assert "\nbase_model: org/name\n" in hub
    assert 'from_pretrained("org/name")' in hub
    local = pack(random_learner(base_model))["README.md"].decode()
    assert "base_model:" not in local.split("---")[1]
    pocket = pack(random_learner(base_model, model_name="pocket"))["README.md"].decode()
    assert 'from_pretrained("assets/pocket")' in pocket


def test_nothing_in_the_card_is_taken_for_markup(base_model):
    name = "evil`<script>\n# Heading\n[link](x)"
    card = pack(random_learner(base_model, model_name=name))["README.md"].decode()
    prose = card.split("```python")[0]
    assert "<script>" not in prose and "\n# Heading" not in prose and "[link]" not in prose


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
    "LoRA": (edited_json(ADAPTER, peft_type="LORA"), "'LORA'; only PROMPT_TUNING"),
    "type a list": (edited_json(ADAPTER, peft_type=["LORA"]), "only PROMPT_TUNING"),
    "encoder-decoder": (edited_json(ADAPTER, task_type="SEQ_2_SEQ_LM"), "only prompts for CAUSAL"),
    "two stacks": (
        edited_json(ADAPTER, num_transformer_submodules=2),
        "num_transformer_submodules",
    ),
    "no tokens": (edited_json(ADAPTER, num_virtual_tokens=0), "1 or more"),
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
    "one key less": (edited_json(STATE, steps=...), "has the keys"),
    "one key more": (edited_json(STATE, mood="good"), "has the keys"),
    "negative count": (edited_json(STATE, steps=-1), "steps -1; 0 or more"),
    "count a text": (edited_json(STATE, episodes="4"), "a whole number"),
    "count too large": (edited_json(STATE, episodes=10**30), "a whole number"),
    "config a list": (edited_json(STATE, config=[]), "an object"),
    "unknown setting": (edited_json(STATE, config=CONFIG | {"mood": 1}), "a config with"),
    "setting a text": (edited_json(STATE, config=CONFIG | {"seed": "0"}), "config.seed '0'"),
    "lone surrogate": (edited_json(STATE, config=CONFIG | {"init_text": "\ud800"}), "a text"),
    "absurd rate": (edited_json(STATE, config=CONFIG | {"learning_rate": -1.0}), "learning rate"),
    "NaN rate": (edited_json(STATE, config=CONFIG | {"learning_rate": float("nan")}), "NaN is not"),
    "overflowing rate": (
        lambda files: files | {STATE: files[STATE].replace(b"0.1", b"1e999")},
        "config.init_std inf; a finite number",
    ),
    "unknown initialiser": (edited_json(STATE, config=CONFIG | {"initialiser": "x"}), "'x'"),
    "model a text": (edited_json(STATE, base_model="qwen"), "an object"),
    "history a text": (edited_json(STATE, history="long"), "history that is not a list"),
    "endless history": (edited_json(STATE, history=[0] * (MAX_HISTORY + 1)), str(MAX_HISTORY)),
    "step a number": (edited_json(STATE, history=[1]), "history[0]"),
    "step without loss": (edited_json(STATE, history=[{"step": 1}]), "history[0]"),
    "more right than asked": (with_step(correct=5), "5 of 4 correct"),
    "asked nothing": (with_step(correct=0, total=0), "0 of 0 correct"),
    "negative norm": (with_step(grad_norm=-1.0), "gradient norm -1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_file_is_refused_in_one_sentence(base_model, case):
    edit, expected = REFUSED[case]
    files = pack(random_learner(base_model), base_model)
    sentence = refusal(edit(files), base_model)
    assert expected in sentence
    assert len(sentence) < 400 and "\n" not in sentence
    assert sentence.endswith(".")


def test_a_folder_that_is_none_is_refused(base_model, tmp_path):
    (tmp_path / "file").write_text("text")
    for path in (tmp_path / "file", tmp_path / "nothing"):
        with pytest.raises(CheckpointError, match="is not a folder"):
            load(path, base_model)


def test_a_folder_is_read_no_further_than_the_limits(base_model, tmp_path):
    folder = save(random_learner(base_model), tmp_path / "prompt")
    with open(folder / "README.md", "wb") as file:
        file.truncate(1 << 40)  # sparse: a terabyte that takes no room
    with pytest.raises(CheckpointError, match=r"README\.md is larger"):
        load(folder, base_model)


def test_other_files_in_a_folder_are_not_looked_at(base_model, tmp_path):
    learner = random_learner(base_model)
    folder = save(learner, tmp_path / "prompt")
    (folder / "optimizer.pt").write_bytes(b"\x80\x04 a pickle")
    assert_equal(load(folder, base_model), learner)


def test_saving_over_other_files_is_refused(base_model, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(CheckpointError, match=r"thesis\.tex.*choose a new folder"):
        save(random_learner(base_model), tmp_path)
    assert os.listdir(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize("write", [save, save_zip])
def test_a_place_that_cannot_be_written_is_said(base_model, tmp_path, write):
    (tmp_path / "file").write_text("text")
    with pytest.raises(CheckpointError, match=r"could not be written.*choose another"):
        write(random_learner(base_model), tmp_path / "file" / "prompt")


# Zip files from strangers


def zipped(entries) -> bytes:
    """A zip of (name or ZipInfo, data) pairs, deflated."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for entry, data in entries:
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def zip_refusal(data, base_model, tmp_path) -> str:
    path = tmp_path / "upload.zip"
    path.write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        load_zip(path, base_model)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "name", ["../adapter_config.json", "/etc/passwd", "prompt/README.md", "prompt/", "run.py", ""]
)
def test_entries_of_other_names_are_refused(base_model, tmp_path, name):
    files = pack(random_learner(base_model))
    data = zipped([*files.items(), (zipfile.ZipInfo(name), b"x")])
    assert "does not belong" in zip_refusal(data, base_model, tmp_path)
    assert os.listdir(tmp_path) == ["upload.zip"]


def test_links_are_refused(base_model, tmp_path):
    link = zipfile.ZipInfo("README.md")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    files = {
        name: data
        for name, data in pack(random_learner(base_model)).items()
        if name != link.filename
    }
    data = zipped([*files.items(), (link, b"/etc/passwd")])
    assert "link" in zip_refusal(data, base_model, tmp_path)


def test_a_bomb_is_refused_by_what_it_says_it_holds(base_model, tmp_path):
    files = pack(random_learner(base_model)) | {"README.md": bytes(SIZE_LIMITS["README.md"] + 1)}
    assert "README.md is larger" in zip_refusal(zipped(files.items()), base_model, tmp_path)


def test_a_bomb_that_lies_about_its_size_is_not_inflated(base_model, tmp_path, monkeypatch):
    files = pack(random_learner(base_model)) | {"README.md": bytes(64 << 20)}
    data = bytearray(zipped(files.items()))
    true_size, small = (64 << 20).to_bytes(4, "little"), (100).to_bytes(4, "little")
    assert data.count(true_size) == 2  # the entry's own header and the directory
    data = bytes(data).replace(true_size, small)
    inflated = []
    read = zipfile.ZipExtFile.read

    def measured(file, size=-1):
        inflated.append(read(file, size))
        return inflated[-1]

    monkeypatch.setattr(zipfile.ZipExtFile, "read", measured)
    assert "Bad CRC-32" in zip_refusal(data, base_model, tmp_path)
    assert sum(map(len, inflated)) < 1 << 20


def test_thousands_of_entries_are_refused_before_they_are_listed(base_model, tmp_path):
    data = zipped([(zipfile.ZipInfo(f"{i}"), b"") for i in range(5000)])
    assert "directory is too large" in zip_refusal(data, base_model, tmp_path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name_are_refused(base_model, tmp_path):
    data = zipped([*pack(random_learner(base_model)).items(), ("README.md", b"another")])
    assert "two files of one name" in zip_refusal(data, base_model, tmp_path)


def test_encryption_and_other_compressions_are_refused(base_model, tmp_path):
    files = pack(random_learner(base_model))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_BZIP2) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    assert "deflate" in zip_refusal(buffer.getvalue(), base_model, tmp_path)
    data = zipped(files.items())
    in_directory = data.index(b"PK\x01\x02")
    for place, value, expected in ((8, 1, "encrypted"), (6, 99, "version"), (8, 32, "patch")):
        strange = bytearray(data)
        strange[in_directory + place] = value
        assert expected in zip_refusal(bytes(strange), base_model, tmp_path)


def test_what_is_no_zip_is_refused(base_model, tmp_path):
    assert "cannot be read as a zip" in zip_refusal(b"", base_model, tmp_path)
    assert "cannot be read as a zip" in zip_refusal(b"\x80\x04 a pickle", base_model, tmp_path)
    with pytest.raises(CheckpointError, match="No such file"):
        load_zip(tmp_path / "nothing.zip", base_model)


# Fuzzing: whatever the bytes, a learner or a CheckpointError

MUTATION = st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4))


def mutated(data: bytes, mutations, length: float) -> bytes:
    changed = bytearray(data)
    for place, patch in mutations:
        start = int(place * len(changed))
        changed[start : start + len(patch)] = patch
    return bytes(changed[: round(length * len(changed))])


@given(
    name=st.sampled_from(sorted(OURS)),
    mutations=st.lists(MUTATION, max_size=4),
    length=st.sampled_from([1.0, 1.0, 1.0, 0.99, 0.5]),
)
@settings(ANY_EXAMPLE, max_examples=300)
def test_mutated_files_load_whole_or_not_at_all(base_model, name, mutations, length):
    files = pack(random_learner(base_model), base_model)
    files[name] = mutated(files[name], mutations, length)
    try:
        learner = unpack(files, base_model)
    except CheckpointError:
        return
    for tensor in TENSORS:
        assert getattr(learner, tensor).shape == (5, base_model.hidden_size)
        assert getattr(learner, tensor).isfinite().all()
    assert_equal(unpack(pack(learner), base_model), learner)


@given(
    mutations=st.lists(MUTATION, min_size=1, max_size=4), length=st.sampled_from([1.0, 1.0, 0.9])
)
@settings(ANY_EXAMPLE, max_examples=300)
def test_mutated_zips_load_whole_or_not_at_all(base_model, tmp_path_factory, mutations, length):
    learner = random_learner(base_model)
    path = tmp_path_factory.getbasetemp() / "mutated.zip"
    path.write_bytes(mutated(zipped(pack(learner).items()), mutations, length))
    try:
        loaded = load_zip(path, base_model)
    except CheckpointError:
        return
    # The checksums let no change through, but a shorter directory is that of a plain adapter.
    if loaded.steps == 0:
        learner = unpack({name: pack(learner)[name] for name in (ADAPTER, MODEL)}, base_model)
    assert_equal(loaded, learner)


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    ),
    name=st.sampled_from([ADAPTER, STATE]),
    data=st.data(),
)
@settings(ANY_EXAMPLE, max_examples=300)
def test_any_json_in_any_place_loads_whole_or_not_at_all(base_model, value, name, data):
    files = pack(random_learner(base_model), base_model)
    document = json.loads(files[name])
    place = document
    while isinstance(place, dict | list) and place and data.draw(st.booleans()):
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        key = data.draw(st.sampled_from(keys))
        if isinstance(place[key], dict | list) and place[key]:
            place = place[key]
        else:
            place[key] = value
            break
    files[name] = json.dumps(document).encode()
    try:
        learner = unpack(files, base_model, accept_other_model=True)
    except CheckpointError as error:
        assert len(str(error)) < 1000
        return
    assert_equal(unpack(pack(learner), base_model), learner)
