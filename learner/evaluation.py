"""Evaluation: a set of problems answered once, graded, and compared in pairs before and after."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from arena import Grade, Problem, grade
from arena.statistics import Interval, McNemar, mcnemar_exact, wilson
from learner.model.base_model import BaseModel
from learner.model.completion import Ask, Completion, complete
from learner.model.decoding_cache import Prefixes
from learner.model.formatting import Examples

Answerer = Callable[[Sequence[Ask]], Sequence[Completion]]


def answers_of(base_model: BaseModel) -> Answerer:
    """Answers on the bare model; each prefix is read once, however many passes there are."""
    return partial(complete, base_model, prefixes=Prefixes())


@dataclass(frozen=True)
class Outcome:
    """One problem, what was written, and the verdict."""

    problem: Problem
    completion: Completion
    grade: Grade


@dataclass(frozen=True)
class Tally:
    """How many of ``n`` were ``correct``, and how many gave no answer that could be read."""

    correct: int
    n: int
    no_answer: int

    @property
    def accuracy(self) -> float:
        return self.correct / self.n

    @property
    def interval(self) -> Interval:
        """The 95 % Wilson interval of the accuracy."""
        return wilson(self.correct, self.n)


@dataclass(frozen=True)
class Evaluation:
    """The outcomes of one evaluation, of at least one problem, in one format."""

    outcomes: tuple[Outcome, ...]
    chat_template: bool

    @property
    def tally(self) -> Tally:
        return _tally(self.outcomes)

    @property
    def n(self) -> int:
        return len(self.outcomes)

    @property
    def correct(self) -> int:
        return self.tally.correct

    @property
    def no_answer(self) -> int:
        """Completions from which no answer could be read; they count as wrong."""
        return self.tally.no_answer

    @property
    def accuracy(self) -> float:
        return self.tally.accuracy

    @property
    def interval(self) -> Interval:
        """The 95 % Wilson interval of the accuracy."""
        return self.tally.interval

    def by_family(self) -> dict[str, Tally]:
        """A tally for each family that was asked, in order of name."""
        return self._by(lambda problem: problem.family)

    def by_difficulty(self) -> dict[int, Tally]:
        """A tally for each difficulty that was asked, easiest first."""
        return self._by(lambda problem: problem.difficulty)

    def _by(self, key: Callable[[Problem], Hashable]) -> dict:
        groups: dict = {}
        for outcome in self.outcomes:
            groups.setdefault(key(outcome.problem), []).append(outcome)
        return {name: _tally(groups[name]) for name in sorted(groups)}


def evaluate(
    answerer: Answerer,
    problems: Sequence[Problem],
    prompt: torch.Tensor | None = None,
    chat_template: bool = False,
    rows_per_pass: int = 128,
    progress: Callable[[int, int], object] | None = None,
    examples: Examples = (),
) -> Evaluation:
    """Answer every problem, behind ``prompt`` [soft tokens, hidden] if there is one, and grade it.

    ``examples`` are worked examples before every question. ``answerer`` answers a batch, on the
    bare model (`answers_of` it) or through the service (`service.complete`).
    ``progress(done, total)`` is called after each pass. Problems of similar length are answered
    together; the outcomes are in the order of ``problems``. Raises ValueError if there are no
    problems, and whatever the answerer raises.
    """
    if not problems:
        raise ValueError("There are no problems to evaluate on.")
    order = sorted(range(len(problems)), key=lambda i: len(problems[i].question))
    completions: dict[int, Completion] = {}
    for start in range(0, len(order), rows_per_pass):
        members = order[start : start + rows_per_pass]
        asks = [Ask(problems[i].question, chat_template, prompt, examples) for i in members]
        completions.update(zip(members, answerer(asks), strict=True))
        if progress is not None:
            progress(len(completions), len(problems))
    return Evaluation(
        tuple(
            Outcome(problem, completions[i], grade(problem, completions[i].text))
            for i, problem in enumerate(problems)
        ),
        chat_template,
    )


def compare(before: Evaluation, after: Evaluation) -> McNemar:
    """Whether accuracy changed, by the exact paired test; ValueError if the problems differ."""
    if [o.problem.key for o in before.outcomes] != [o.problem.key for o in after.outcomes]:
        raise ValueError("Only evaluations on the same problems, in the same order, compare.")
    return mcnemar_exact(
        [outcome.grade.correct for outcome in before.outcomes],
        [outcome.grade.correct for outcome in after.outcomes],
    )


def _tally(outcomes: Sequence[Outcome]) -> Tally:
    return Tally(
        correct=sum(outcome.grade.correct for outcome in outcomes),
        n=len(outcomes),
        no_answer=sum(outcome.grade.extracted is None for outcome in outcomes),
    )
