"""Killed at any moment, an app leaves everything that it said was saved."""

import pytest

from learner.visitors.stores.sqlite import SqliteStore
from tests.learner.visitors.killing import in_objects, kill


@pytest.mark.parametrize(("store", "times"), [(SqliteStore, 8), (in_objects, 6)])
def test_whatever_was_said_to_be_saved_is_there_after_kills_at_random_moments(
    tmp_path, store, times
):
    assert kill(tmp_path, times, store=store) > times
