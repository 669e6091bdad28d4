"""A base model from the Hub is loaded by its name, or refused in a sentence that says why."""

import errno
import hashlib

import pytest
import torch
from gguf import GGMLQuantizationType as Quantisation
from huggingface_hub import constants
from transformers import AutoModelForCausalLM

from learner.model import loading
from learner.model.loading import load_base_model
from learner.model.source import ModelError
from tests.hub.store import File
from tests.learner.model.test_base_model import save
from tests.learner.tiny_gguf import write_gguf
from tests.learner.tiny_models import build_model

REPO = "ada/tiny"


@pytest.fixture
def hub(hub, monkeypatch, tmp_path):
    """The Hub on loopback in place of the real one, and a cache that other tests do not see."""
    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    template = f"{hub.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return hub


@pytest.fixture
def repo(hub, tmp_path):
    """A tiny model of ada's on the Hub."""
    folder = save(build_model("qwen2"), tmp_path / "tiny")
    repo = hub.store.create("model", REPO, private=False)
    files = {path.name: File(path.read_bytes()) for path in folder.iterdir()}
    hub.store.commit(repo, "as it is", "ada", files, "")
    return repo


def refusal(name=REPO):
    with pytest.raises(ModelError) as caught:
        load_base_model(name, device="cpu", dtype="float32")
    sentence = str(caught.value)
    assert sentence.endswith(".") and "\n" not in sentence and len(sentence) < 300
    return sentence


def test_a_model_is_loaded_by_its_name_and_remembers_its_commit(hub, repo):
    with hub.watching() as seen:
        base_model = load_base_model(REPO, device="cpu", dtype="float32")
    # What files there are is asked once: no part of the model asks again by itself.
    assert len([request for request in seen if "/tree/" in request.path]) == 1
    assert base_model.name == REPO
    assert base_model.revision == repo.head.oid
    expected = build_model("qwen2").get_input_embeddings().weight
    assert torch.equal(base_model.embeddings, expected)


def test_how_far_a_download_is_is_told(repo):
    told = []
    load_base_model(REPO, device="cpu", dtype="float32", tell=told.append)
    assert told[0].startswith("downloading, ") and told[-1] == "reading its weights"
    assert "downloading, 100 % of 0 MB" in told


def test_a_model_larger_than_the_memory_is_not_downloaded(hub, repo, monkeypatch):
    monkeypatch.setattr(loading, "free_bytes", lambda _: 1000)
    with hub.watching() as seen:
        assert "more than the memory that is free" in refusal()
    assert not [request for request in seen if request.path.endswith(".safetensors")]


def test_what_was_downloaded_once_loads_while_the_hub_is_out_of_reach(hub, repo):
    load_base_model(REPO, device="cpu", dtype="float32")
    hub.refuse("GET", "/api/models/ada/tiny", 500, times=99)
    assert load_base_model(REPO, device="cpu", dtype="float32").revision == repo.head.oid


def test_a_name_that_nobody_has_is_said(hub):
    assert refusal("ada/nothing") == (
        "The model ada/nothing is neither a folder nor a model on the Hub."
    )


def test_a_gated_model_is_said_to_be_so(repo):
    repo.gated = True
    assert refusal() == (
        f"The model {REPO} is gated: ask for access on its page and log in with a token."
    )


def test_a_hub_out_of_order_is_said(hub, repo):
    hub.refuse("HEAD", "config.json", 500, times=99)
    hub.refuse("GET", "/", 500, times=99)
    assert REPO in refusal()


def test_a_repository_without_a_model_is_said(hub):
    hub.store.create("model", REPO, private=False)
    assert REPO in refusal()


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no room left on this machine's disk"),
        (MemoryError(), "not enough memory on cpu to load"),
        (torch.OutOfMemoryError(), "not enough memory on cpu to load"),
        (
            RuntimeError("[enforce fail] . DefaultCPUAllocator: can't allocate memory: you tried"),
            "not enough memory to load",
        ),
    ],
    ids=["disk", "memory", "device", "allocator"],
)
def test_a_machine_that_is_too_small_is_said(repo, monkeypatch, error, says):
    """What torch and the system raise; to run out for real would take the machine with it."""

    def full(*_, **__):
        raise error

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", full)
    assert says in refusal() and REPO in refusal()


@pytest.fixture
def gguf_repo(hub, tmp_path):
    """A repository of ada's with the same model quantised twice."""
    repo = hub.store.create("model", "ada/quantised", private=False)
    files = {}
    for name in ("tiny.F32.gguf", "sub/tiny.Q8_0.gguf"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        write_gguf(path, quantisation=Quantisation[path.name.split(".")[1]])
        files[name] = File(path.read_bytes())
    hub.store.commit(repo, "as it is", "ada", files, "")
    return repo


@pytest.mark.parametrize("file", ["tiny.F32.gguf", "sub/tiny.Q8_0.gguf"])
def test_one_gguf_file_of_a_repository_is_loaded_and_no_other(hub, gguf_repo, file, tmp_path):
    name = f"ada/quantised/{file}"
    with hub.watching() as seen:
        base_model = load_base_model(name, device="cpu", dtype="float32")
    assert (base_model.name, base_model.source.hub_id) == (name, "ada/quantised")
    assert base_model.revision == hashlib.sha256((tmp_path / file).read_bytes()).hexdigest()
    fetched = {request.path.split("/")[-1] for request in seen if "/resolve/" in request.path}
    assert fetched == {file.split("/")[-1]}


def test_a_gguf_file_that_is_not_in_its_repository_is_said(hub, gguf_repo):
    assert "ada/quantised/no.gguf lacks" in refusal("ada/quantised/no.gguf")
    assert "ada/nothing/no.gguf" in refusal("ada/nothing/no.gguf")


def test_a_gguf_file_larger_than_the_memory_is_not_downloaded(hub, gguf_repo, monkeypatch):
    monkeypatch.setattr(loading, "free_bytes", lambda _: 1000)
    with hub.watching() as seen:
        assert "more than the memory that is free" in refusal("ada/quantised/tiny.F32.gguf")
    assert not [request for request in seen if "/resolve/" in request.path]
