"""The page is tested on the same scripted service as what it shows."""

from tests.learner.visitors.conftest import exam, lesson, service, session

__all__ = ["exam", "lesson", "service", "session"]
