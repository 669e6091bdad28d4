"""What a lesson leaves in its session's notes, so that a reload or a restart finds it again."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from arena import Problem
from learner.visitors.exam import Marks


@dataclass(frozen=True)
class Kept:
    """The problem on the board, how it is learnt, the results, the problems learnt from.

    ``chat_template`` is the format that is learnt in, ``signal`` what the learner is told.
    """

    problem: Problem | None = None
    chat_template: bool = False
    marks: tuple[Marks, ...] = ()
    learnt: tuple[str, ...] = ()
    signal: str = "answer"


def write(kept: Kept) -> dict[str, object]:
    """As plain JSON values."""
    return {
        "problem": kept.problem and asdict(kept.problem),
        "chat_template": kept.chat_template,
        "marks": [asdict(marks) for marks in kept.marks],
        "learnt": list(kept.learnt),
        "signal": kept.signal,
    }


def read(notes: Mapping[str, Any], problems: int) -> Kept:
    """What `write` wrote; results over another number of held-out ``problems`` are left out."""
    problem = notes.get("problem")
    marks = [Marks(**values) for values in notes.get("marks", ())]
    return Kept(
        problem and Problem(**{**problem, "choices": tuple(problem["choices"])}),
        notes.get("chat_template", False),
        tuple(one for one in marks if len(one.outcomes) == problems),
        tuple(notes.get("learnt", ())),
        notes.get("signal", "answer"),
    )
