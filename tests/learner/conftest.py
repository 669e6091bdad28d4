"""Fixtures for the learner's tests: tiny random base models, a service that waits for the test."""

import os
from collections.abc import Iterator

import pytest

from learner.base_model import BaseModel
from learner.service import Service
from tests.learner.held_model import FakeModel, started
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


@pytest.fixture
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
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
