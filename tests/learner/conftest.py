"""Fixtures that several files of the learner's tests share."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from learner.learning import reward
from learner.model.base_model import BaseModel
from learner.service.in_process import Service
from tests.learner.held_model import FakeModel, started
from tests.learner.rewarded import by_length
from tests.learner.session_server import Server
from tests.learner.tiny_models import build_base_model


@pytest.fixture(params=["qwen2", "llama"])
def base_model(request: pytest.FixtureRequest) -> BaseModel:
    """A tiny float32 model of either architecture, with ChatML's template.

    The Llama has a tokenizer that begins every text with a token of its own.
    """
    return build_base_model(request.param, bos=request.param == "llama")


@pytest.fixture
def qwen2() -> BaseModel:
    """A tiny float32 Qwen2 with ChatML's template."""
    return build_base_model("qwen2")


@pytest.fixture(autouse=True)
def _no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting for the disk: what is synced, and when, is tested in test_atomic_folder.py."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def fake() -> Iterator[FakeModel]:
    """What a service runs, held by the test; let go at its end, so that the worker can end."""
    fake = FakeModel()
    yield fake
    fake.gate.open()


@pytest.fixture
def service(fake: FakeModel) -> Iterator[Service]:
    """A service in front of it."""
    service = started(fake)
    yield service
    fake.gate.open()
    service.close()


@pytest.fixture
def short_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random model hardly ever ends an answer by itself."""
    monkeypatch.setattr(reward, "MAX_SAMPLE_TOKENS", 6)


@pytest.fixture
def coin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples are graded by their length."""
    monkeypatch.setattr(reward, "grade", by_length)


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Writes bytes to a file with the name that the original experiments' checkpoints have."""

    def write(data: bytes, name: str = "checkpoint_ep80.pt") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


@pytest.fixture
def server(tmp_path: Path, qwen2: BaseModel) -> Iterator[Server]:
    """An app's sessions, none of them there yet."""
    server = Server(tmp_path / "sessions", qwen2)
    yield server
    server.stop()
