"""Somebody who has trained a soft prompt, and has a login of the Hub that stands in."""

import pytest

from tests.hub.samples import trained_learner


@pytest.fixture
def learner(qwen2):
    return trained_learner(qwen2)


@pytest.fixture
def ada(hub):
    return hub.store.add_login("ada")
