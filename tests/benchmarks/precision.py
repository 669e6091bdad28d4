"""Precision: does the embedded model answer as well in bfloat16 as in float32?

The same held-out problems in both, paired by the exact test of McNemar: with the chat template on
the model alone, and in plain text behind a soft prompt of 80 episodes.
"""

from collections.abc import Iterator
from functools import partial
from itertools import islice

import torch

from arena import held_out, stream
from learner.evaluation import Evaluation, compare, evaluate
from learner.learning.learner import LearnerConfig, new_learner
from learner.learning.training import train_step
from learner.model.base_model import BaseModel
from learner.model.completion import complete
from tests.benchmarks.models import EMBEDDED, base_model
from tests.benchmarks.timing import Line, Setting, Spread, Target

EPISODES = 80
SIGNIFICANCE = 0.05


def run(setting: Setting) -> Iterator[Line | str]:
    if len(setting.dtypes) == 1:
        yield "Skipped: bfloat16 is not native here, so the app would not choose it."
        return
    half, exact = (base_model(EMBEDDED, dtype, setting.device) for dtype in setting.dtypes)
    problems = held_out(40 if setting.small else 500)
    taught = taught_prompt(exact)
    for name, prompt, chat_template in (
        ("chat template, model alone", None, True),
        (f"plain text, after {EPISODES} episodes", taught, False),
    ):
        in_half, in_full = (
            evaluate(partial(complete, base), problems, prompt, chat_template)
            for base in (half, exact)
        )
        change = compare(in_full, in_half)
        yield Line(
            f"{name}: {change.gained} gained, {change.lost} lost",
            f"{_accuracy(in_half)} bfloat16",
            f"{_accuracy(in_full)} float32",
            Spread.of([change.p_value]),
            unit="p",
            target=Target("≥", SIGNIFICANCE),
            samples={"gained, lost (problems)": [change.gained, change.lost]},
        )


def taught_prompt(base: BaseModel) -> torch.Tensor:
    """A soft prompt [soft tokens, hidden] that has learnt to answer in plain text."""
    learner = new_learner(base, LearnerConfig())
    lessons = stream(0, "train")
    while learner.episodes < EPISODES:
        learner, _ = train_step(base, learner, list(islice(lessons, 4)))
    return learner.prompt


def _accuracy(evaluation: Evaluation) -> str:
    interval = evaluation.interval
    return f"{evaluation.accuracy:.1%} [{interval.low:.1%}, {interval.high:.1%}] of {evaluation.n}"
