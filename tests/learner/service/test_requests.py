"""What a request takes up of a pass is what it puts through the model."""

import pytest

from learner.learning.gradients import find_gradients
from learner.learning.thumbs import Thumbs
from learner.learning.training import step_rows, train_step
from tests.learner.rewarded import PROBLEMS, learner


@pytest.mark.usefixtures("short_samples", "coin")
@pytest.mark.parametrize("signal", ["answer", "reward", "mix"])
@pytest.mark.parametrize("samples", [2, 5])
def test_the_rows_of_a_step_are_its_gold_answers_and_its_samples(qwen2, signal, samples):
    value = learner(qwen2, signal=signal, samples_per_problem=samples)
    for count in range(1, len(PROBLEMS) + 1):
        chosen = PROBLEMS[:count]
        _, report = train_step(qwen2, value, chosen)
        drawn = sum(len(group.samples) for group in report.groups)
        told = 0 if signal == "reward" else count
        assert step_rows(value, chosen) == told + drawn
        assert bool(drawn) == (signal != "answer")


def test_the_rows_of_thumbs_are_what_is_marked(qwen2, monkeypatch):
    thumbs = Thumbs("Who?", ((5, 6), (7,), (8, 9, 10)), (1, -1, -1))
    sizes = []

    def noted(base_model, work, paces):
        sizes.extend(len(targets) for _, targets in work)
        return find_gradients(base_model, work, paces)

    monkeypatch.setattr("learner.learning.thumbs.find_gradients", noted)
    value = learner(qwen2, signal="reward")
    train_step(qwen2, value, [thumbs])
    assert {step_rows(value, [thumbs])} == set(sizes) == {3}
