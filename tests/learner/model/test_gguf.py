"""A GGUF file is the model that was written into it, or refused in one sentence."""

import random
import resource
import struct
from collections import Counter

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Quantisation
from transformers import AutoModelForCausalLM

from learner.checkpoint.files import load, save
from learner.learning.learner import LearnerConfig, new_learner
from learner.model import gguf as reading
from learner.model.completion import Ask, complete
from learner.model.gguf_header import read_header
from learner.model.loading import load_base_model
from learner.model.source import GGUF, ModelError
from tests.learner.tiny_gguf import write_gguf
from tests.learner.tiny_models import build_model, build_tokenizer

TEXTS = ("What comes next: 2, 4, 16, 128?", "a  1 \n\n 2", "<|im_start|>user", "naïve 東京 🙂")
BROKEN = 800  # files


def loaded(path, dtype="float32"):
    return load_base_model(str(path), device="cpu", dtype=dtype)


def refusal(path):
    with pytest.raises(ModelError) as caught:
        loaded(path)
    sentence = str(caught.value)
    assert sentence.endswith(".") and "\n" not in sentence and len(sentence) < 400
    assert str(path.parent) not in sentence
    return sentence


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_it_is_the_model_that_was_written(tmp_path, architecture, dtype):
    path = tmp_path / "tiny.gguf"
    written = write_gguf(path, architecture).to(getattr(torch, dtype))
    base_model = loaded(path, dtype)
    found, expected = base_model.model.state_dict(), written.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert not any(value.is_meta for value in (*found.values(), *base_model.model.buffers()))
    assert base_model.source.kind == GGUF and base_model.name == "tiny.gguf"
    assert (base_model.context_length, base_model.dtype) == (512, getattr(torch, dtype))


def test_rotations_are_those_of_the_model(tmp_path):
    """Weights can be equal and logits not: where a model's positions are told otherwise."""
    written = write_gguf(tmp_path / "tiny.gguf", "llama").eval()
    ids = torch.arange(40)[None]
    with torch.no_grad():
        theirs, ours = (m(ids).logits for m in (written, loaded(tmp_path / "tiny.gguf").model))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("kind", ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"])
@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_every_quantisation_is_what_transformers_makes_of_it(tmp_path, kind, architecture):
    pytest.importorskip("accelerate", reason="transformers loads GGUF files with it alone")
    path = tmp_path / "tiny.gguf"
    write_gguf(path, architecture, Quantisation[kind])
    theirs = AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file=path.name, dtype=torch.float32
    ).state_dict()
    ours = loaded(path).model.state_dict()
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())
    assert not torch.equal(
        ours["model.layers.0.mlp.up_proj.weight"],
        build_model(architecture).state_dict()["model.layers.0.mlp.up_proj.weight"],
    )


def test_text_becomes_the_tokens_that_it_learnt_from(tmp_path):
    write_gguf(tmp_path / "tiny.gguf")
    tokenizer, original = loaded(tmp_path / "tiny.gguf").tokenizer, build_tokenizer()
    for text in TEXTS:
        expected = original.backend_tokenizer.encode(text)
        found = tokenizer.backend_tokenizer.encode(text)
        assert found.ids == expected.ids
    assert tokenizer.eos_token == original.eos_token
    assert tokenizer.chat_template == original.chat_template


def test_it_answers_and_learners_in_front_of_it_are_kept(tmp_path):
    write_gguf(tmp_path / "tiny.gguf")
    base_model = loaded(tmp_path / "tiny.gguf")
    learner = new_learner(base_model, LearnerConfig(soft_tokens=3))
    asks = [Ask("1 + 1?", chat, p) for chat in (False, True) for p in (None, learner.prompt)]
    assert len(complete(base_model, asks, 4)) == 4
    folder = save(learner, tmp_path / "prompt", base_model)
    (tmp_path / "tiny.gguf").rename(tmp_path / "renamed.gguf")
    again = loaded(tmp_path / "renamed.gguf")
    assert load(folder, again).source == again.source
    assert again.revision == base_model.revision


def test_llama_3s_frequencies_are_divided_as_its_file_says(tmp_path, monkeypatch):
    plain, path = tmp_path / "plain.gguf", tmp_path / "tiny.gguf"
    write_gguf(plain)
    close = gguf.GGUFWriter.write_header_to_file
    factors = np.array([1.0, 2.0, 4.0, 8.0], np.float32)

    def with_factors(writer):
        writer.add_tensor("rope_freqs.weight", factors)
        close(writer)

    monkeypatch.setattr(gguf.GGUFWriter, "write_header_to_file", with_factors)
    write_gguf(path)
    before, after = (loaded(p).model.get_decoder().rotary_emb.inv_freq for p in (plain, path))
    torch.testing.assert_close(after, before / torch.from_numpy(factors))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"general__architecture": "mamba"}, "of the kind 'mamba'"),
        ({"llama__block_count": 3}, "lacks weights of its 3 layers"),
        ({"llama__block_count": 1}, "weights ('blk.1"),
        ({"llama__attention__head_count": 0}, "'0' as its attention.head_count"),
        ({"llama__attention__head_count": "4"}, "attention.head_count"),
        ({"llama__embedding_length": 64}, "does not hold the model it describes"),
        ({"llama__rope__scaling__type": "yarn"}, "stretches positions ('yarn')"),
        ({"llama__rope__freq_base": float("nan")}, "rope.freq_base"),
        ({"tokenizer__ggml__pre": "deepseek-llm"}, "splits text in a way ('deepseek-llm')"),
        ({"tokenizer__ggml__eos_token_id": 5000}, "5000' as its eos token"),
        ({"tokenizer__ggml__model": "bert"}, "tokenizer in the GGUF file"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_what_does_not_load_is_said_in_a_sentence(tmp_path, values, says):
    write_gguf(tmp_path / "tiny.gguf", **values)
    assert says in refusal(tmp_path / "tiny.gguf")


def test_a_layer_counts_only_where_the_file_has_it(tmp_path, monkeypatch):
    path = tmp_path / "tiny.gguf"
    write_gguf(path, llama__block_count=9)
    path.write_bytes(path.read_bytes().replace(b"blk.1.attn_q.weight", b"blk.8.attn_q.weight"))
    monkeypatch.delattr(AutoModelForCausalLM, "from_config")  # nothing is made of what it says
    assert "lacks weights of its 9 layers" in refusal(path)


def test_a_file_that_is_not_whole_is_said_to_be(tmp_path):
    path = tmp_path / "tiny.gguf"
    write_gguf(path)
    data = path.read_bytes()
    path.write_bytes(data[:-1000])
    assert "is not whole" in refusal(path) and "download it again" in refusal(path)
    path.write_bytes(data[:3000])
    assert "ends within its header" in refusal(path)


def test_what_is_no_gguf_file_is_said_to_be(tmp_path):
    for data in (b"", b"GGUF", b"PK\x03\x04" * 100):
        (tmp_path / "model.gguf").write_bytes(data)
        assert "is not a GGUF file" in refusal(tmp_path / "model.gguf")


def test_an_unknown_quantisation_is_said(tmp_path):
    path = tmp_path / "tiny.gguf"
    write_gguf(path)
    name = b"token_embd.weight"
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.index(name) + len(name) + 4 + 2 * 8, 77)
    path.write_bytes(data)
    assert "quantised in a way that is unknown here (type 77)" in refusal(path)


def test_what_does_not_fit_into_memory_is_not_loaded(tmp_path, monkeypatch):
    write_gguf(tmp_path / "tiny.gguf")
    monkeypatch.setattr(reading, "free_bytes", lambda _: 8 * reading._CHUNK + 1000)
    assert "GB of memory as float32, and 0.0 GB are free" in refusal(tmp_path / "tiny.gguf")


def broken(data, rng, header):
    """The file with something changed: in its header, most of the time where lengths are."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        at = rng.randrange(4, header)
        way = rng.randrange(6)
        if way == 0:
            data[at] = rng.randrange(256)
        elif way == 1:
            data[at] ^= 1 << rng.randrange(8)
        elif way == 2:
            wild = (0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, rng.randrange(2**64), 10**9)
            struct.pack_into("<Q", data, min(at, len(data) - 8), rng.choice(wild))
        elif way == 3:
            struct.pack_into("<I", data, at, rng.choice((0, 8, 9, 12, 13, 30, 2**31, 2**32 - 1)))
        elif way == 4:
            del data[at : at + rng.randrange(1, 64)]
        else:
            del data[rng.randrange(at, len(data)) :]
            break
        header = min(header, len(data) - 8)
    return bytes(data)


def test_broken_files_are_loaded_or_refused_and_take_no_memory(tmp_path, monkeypatch):
    path = tmp_path / "tiny.gguf"
    files = []
    for architecture in ("llama", "qwen2"):
        write_gguf(path, architecture)
        stored = read_header(path).tensors.values()
        files.append((path.read_bytes(), min(tensor.start for tensor in stored)))
    rng = random.Random(0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes: Counter[str] = Counter()
    for number in range(BROKEN):
        data, header = files[number % 2]
        path.write_bytes(broken(data, rng, header))
        try:
            loaded(path)
            outcomes["loaded"] += 1
        except ModelError as error:
            assert str(error).endswith(".") and "\n" not in str(error)
            outcomes["refused"] += 1
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert outcomes["refused"] > BROKEN / 2 and outcomes["loaded"] > 0, outcomes
    assert grown < 200 << 10  # KB
