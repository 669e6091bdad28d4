"""Reward step: what a step costs that tries and is graded, against one that is told the answers.

The same learner, the same four problems: once their gold answers, once eight sampled completions of
each, graded, and the policy gradient of those. The problems are the first ones at which some tries
are right and some wrong, so that there is a backward pass; where all agree a step is the sampling
alone. Before anything is timed, the gradient is shown to be that of every sample as a whole row of
its own, with nothing shared and no two of them run as one.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

import torch

from arena import Problem, stream
from learner.learning.gradients import find_gradients
from learner.learning.learner import Learner, LearnerConfig, new_learner
from learner.learning.reward import draw_groups
from learner.learning.step_report import StepReport
from learner.learning.targets import Target, encode_for
from learner.learning.training import train_step
from learner.model.base_model import BaseModel
from learner.model.turns import finished
from tests.benchmarks.models import EMBEDDED, base_model
from tests.benchmarks.timing import (
    DifferentWork,
    Line,
    Setting,
    Spread,
    duration,
    measure_in_turn,
    require_close,
    short,
)

PROBLEMS, SAMPLES = 4, 8
BATCHES = 50  # of problems to look through
GRADIENT_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.15}


def run(setting: Setting) -> Iterator[Line | str]:
    for dtype in setting.dtypes[: 1 if setting.small else None]:
        base = base_model(EMBEDDED, dtype, setting.device)
        reward = learner(base, "reward")
        answer, mix = learner(base, "answer"), learner(base, "mix")
        chosen, report = problems_with_signal(base, reward)
        check_gradient(base, reward, chosen, report)
        samples = measure_in_turn(
            {
                "answer": lambda: train_step(base, answer, chosen),  # noqa: B023 - called at once
                "reward": lambda: train_step(base, reward, chosen),  # noqa: B023
                "mix": lambda: train_step(base, mix, chosen),  # noqa: B023
                "sampling and grading": lambda: finished(draw_groups(base, [(reward, chosen)])),  # noqa: B023
            },
            setting,
        )
        for name in ("reward", "mix", "sampling and grading"):
            yield costs(f"{PROBLEMS} problems, {short(dtype)}", samples, name)
        drawn = report.samples
        assert drawn is not None
        yield (
            f"{short(dtype)}: {SAMPLES} tries each, {drawn.length:.1f} tokens a try, "
            f"{drawn.correct} of {drawn.samples} right, {drawn.with_signal} of {drawn.problems} "
            "problems with right and wrong ones."
        )


def learner(base: BaseModel, signal: str) -> Learner:
    """A learner in the chat format, in which the embedded model is right and wrong by turns."""
    config = LearnerConfig(
        chat_template=True, signal=signal, samples_per_problem=SAMPLES, max_grad_norm=1e9
    )
    return new_learner(base, config)


def problems_with_signal(base: BaseModel, reward: Learner) -> tuple[list[Problem], StepReport]:
    """The first problems of which half or more tell tries apart, and the step on them."""
    lessons = stream(0, "train")
    for _ in range(BATCHES):
        chosen = list(islice(lessons, PROBLEMS))
        _, report = train_step(base, reward, chosen)
        if report.samples is not None and 2 * report.samples.with_signal >= PROBLEMS:
            return chosen, report
    raise DifferentWork(f"no {PROBLEMS} problems of {BATCHES * PROBLEMS} tell tries apart")


def check_gradient(
    base: BaseModel, reward: Learner, chosen: Sequence[Problem], report: StepReport
) -> None:
    """Raise DifferentWork unless whole rows, one a sample, have the gradient of the step."""
    tokens = sum(len(one.completion.ids) for group in report.groups for one in group.samples)
    whole = []
    for problem, group in zip(chosen, report.groups, strict=True):
        row = encode_for(base, reward, problem.question, None)
        for sample, advantage in zip(group.samples, group.advantages, strict=True):
            ids = sample.completion.ids
            text = row.head + row.question + ids[:-1]
            whole.append(Target((), text, ids, (advantage / tokens,) * len(ids)))
    stepped, _ = train_step(base, reward, chosen)
    (found,) = finished(find_gradients(base, [(reward.prompt, whole)]))
    gradient = stepped.first_moment / 0.1  # what Adam's first step keeps of it
    require_close("gradient", gradient, found.gradient, GRADIENT_TOLERANCE[base.dtype])


def costs(case: str, samples: dict[str, list[float]], name: str) -> Line:
    """How many times an answer-key step it takes."""
    ratios = [mine / told for mine, told in zip(samples[name], samples["answer"], strict=True)]
    took, told = (Spread.of(samples[one]).median for one in (name, "answer"))
    return Line(
        f"{case}: {name}",
        duration(took),
        f"{duration(told)} answer key",
        Spread.of(ratios),
        unit="× as long",
        samples={one: samples[one] for one in (name, "answer")},
    )
