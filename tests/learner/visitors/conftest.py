"""Fixtures for lessons on a scripted service."""

import pytest
from hypothesis import settings

from learner.visitors.exam import Exam
from learner.visitors.lesson import Lesson
from learner.visitors.session import Session, SessionState
from tests.learner.visitors.scripted import ScriptedService, looked_at, untrained

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture
def service() -> ScriptedService:
    return ScriptedService()


@pytest.fixture
def exam(service: ScriptedService) -> Exam:
    return Exam(service, size=50)


@pytest.fixture
def session() -> Session:
    return Session("an-id", SessionState(untrained(), seed=7), lambda *_: None, untrained)


@pytest.fixture
def lesson(service: ScriptedService, exam: Exam, session: Session) -> Lesson:
    return looked_at(Lesson(service, exam, session))
