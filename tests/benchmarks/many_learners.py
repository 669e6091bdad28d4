"""Many learners: 16 learners with a problem each, merged into one step, against 16 steps in turn.

What visitors of one app ask for at the same moment. Before anything is timed, merged and single
steps find the same losses and gradients.
"""

from collections.abc import Iterator, Sequence

import torch

from arena import Problem
from learner.learning.learner import Learner, LearnerConfig, new_learner
from learner.learning.training import train_step, train_steps
from learner.model.base_model import BaseModel
from tests.benchmarks.models import EMBEDDED, base_model, encodings, lengths, problems
from tests.benchmarks.timing import (
    Line,
    Setting,
    Target,
    compared,
    measure_in_turn,
    require_close,
    require_close_loss,
    short,
)

LEARNERS = 16
LOSS_TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 5e-2}
GRADIENT_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.1}

Requests = Sequence[tuple[Learner, Sequence[Problem]]]


def run(setting: Setting) -> Iterator[Line | str]:
    learners = 4 if setting.small else LEARNERS
    for shape in (EMBEDDED, setting.shape):
        for dtype in setting.dtypes:
            base = base_model(shape, dtype, setting.device)
            requests = one_problem_each(base, learners)
            for _ in range(2):  # on CUDA the second time as graphs
                check_same_steps(base, requests)
            samples = measure_in_turn(
                {
                    "merged": lambda: train_steps(base, requests),  # noqa: B023 - called at once
                    "in turn": lambda: in_turn(base, requests),  # noqa: B023
                },
                setting,
            )
            target = _target(shape, dtype, setting.device)
            case = f"{learners} learners, {shape}, {short(dtype)}"
            yield compared(case, samples, "merged", "in turn", target)
        yield f"{shape}: {lengths(encodings(base, problems(base, learners)))}."


def one_problem_each(base: BaseModel, learners: int) -> Requests:
    """A problem for each of several learners that start from different prompts."""
    return [
        (new_learner(base, LearnerConfig(chat_template=True, max_grad_norm=1e9, seed=i)), [problem])
        for i, problem in enumerate(problems(base, learners))
    ]


def in_turn(base: BaseModel, requests: Requests) -> None:
    for learner, chosen in requests:
        train_step(base, learner, chosen)


def check_same_steps(base: BaseModel, requests: Requests) -> None:
    """Raise DifferentWork unless merging changes nobody's loss or gradient."""
    merged = train_steps(base, requests)
    for (learner, chosen), (stepped, report) in zip(requests, merged, strict=True):
        alone, own = train_step(base, learner, chosen)
        require_close_loss("loss", report.loss, own.loss, LOSS_TOLERANCE[base.dtype])
        require_close(
            "gradient", stepped.first_moment, alone.first_moment, GRADIENT_TOLERANCE[base.dtype]
        )


def _target(shape: str, dtype: torch.dtype, device: torch.device) -> Target:
    """What this case should reach; on a GPU, steps of one problem leave most of it idle."""
    if device.type == "cuda" and shape != EMBEDDED:
        return Target("≥", 8.0)
    if shape == EMBEDDED and dtype == torch.bfloat16:
        return Target("≥", 1.5)
    return Target("≥", 1.0)  # never slower
