"""Measuring: many soft prompts on sets of problems, answered in the same passes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from arena import Problem, grade
from learner.evaluation import Answerer
from learner.experiments.lessons import SHARED
from learner.marks import letter
from learner.model.completion import Ask
from learner.model.formatting import Examples

ROWS_PER_PASS = 128


@dataclass(frozen=True, eq=False)
class Sitting:
    """A set of problems to answer in one format, behind soft prompts, or without (no prompts).

    ``prompts`` [soft tokens, hidden] go by family, or there is one for all, under ``SHARED``.
    ``examples`` are worked examples before every question.
    """

    problems: tuple[Problem, ...]
    chat_template: bool
    prompts: Mapping[str, torch.Tensor]
    examples: Examples = ()

    def ask(self, problem: Problem) -> Ask:
        """The problem as a question behind its soft prompt."""
        prompt = self.prompts.get(problem.family, self.prompts.get(SHARED))
        return Ask(problem.question, self.chat_template, prompt, self.examples)


def sit(
    answer: Answerer,
    sittings: Sequence[Sitting],
    progress: Callable[[int, int], object] | None = None,
    rows_per_pass: int = ROWS_PER_PASS,
) -> list[str]:
    """The outcomes of every sitting, a letter a problem as in `learner.marks`.

    ``progress(done, total)`` is called after each pass. Questions of similar length are answered
    together, whichever sitting they belong to. Raises what ``answer`` raises.
    """
    rows = [(i, problem) for i, sitting in enumerate(sittings) for problem in sitting.problems]
    order = sorted(range(len(rows)), key=lambda row: len(rows[row][1].question))
    letters = [""] * len(rows)
    for start in range(0, len(order), rows_per_pass):
        members = order[start : start + rows_per_pass]
        asks = [sittings[i].ask(problem) for i, problem in (rows[row] for row in members)]
        for row, completion in zip(members, answer(asks), strict=True):
            letters[row] = letter(grade(rows[row][1], completion.text))
        if progress is not None:
            progress(start + len(members), len(order))
    outcomes = iter(letters)
    return ["".join(next(outcomes) for _ in sitting.problems) for sitting in sittings]
