"""The arena: reasoning problems with one right answer each, and the grading of answers.

Pure Python. ``python -m arena`` prints a few problems to look at.
"""

from arena.families import FAMILIES
from arena.grading import Grade, grade
from arena.problem import Problem
from arena.sampling import DIFFICULTIES, held_out, split_of, stream

__all__ = [
    "DIFFICULTIES",
    "FAMILIES",
    "Grade",
    "Problem",
    "grade",
    "held_out",
    "split_of",
    "stream",
]
