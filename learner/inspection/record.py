"""An inspection as values that JSON can hold."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from arena import Problem
from arena.statistics import Interval
from learner.measuring import Tally


def as_record(value: Any) -> Any:
    """Any part of an inspection in objects, lists, numbers and texts.

    An interval is [low, high]; a score has its n, the count of right and unanswered problems, the
    accuracy and its interval.
    """
    if isinstance(value, Interval):
        return [value.low, value.high]
    if isinstance(value, Tally):
        return {
            "n": value.n,
            "correct": value.correct,
            "no_answer": value.no_answer,
            "accuracy": value.accuracy,
            "interval": as_record(value.interval),
        }
    if isinstance(value, Problem):
        return {
            "family": value.family,
            "difficulty": value.difficulty,
            "question": value.question,
            "answer": value.answer,
        }
    if is_dataclass(value):
        return {field.name: as_record(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_record(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_record(one) for one in value]
    return value
