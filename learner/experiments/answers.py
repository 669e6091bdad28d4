"""Answers side by side: what was written to each problem before learning and after it.

Pure functions of a run's completions. What changed comes first, for that is what a person looks
for; within that the problems stand in the order of their set.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from learner.experiments.completions import GRADES, SOFT_PROMPT, Line
from learner.experiments.results import Results
from learner.measuring import RIGHT

GAINED, LOST, REWORDED, SAME = "gained", "lost", "in other words", "the same"
CHANGES = (GAINED, LOST, REWORDED, SAME)
"""What can become of an answer, what matters most first."""


@dataclass(frozen=True)
class Pair:
    """One problem's answers: ``before``, and ``after`` so many episodes.

    ``right_since`` says after how many episodes it was right and stayed so, where that is known.
    """

    before: Line
    after: Line
    right_since: int | None = None

    @property
    def change(self) -> str:
        """One of ``CHANGES``."""
        then, now = (line.grade == GRADES[RIGHT] for line in (self.before, self.after))
        if then != now:
            return GAINED if now else LOST
        same = self.before.completion.split() == self.after.completion.split()
        return SAME if same else REWORDED


ALL, CHANGED = "all", "changed"
SHOWN = (ALL, CHANGED, GAINED, LOST, *GRADES.values())
"""Which pairs can be asked for; grades are those after learning."""


def chosen(pairs: Sequence[Pair], shown: str, family: str | None) -> list[Pair]:
    """Those of them that are to be ``shown``, one of ``SHOWN``, and of a family, or of any."""

    def wanted(pair: Pair) -> bool:
        kinds = (ALL, pair.change, pair.after.grade, *[CHANGED] * (pair.change != SAME))
        return shown in kinds and family in (None, pair.after.family)

    return [pair for pair in pairs if wanted(pair)]


def pairs_of(
    lines: Sequence[Line], beside: str = SOFT_PROMPT, results: Results | None = None
) -> list[Pair]:
    """The held-out answers of the latest exam beside those before any learning.

    ``beside`` says whose those are: the soft prompt's, or a baseline's. None before anything was
    learnt. ``results`` of the same run tell since when each was right.
    """
    asked = [line for line in lines if line.split == "held-out"]
    last = max((line.episodes for line in asked), default=0)
    if not last:
        return []
    before = {line.key: line for line in asked if line.episodes == 0 and line.asked_of == beside}
    since = _right_since(results) if results else {}
    pairs = [
        Pair(before[line.key], line, since.get(line.key))
        for line in asked
        if line.episodes == last and line.key in before
    ]
    return sorted(pairs, key=lambda pair: CHANGES.index(pair.change))


def _right_since(results: Results) -> dict[str, int]:
    """After how many episodes each problem was right and stayed so, by its key."""
    since: dict[str, int] = {}
    for score in results.curve:
        for key, right in zip(results.problems, score.right, strict=False):
            if not right:
                since.pop(key, None)
            else:
                since.setdefault(key, score.episodes)
    return since
