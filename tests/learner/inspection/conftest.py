"""The embedded model and soft prompts that it was taught, once for all tests of inspection."""

import pytest

from learner.inspection.looking import OnModel
from learner.inspection.subject import Subject
from learner.measuring import Answers, answers_of
from learner.model.base_model import BaseModel
from learner.model.loading import load_base_model
from tests.learner.inspection.known import taught


@pytest.fixture(scope="session")
def pocket() -> BaseModel:
    """The embedded model in float32: the same numbers on every processor, nearly."""
    return load_base_model(dtype="float32")


@pytest.fixture(scope="session")
def answers(pocket: BaseModel) -> Answers:
    return answers_of(pocket)


@pytest.fixture(scope="session")
def on_model(pocket: BaseModel) -> OnModel:
    return lambda work: work(pocket)


@pytest.fixture(scope="session")
def subjects(pocket: BaseModel) -> list[Subject]:
    """Five trained seeds."""
    return taught(pocket)
