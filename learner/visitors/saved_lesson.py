"""What a lesson leaves in its session's notes, so that a reload or a restart finds it again."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from arena import Problem
from learner.measuring import Score, score_of
from learner.visitors.own_list import OwnList
from learner.visitors.own_list import from_json as list_from_json


@dataclass(frozen=True)
class SavedLesson:
    """The problem shown, how it is learnt, the results, the problems learnt from.

    ``chat_template`` is the format that is learnt in, ``signal`` what the learner is told,
    ``place`` the number of the problem in the visitor's stream, None for one's own question, and
    ``own_list`` what the visitor asks and answers themselves.
    ``learning_rate`` and ``episodes_per_step`` are how it steps (None: as its settings say).
    ``running`` is, while a run is on, how many episodes it was asked for, and how many the learner
    had learnt from before it.
    """

    problem: Problem | None = None
    chat_template: bool = False
    results: tuple[Score, ...] = ()
    learnt: tuple[str, ...] = ()
    signal: str = "answer"
    place: int | None = None
    own_list: OwnList = field(default_factory=OwnList)
    learning_rate: float | None = None
    episodes_per_step: int | None = None
    running: tuple[int, ...] = ()


def to_json(saved: SavedLesson) -> dict[str, object]:
    """As plain JSON values."""
    return {
        "problem": saved.problem and asdict(saved.problem),
        "chat_template": saved.chat_template,
        "marks": [score.kept for score in saved.results],
        "learnt": list(saved.learnt),
        "signal": saved.signal,
        "place": saved.place,
        "own_list": saved.own_list.to_json(),
        "learning_rate": saved.learning_rate,
        "episodes_per_step": saved.episodes_per_step,
        "running": list(saved.running),
    }


def from_json(notes: Mapping[str, Any], problems: int) -> SavedLesson:
    """What `to_json` made; results over more held-out problems than these are left out."""
    problem = notes.get("problem")
    results = [score_of(**values) for values in notes.get("marks", ())]
    return SavedLesson(
        problem and Problem(**{**problem, "choices": tuple(problem["choices"])}),
        notes.get("chat_template", False),
        tuple(one for one in results if 0 < one.n <= problems),
        tuple(notes.get("learnt", ())),
        notes.get("signal", "answer"),
        notes.get("place"),
        list_from_json(notes.get("own_list", {})),
        notes.get("learning_rate"),
        notes.get("episodes_per_step"),
        tuple(notes.get("running", ())),
    )
