"""Fixtures for the learner's tests: tiny random base models."""

import os

import pytest

from learner.base_model import BaseModel
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
