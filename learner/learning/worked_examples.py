"""Worked examples to put before a question (few-shot prompting, Brown et al., 2020).

The same ``k`` examples for every question, learner and seed, so that they are part of the format,
and their keys and values, like those of the template's head, are computed once for many rows.
"""

from functools import lru_cache
from itertools import islice

from arena import stream

SEED = -1  # of their stream: no run learns from the same one
DIFFICULTY = 2  # they show what an answer looks like, and short ones leave room for the question


@lru_cache
def worked_examples(shots: int) -> tuple[tuple[str, str], ...]:
    """The first ``shots`` (question, right answer) of a train stream; each five, one a family."""
    return tuple(
        (problem.question, problem.answer)
        for problem in islice(stream(SEED, "train", difficulty=DIFFICULTY), shots)
    )
