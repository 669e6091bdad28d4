"""The page is tested on the same scripted service as what it shows."""

from tests.learner.visitors.conftest import exam, service, session

__all__ = ["exam", "service", "session"]
