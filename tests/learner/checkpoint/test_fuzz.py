"""Eleven thousand broken files: whatever the bytes, a whole learner or one sentence, in bounds.

Real files are mutated as they are, and inside their zip archives with the checksums put right
again, so that what is inside gets read too; Hypothesis puts any JSON in any place.
"""

import json
import os
import random
import re
import tracemalloc
import warnings

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from learner.checkpoint.files import load, load_file, pack_for_people
from learner.checkpoint.format import pack, unpack
from learner.checkpoint.original.archive import MAX_PICKLE
from learner.checkpoint.reading import CheckpointError
from learner.learning.learner import Learner
from tests.learner.checkpoints import (
    OURS,
    TENSORS,
    OriginalExperiment,
    assert_equal,
    random_learner,
    rezipped,
    zipped,
)
from tests.learner.tiny_models import build_base_model

EDGES = (0, 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)
DIGITS = (b"0", b"-1", b"9999999999999", b"1e999", b"NaN", b"null", b'""', b"[]", b"{}")
ADAPTER, STATE = "adapter_config.json", "training_state.json"


@pytest.fixture(scope="module")
def base_model():
    return build_base_model("qwen2")


@pytest.fixture(scope="module")
def real(base_model) -> dict[str, bytes]:
    """The files of a small checkpoint."""
    learner = random_learner(base_model)
    return pack_for_people(learner, base_model, curve=False)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """A few of the things that go wrong with files, or are done to them."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        place = rng.randrange(len(changed) + 1)
        match rng.randrange(8):
            case 0:
                changed[place : place + 1] = bytes([rng.randrange(256)])
            case 1:
                changed[place:] = b""
            case 2:
                del changed[place : place + rng.choice((1, 4, 100))]
            case 3:
                changed[place:place] = rng.randbytes(rng.choice((1, 4, 100)))
            case 4:
                size = rng.choice((1, 2, 4, 8))
                edge = rng.choice(EDGES) % 256**size
                changed[place : place + size] = edge.to_bytes(size, rng.choice(("little", "big")))
            case 5:
                other = rng.randrange(len(changed) + 1)
                length = rng.choice((1, 8, 64))
                changed[place : place + length] = changed[other : other + length]
            case 6:
                numbers = [*re.finditer(rb"\d+", changed)] or [re.match(b"", changed)]
                number = rng.choice(numbers)
                changed[number.start() : number.end()] = rng.choice(DIGITS)
            case 7:
                for at in range(place, min(place + 3, len(changed))):
                    changed[at] ^= 1 << rng.randrange(8)
    return bytes(changed)


def outcome(read, *arguments) -> Learner | None:
    """The learner, whole; or None where the file was refused as it should be."""
    try:
        learner = read(*arguments)
    except CheckpointError as error:
        sentence = str(error)
        assert sentence.endswith(".") and len(sentence) < 1000, sentence
        return None
    shape = learner.prompt.shape
    assert shape[0] == learner.config.soft_tokens
    for name in TENSORS:
        tensor = getattr(learner, name)
        assert tensor.shape == shape and tensor.dtype == torch.float32
        assert tensor.isfinite().all()
    assert learner.steps >= 0 and learner.episodes >= 0
    return learner


def counted(outcomes) -> tuple[int, int]:
    """How many inputs there were, and how many of them loaded."""
    found = [learner is not None for learner in outcomes]
    return len(found), sum(found)


def test_mutated_files_load_whole_or_not_at_all(base_model, real):
    def read(seed):
        rng = random.Random(seed)
        name = rng.choice(sorted(OURS))
        files = real | {name: mutated(real[name], rng)}
        learner = outcome(unpack, files, base_model)
        if learner is not None:
            assert_equal(unpack(pack(learner), base_model), learner)
        return learner

    inputs, loaded = counted(map(read, range(3500)))
    assert inputs == 3500 and 350 < loaded < 3150  # neither all nor nothing


def test_mutated_zips_load_what_was_saved_or_nothing(base_model, real, tmp_path):
    """The checksums let no change through; a shorter directory may be that of a plain adapter."""
    data = zipped(real.items())
    saved = unpack(real, base_model)
    adapter = {name: real[name] for name in (ADAPTER, "adapter_model.safetensors")}
    untrained = unpack(adapter, base_model)

    def read(seed):
        path = tmp_path / f"{seed}.zip"
        path.write_bytes(mutated(data, random.Random(seed)))
        learner = outcome(load_file, path, base_model)
        path.unlink()
        if learner is not None:
            assert_equal(learner, saved if learner.steps else untrained)
        return learner

    inputs, loaded = counted(map(read, range(2500)))
    assert inputs == 2500 and 0 < loaded < 1250


def test_mutated_contents_of_a_zip_load_whole_or_not_at_all(base_model, real, tmp_path):
    def read(seed):
        rng = random.Random(seed)
        name = rng.choice(sorted(OURS))
        renamed = {rng.choice(sorted(OURS)): b""} if rng.random() < 0.1 else {}
        path = tmp_path / f"{seed}.zip"
        path.write_bytes(zipped((real | renamed | {name: mutated(real[name], rng)}).items()))
        learner = outcome(load_file, path, base_model)
        path.unlink()
        return learner

    inputs, loaded = counted(map(read, range(1000)))
    assert inputs == 1000 and 50 < loaded < 950


@pytest.mark.parametrize("inside", [False, True], ids=["the file", "what is inside"])
def test_mutated_originals_load_whole_or_not_at_all(base_model, tmp_path, inside):
    data = OriginalExperiment().learn(3).saved()
    allowed = set(torch.serialization.get_safe_globals())

    def edit(rng):
        def one(records):
            pickled = rng.random() < 0.7
            name = "archive/data.pkl" if pickled else rng.choice(sorted(records))
            return records | {name: mutated(records[name], rng)}

        return one

    def read(seed):
        rng = random.Random(seed)
        path = tmp_path / f"{seed}.pt"
        path.write_bytes(rezipped(data, edit(rng)) if inside else mutated(data, rng))
        learner = outcome(load_file, path, base_model, True)
        path.unlink()
        return learner

    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # torch warns of protocols it half knows
        warnings.simplefilter("ignore", DeprecationWarning)  # pickletools, of escapes in texts
        inputs, loaded = counted(map(read, range(1500)))
    assert inputs == 1500 and loaded < 1350
    assert set(torch.serialization.get_safe_globals()) == allowed


def test_mutated_folders_are_left_as_they_are(base_model, real, tmp_path):
    def read(seed):
        rng = random.Random(seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        name = rng.choice(sorted(OURS))
        files = real | {name: mutated(real[name], rng)}
        if rng.random() < 0.2:
            del files[rng.choice(sorted(OURS))]
        for name, content in files.items():
            (folder / name).write_bytes(content)
        learner = outcome(load, folder, base_model)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
        return learner

    inputs, loaded = counted(map(read, range(500)))
    assert inputs == 500 and 20 < loaded < 480
    assert len(os.listdir(tmp_path)) == 500


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(value=JSON, name=st.sampled_from([ADAPTER, STATE]), rng=st.randoms(use_true_random=False))
@settings(
    deadline=None,
    max_examples=500,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_json_in_any_place_loads_whole_or_not_at_all(base_model, real, value, name, rng):
    document = json.loads(real[name])
    place = document
    while True:
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        key = rng.choice(keys)
        if not (isinstance(place[key], dict | list) and place[key] and rng.random() < 0.7):
            break
        place = place[key]
    place[key] = value
    learner = outcome(unpack, real | {name: json.dumps(document).encode()}, base_model, True)
    if learner is not None:
        assert_equal(unpack(pack(learner), base_model), learner)


HEADER = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "BF16", "F64", "I8", "F8_E4M3", "X", ""]),
        "shape": st.lists(st.sampled_from([0, 1, 5, 6, 32, 2**32, 2**62]), max_size=4),
        "data_offsets": st.lists(
            st.sampled_from([0, 1, 640, 641, 2**40, 2**63, 2**64 - 1]), min_size=1, max_size=3
        ),
    }
)


@given(
    header=st.dictionaries(
        st.sampled_from(["prompt_embeddings", "__metadata__", "x", ""]), HEADER | JSON, max_size=3
    ),
    claimed=st.sampled_from([None, 0, 8, 2**31, 2**63]),
    body=st.sampled_from([0, 1, 640, 1280]),
)
@settings(
    deadline=None,
    max_examples=500,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_safetensors_header_loads_whole_or_not_at_all(base_model, real, header, claimed, body):
    text = json.dumps(header).encode()
    size = len(text) if claimed is None else claimed
    data = size.to_bytes(8, "little") + text + bytes(body)
    files = {ADAPTER: real[ADAPTER], "adapter_model.safetensors": data}
    learner = outcome(unpack, files, base_model)
    if learner is not None:
        assert learner.prompt.shape == (5, 32)


# Small files that would like to be large

MEMORY = 256 << 20  # bytes, at the most, whatever a file in bounds says


def many(item: bytes, size: int) -> bytes:
    return item * (size // len(item))


def pickle_of_ordered_dicts() -> bytes:
    """As many as a pickle in bounds can make: four bytes for each."""
    start = b"\x80\x02}X\x01\x00\x00\x00a](ccollections\nOrderedDict\nq\x00)R"
    return start + many(b"h\x00)R", MAX_PICKLE - 100) + b"es."


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (STATE, b"[" + many(b"[],", (1 << 22) - 8) + b"0]"),
        (STATE, b'{"history":[' + many(b"{},", (1 << 22) - 50) + b"0]}"),
        (ADAPTER, b'{"peft_type":[' + many(b"[],", (1 << 20) - 50) + b"0]}"),
        (ADAPTER, many(b"[", 1 << 20)),
        ("archive/data.pkl", pickle_of_ordered_dicts()),
        ("archive/data.pkl", b"\x80\x02" + many(b"(", MAX_PICKLE - 3) + b"."),
    ],
    ids=["lists", "steps", "types", "depth", "ordered dicts", "marks"],
)
def test_what_a_small_file_makes_stays_small(base_model, real, tmp_path, name, content):
    if name.startswith("archive/"):
        path = tmp_path / "bomb.pt"
        data = OriginalExperiment().learn(1).saved()
        path.write_bytes(rezipped(data, lambda records: records | {name: content}))
    else:
        path = tmp_path / "bomb.zip"
        path.write_bytes(zipped((real | {name: content}).items()))
    tracemalloc.start()
    try:
        assert outcome(load_file, path, base_model, True) is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEMORY
