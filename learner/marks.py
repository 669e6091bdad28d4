"""Marks: how each problem of a fixed set was answered, one letter a problem.

The same problems in the same order, so any two marks of one set are paired; small enough to be kept
by the hundred, in a session's notes and in an experiment's ``results.json``.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from arena import Grade, Problem
from learner.evaluation import Evaluation, Tally

RIGHT, WRONG, NO_ANSWER = "1", "0", "-"

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Marks:
    """How each problem of a set was answered, in its order.

    ``outcomes`` has a letter for each: 1 right, 0 wrong, - no answer. ``episodes`` is what the
    learner had learnt from by then (0 for the model alone).
    """

    outcomes: str
    chat_template: bool
    episodes: int = 0

    @property
    def right(self) -> tuple[bool, ...]:
        """Whether each was right, for pairing with other marks."""
        return tuple(outcome == RIGHT for outcome in self.outcomes)

    @property
    def tally(self) -> Tally:
        """How many were right, and how many gave no answer."""
        return tally(self.outcomes)

    def by_family(self, problems: Sequence[Problem]) -> dict[str, Tally]:
        """A tally for each family, by name; ``problems`` is the set that was answered."""
        return tallies([problem.family for problem in problems], self.outcomes)


def marks_of(evaluation: Evaluation, episodes: int = 0) -> Marks:
    """The marks of an evaluation, after so many ``episodes`` of learning."""
    letters = "".join(letter(outcome.grade) for outcome in evaluation.outcomes)
    return Marks(letters, evaluation.chat_template, episodes)


def letter(grade: Grade) -> str:
    """The letter for a verdict."""
    if grade.extracted is None:
        return NO_ANSWER
    return RIGHT if grade.correct else WRONG


def tally(outcomes: str) -> Tally:
    """How many of these letters are right, and how many no answer."""
    return Tally(outcomes.count(RIGHT), len(outcomes), outcomes.count(NO_ANSWER))


def tallies(keys: Sequence[Key], outcomes: str) -> dict[Key, Tally]:
    """A tally for each distinct key, in order; ``keys`` has one for each letter."""
    groups: dict[Key, str] = {}
    for key, outcome in zip(keys, outcomes, strict=True):
        groups[key] = groups.get(key, "") + outcome
    return {key: tally(groups[key]) for key in sorted(groups, key=str)}
