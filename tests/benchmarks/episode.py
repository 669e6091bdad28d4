"""Episode: learning from one problem and knowing the answer to it, against the original procedure.

The original takes problems one at a time in float32: loss and logits over the whole sequence, then
20 generated tokens to see what the model answers. The learner takes 8 in a step and reads off the
same pass whether each answer would have been right. Before anything is timed, in float32: the
original's logits give the same loss at the answer, and the tokens it generates say the same about
right and wrong.
"""

from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F

from arena import Problem
from learner.learning.learner import Learner, LearnerConfig, new_learner
from learner.learning.training import train_step
from learner.model.base_model import BaseModel
from learner.model.formatting import Encoded
from tests.benchmarks.models import base_model, encodings, lengths, problems
from tests.benchmarks.rivals import OriginalProcedure
from tests.benchmarks.timing import (
    Line,
    Setting,
    Target,
    compared,
    measure_in_turn,
    require_close,
    require_equal,
    short,
)

EPISODES = 8
NEW_TOKENS = 20


def run(setting: Setting) -> Iterator[Line | str]:
    exact = base_model(setting.shape, torch.float32, setting.device)
    chosen = problems(exact, EPISODES)
    rows = encodings(exact, chosen)
    learner = new_learner(exact, LearnerConfig(chat_template=True))
    check_same_episodes(exact, learner, chosen, rows)
    original = OriginalProcedure(exact, learner.prompt)

    def one_by_one() -> None:
        for row in rows:
            original.episode(row, NEW_TOKENS)

    bases = {
        short(dtype): base_model(setting.shape, dtype, setting.device) for dtype in setting.dtypes
    }
    contenders = {
        f"learner, {name}": partial(train_step, base, new_learner(base, learner.config), chosen)
        for name, base in bases.items()
    }
    rival = "original, float32"
    samples = measure_in_turn({**contenders, rival: one_by_one}, setting)
    for place, ours in enumerate(contenders):
        target = Target("≥", 20.0) if place == 0 else None
        yield compared(f"an episode, {EPISODES} a step", samples, ours, rival, target, EPISODES)
    yield f"{lengths(rows)}; the original generates {NEW_TOKENS} tokens after each."


def check_same_episodes(
    exact: BaseModel, learner: Learner, chosen: list[Problem], rows: list[Encoded]
) -> None:
    """Raise DifferentWork unless both find the same losses and the same answers right."""
    for problem, row in zip(chosen, rows, strict=True):
        _, report = train_step(exact, learner, [problem])
        original = OriginalProcedure(exact, learner.prompt)
        written = original.answer(row, NEW_TOKENS)
        require_equal(
            "greedy answer right", report.correct, (written[: len(row.answer)] == list(row.answer),)
        )
        logits = original.learn(row)[-len(row.answer) - 1 : -1].float()
        target = torch.tensor(row.answer, device=logits.device)
        require_close(
            "loss on the answer", report.loss, float(F.cross_entropy(logits, target)), 1e-4
        )
