"""Evaluation: 20 problems answered and graded, against one ``generate`` each of 30 tokens.

The original procedure answers in float32, one problem after the other. Before anything is timed, in
float32: both write the same 30 tokens after every problem.
"""

from collections.abc import Iterator
from functools import partial

import torch

from arena import Problem
from learner.learning.learner import LearnerConfig, new_learner
from learner.measuring import SHARED, Measurement, measured
from learner.model.base_model import BaseModel
from learner.model.completion import Ask, complete
from learner.model.formatting import Encoded
from tests.benchmarks.models import base_model, encodings, lengths, problems
from tests.benchmarks.rivals import OriginalProcedure
from tests.benchmarks.timing import (
    Line,
    Setting,
    Target,
    compared,
    measure_in_turn,
    require_equal,
    short,
)

PROBLEMS = 20
NEW_TOKENS = 30


def run(setting: Setting) -> Iterator[Line | str]:
    exact = base_model(setting.shape, torch.float32, setting.device)
    chosen = problems(exact, 5 if setting.small else PROBLEMS)
    rows = encodings(exact, chosen)
    prompt = new_learner(exact, LearnerConfig(chat_template=True)).prompt
    original = OriginalProcedure(exact, prompt)
    check_same_answers(exact, prompt, chosen, rows, original)

    def one_by_one() -> None:
        for row in rows:
            original.answer(row, NEW_TOKENS)

    def ours(base: BaseModel) -> None:
        measured(
            lambda asks: [complete(base, asks, NEW_TOKENS)],
            [Measurement(chosen, True, {SHARED: prompt})],
        )

    bases = {
        short(dtype): base_model(setting.shape, dtype, setting.device) for dtype in setting.dtypes
    }
    contenders = {f"learner, {name}": partial(ours, base) for name, base in bases.items()}
    rival = "original, float32"
    samples = measure_in_turn({**contenders, rival: one_by_one}, setting)
    for place, name in enumerate(contenders):
        target = Target("≥", 15.0) if place == 0 else None
        yield compared(
            f"{len(rows)} problems, {NEW_TOKENS} tokens each", samples, name, rival, target
        )
    yield f"{lengths(rows)}."


def check_same_answers(
    exact: BaseModel,
    prompt: torch.Tensor,
    chosen: list[Problem],
    rows: list[Encoded],
    original: OriginalProcedure,
) -> None:
    """Raise DifferentWork unless both write the same tokens after every problem."""
    asks = [Ask(problem.question, True, prompt) for problem in chosen]
    for row, completion in zip(rows, complete(exact, asks, NEW_TOKENS), strict=True):
        require_equal("completion", list(completion.ids), original.answer(row, NEW_TOKENS))
