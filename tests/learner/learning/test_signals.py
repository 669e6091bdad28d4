"""Every signal has a name that settings know, and says what its steps mean."""

import pytest

from learner.learning.learner import SIGNAL_NAMES, LearnerConfig, StepRecord
from learner.learning.signals import RECORDED, SIGNALS


def test_settings_know_exactly_these():
    assert tuple(SIGNALS) == SIGNAL_NAMES
    assert all(LearnerConfig(signal=name).signal == name for name in SIGNALS)
    for name in RECORDED:
        assert StepRecord(1, 1, 0.5, 0, 1, 1.0, False, signal=name).signal == name


@pytest.mark.parametrize("name", RECORDED)
def test_it_is_offered_and_explained(name):
    signal = RECORDED[name]
    assert signal.name == name and signal.label and signal.loss
    assert (signal.right is None) == (signal.told is signal.earned is None)


def test_what_is_told_is_in_nats_and_only_that():
    assert {name for name, one in RECORDED.items() if one.loss == "nats a token"} == {
        name for name, one in RECORDED.items() if one.told
    }
