"""Precision: does the embedded model answer as well in bfloat16 as in float32?

The same held-out problems in both, paired by the exact test of McNemar: with the chat template on
the model alone, and in plain text behind a soft prompt of 80 episodes.
"""

from collections.abc import Iterator
from itertools import islice

from arena import held_out, stream
from arena.statistics import mcnemar_exact
from learner.learning.learner import Learner, LearnerConfig, new_learner
from learner.learning.training import train_step
from learner.measuring import Measurement, Score, answers_of, behind, measured
from learner.model.base_model import BaseModel
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
    for name, asked in (
        ("chat template, model alone", Measurement(problems, True)),
        (f"plain text, after {EPISODES} episodes", behind(taught(exact), problems)),
    ):
        (in_half,), (in_full,) = (measured(answers_of(base), [asked]) for base in (half, exact))
        change = mcnemar_exact(in_full.right, in_half.right)
        yield Line(
            f"{name}: {change.gained} gained, {change.lost} lost",
            f"{_accuracy(in_half)} bfloat16",
            f"{_accuracy(in_full)} float32",
            Spread.of([change.p_value]),
            unit="p",
            target=Target("≥", SIGNIFICANCE),
            samples={"gained, lost (problems)": [change.gained, change.lost]},
        )


def taught(base: BaseModel) -> Learner:
    """A learner that has learnt to answer in plain text."""
    learner = new_learner(base, LearnerConfig())
    lessons = stream(0, "train")
    while learner.episodes < EPISODES:
        learner, _ = train_step(base, learner, list(islice(lessons, 4)))
    return learner


def _accuracy(score: Score) -> str:
    interval = score.interval
    return f"{score.accuracy:.1%} [{interval.low:.1%}, {interval.high:.1%}] of {score.n}"
