"""What a signal is: something that a learner can be told, and all that follows from it.

A new one is a file with a `Signal` in it, its name in `learner.learning.learner`, where settings
and checkpoints are checked, and an entry in `learner.learning.signals`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from arena.problem import Problem
from learner.learning.learner import Learner, LearnerConfig
from learner.learning.step_report import Group
from learner.learning.targets import Target
from learner.model.base_model import BaseModel

Told = Callable[[BaseModel, Learner, Sequence[Problem]], tuple[Target, ...]]
Earned = Callable[[BaseModel, Learner, Sequence[Group]], tuple[Target, ...]]


@dataclass(frozen=True)
class Signal:
    """Something a learner can be told, by the ``name`` that is stored; ``label`` offers it.

    ``told`` makes targets of the gold answers, before anything is sampled; ValueError if it cannot.
    ``earned`` makes targets of graded samples, which are drawn for it. None where there is neither.
    ``rows`` is how many rows of a pass a problem, or a mark, takes up. In a learner's history
    ``loss`` says what a step's loss is, with its unit, and ``right`` what its ``correct`` of
    ``total`` are; None where they are nobody's skill.
    """

    name: str
    label: str
    rows: Callable[[LearnerConfig], int]
    loss: str
    right: str | None
    told: Told | None = None
    earned: Earned | None = None
