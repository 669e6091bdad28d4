from dataclasses import replace
from itertools import pairwise

import torch

from learner.learning.learner import Learner, LearnerConfig, untrained
from learner.model.base_model import BaseModel
from learner.visitors.moments import MOST, Moments


def after(base_model: BaseModel, steps: int) -> Learner:
    learner = untrained(base_model, LearnerConfig(), torch.full((8, 32), float(steps)))
    return replace(learner, episodes=4 * steps)


def walked(base_model: BaseModel, steps: int) -> Moments:
    moments = Moments(after(base_model, 0))
    for step in range(1, steps + 1):
        moments.step(after(base_model, step))
    return moments


def test_every_step_is_kept_while_they_are_few(qwen2: BaseModel) -> None:
    kept = walked(qwen2, 5).all
    assert [moment.episodes for moment in kept] == [0, 4, 8, 12, 16, 20]
    assert kept[2].prompt[0, 0] == 2


def test_many_steps_leave_moments_evenly_spread_from_first_to_present(qwen2: BaseModel) -> None:
    for steps in (MOST, MOST + 1, 3 * MOST, 1000, 1001):
        episodes = [moment.episodes for moment in walked(qwen2, steps).all]
        assert len(episodes) <= MOST
        assert len(episodes) > MOST // 3
        assert episodes[0] == 0 and episodes[-1] == 4 * steps
        gaps = [after - before for before, after in pairwise(episodes)]
        assert all(gap > 0 for gap in gaps)
        assert max(gaps) <= 3 * (4 * steps / len(gaps))


def test_going_back_cuts_the_way_and_going_elsewhere_begins_another(qwen2: BaseModel) -> None:
    moments = walked(qwen2, 6)
    moments.go_to(after(qwen2, 2))
    assert [moment.episodes for moment in moments.all] == [0, 4, 8]
    moments.go_to(after(qwen2, 50))
    assert [moment.episodes for moment in moments.all] == [200]
