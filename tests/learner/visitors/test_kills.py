"""Killed at any moment, an app leaves everything that it said was saved."""

from tests.learner.visitors.killing import kill


def test_whatever_was_said_to_be_saved_is_there_after_kills_at_random_moments(tmp_path):
    assert kill(tmp_path, 20) > 20
