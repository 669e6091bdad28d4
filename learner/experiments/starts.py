"""Where a soft prompt starts from, if other families were learnt before.

"meta" is Reptile (Nichol, Achiam & Schulman, 2018, "On first-order meta-learning algorithms") in
its batched form: from the present start a learner takes a few steps on each family, and the start
moves towards the mean of where they ended. What comes out is close, in the sense of a few steps, to
a good prompt for any family like these. The outer step shrinks linearly to nothing, as in the
paper. "joint" is what that has to be better than: ordinary training on a mix of the same families,
for as many episodes. All starts that are wanted at once are learnt in merged passes.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice

import torch

from arena import Problem, stream
from learner.learning.learner import Learner
from learner.learning.training import StepReport

Train = Callable[
    [Sequence[tuple[Learner, Sequence[Problem]]]], Sequence[tuple[Learner, StepReport]]
]
Progress = Callable[[int, int], object]

ROUNDS = 8  # moves of the start
INNER_STEPS = 3  # optimiser steps on a family in each round
PROBLEMS_PER_STEP = 4
EPISODES_PER_FAMILY = ROUNDS * INNER_STEPS * PROBLEMS_PER_STEP


def meta_starts(
    train: Train,
    starts: Sequence[tuple[Learner, Sequence[str]]],
    progress: Progress | None = None,
) -> list[torch.Tensor]:
    """A meta-learnt prompt [soft tokens, hidden] for each (fresh learner, families to learn on).

    ``progress(done, total)`` counts steps. Problems come from a stream that no run learns from, by
    the learner's seed.
    """
    prompts = [learner.prompt for learner, _ in starts]
    for round_ in range(ROUNDS):
        inner = [
            (i, family, replace(learner, prompt=prompts[i]))  # with the moments of a fresh one
            for i, (learner, families) in enumerate(starts)
            for family in families
        ]
        for step in range(INNER_STEPS):
            number = round_ * INNER_STEPS + step
            requests = [
                (learner, _problems(learner, [family], number)) for _, family, learner in inner
            ]
            learnt = [learner for learner, _ in train(requests)]
            inner = [
                (i, family, learner) for (i, family, _), learner in zip(inner, learnt, strict=True)
            ]
            if progress is not None:
                progress(number + 1, ROUNDS * INNER_STEPS)
        rate = 1 - round_ / ROUNDS
        for i, prompt in enumerate(prompts):
            ends = torch.stack([learner.prompt for j, _, learner in inner if j == i])
            prompts[i] = prompt + rate * (ends.mean(dim=0) - prompt)
    return prompts


def joint_starts(
    train: Train,
    starts: Sequence[tuple[Learner, Sequence[str]]],
    progress: Progress | None = None,
) -> list[torch.Tensor]:
    """As `meta_starts`, by ordinary training on the mixed families for as many episodes."""
    learners = [learner for learner, _ in starts]
    totals = [ROUNDS * INNER_STEPS * len(families) for _, families in starts]
    for number in range(max(totals)):
        members = [i for i, total in enumerate(totals) if number < total]
        requests = [(learners[i], _problems(learners[i], starts[i][1], number)) for i in members]
        for i, (learner, _) in zip(members, train(requests), strict=True):
            learners[i] = learner
        if progress is not None:
            progress(number + 1, max(totals))
    return [learner.prompt for learner in learners]


def _problems(learner: Learner, families: Sequence[str], step: int) -> list[Problem]:
    lessons = stream(-2 - learner.config.seed, "train", families, start=step * PROBLEMS_PER_STEP)
    return list(islice(lessons, PROBLEMS_PER_STEP))
