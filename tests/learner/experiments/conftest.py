"""Laws are checked on any machine, however busy, and without waiting for its disk."""

import pytest
from hypothesis import settings

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def _quick(no_sync: None) -> None:
    """What is synced, and when, is tested with `learner.checkpoint.atomic_folder`."""
