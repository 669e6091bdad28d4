"""A demonstration as its address says it: the same link gives the same run to everybody.

A seed says which problems come in which order; a problem of the arena is named by its family,
difficulty and place among those of that seed. All of it follows from the link alone.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from arena import Problem, stream
from learner.visitors.checked_input import (
    checked_difficulty,
    checked_episodes,
    checked_families,
    checked_signal,
    own_problem,
)
from learner.visitors.lesson import Lesson

FORMATS = {"plain": False, "chat": True}
MAX_PLACE = 1_000_000

_WHOLE = re.compile(r"[0-9]{1,18}")
_PROBLEM = re.compile(r"([a-z_]+)-([1-5])-([0-9]{1,7})")


@dataclass(frozen=True)
class Demo:
    """What a link asks for; None where it says nothing.

    ``place`` is (family, difficulty, number) of a problem of the arena, ``own`` a question of one's
    own. ``family``, ``difficulty`` and ``episodes`` are what the page offers next.
    """

    seed: int | None = None
    family: str | None = None
    difficulty: int | None = None
    place: tuple[str, int, int] | None = None
    own: Problem | None = None
    chat_template: bool | None = None
    signal: str | None = None
    episodes: int | None = None
    story: bool = False


def read(
    parameters: Mapping[str, str], model: str, formats: Sequence[bool]
) -> tuple[Demo, list[str]]:
    """The demo that an address means, and the names of those parameters that make no sense here.

    ``model`` is the short name of the model that is served, ``formats`` are those that it knows.
    """
    demo = Demo(story="story" in parameters)
    nonsense = []
    for name, reader in _READERS.items():
        if name in parameters:
            try:
                demo = replace(demo, **reader(parameters[name]))
            except ValueError:
                nonsense.append(name)
    if "question" in parameters:
        try:
            demo = replace(demo, own=own_problem(parameters["question"], parameters.get("answer")))
        except ValueError:
            nonsense.append("question")
    if demo.chat_template not in (None, *formats):
        demo = replace(demo, chat_template=None)
        nonsense.append("format")
    if parameters.get("model", model) != model:
        nonsense.append("model")
    return demo, nonsense


def show(lesson: Lesson, demo: Demo, anew: bool = False) -> bool:
    """Show what a link asks for; whether a learner that had learnt something made way for it.

    A link that one is on already, as after a reload, changes nothing but what is different from it;
    ``anew`` starts it from its beginning all the same. Undo brings the old learner back. While a
    run is on nothing is changed.
    """
    if lesson.run is not None and not anew:
        return False
    had_learnt = lesson.learner.episodes > 0
    begins = demo.seed is not None and (anew or demo.seed != lesson.session.seed)
    if begins and demo.seed is not None:
        lesson.start_over(demo.seed)
    if demo.chat_template not in (None, lesson.chat_template):
        lesson.choose_format(demo.chat_template)
    if demo.signal not in (None, lesson.signal):
        lesson.choose_signal(demo.signal)
    shown = lesson.comparison.problem
    if demo.own is not None:
        if shown is None or demo.own.key != shown.key:
            lesson.show(demo.own)
    elif demo.place is not None and demo.place != place_of(lesson):
        family, difficulty, number = demo.place
        lesson.show_placed([family], difficulty, number)
    return begins and had_learnt


def place_of(lesson: Lesson) -> tuple[str, int, int] | None:
    """Where the problem shown is to be found with this lesson's seed; None for any other."""
    problem = lesson.comparison.problem
    if problem is None or lesson.place is None:
        return None
    return problem.family, problem.difficulty, lesson.place


def address(lesson: Lesson) -> dict[str, str]:
    """The parameters that bring others to this lesson, but for what only the page knows."""
    problem, place = lesson.comparison.problem, place_of(lesson)
    told = {"seed": str(lesson.session.seed)}
    if place is not None:
        told["problem"] = "-".join(map(str, place))
    elif problem is not None and problem.family == "own":
        told["question"] = problem.question
        told |= {"answer": problem.answer} if problem.answer else {}
    told |= {"format": "chat"} if lesson.chat_template else {}
    told |= {"signal": lesson.signal} if lesson.signal != "answer" else {}
    return told


def _seed(text: str) -> dict[str, Any]:
    return {"seed": _whole(text)}


def _family(text: str) -> dict[str, Any]:
    families = checked_families(text)
    return {"family": families[0] if families else None}


def _difficulty(text: str) -> dict[str, Any]:
    return {"difficulty": checked_difficulty(_whole(text))}


def _place(text: str) -> dict[str, Any]:
    found = _PROBLEM.fullmatch(text)
    if found is None or int(found[3]) > MAX_PLACE:
        raise ValueError(text)
    family, difficulty, number = found[1], int(found[2]), int(found[3])
    checked_families(family)
    next(stream(0, "held-out", [family], difficulty))  # whether there are such problems
    return {"place": (family, difficulty, number)}


def _format(text: str) -> dict[str, Any]:
    if text not in FORMATS:
        raise ValueError(text)
    return {"chat_template": FORMATS[text]}


def _signal(text: str) -> dict[str, Any]:
    return {"signal": checked_signal(text)}


def _episodes(text: str) -> dict[str, Any]:
    return {"episodes": checked_episodes(_whole(text))}


def _whole(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise ValueError(text)
    return int(text)


_READERS: dict[str, Callable[[str], dict[str, Any]]] = {
    "seed": _seed,
    "family": _family,
    "difficulty": _difficulty,
    "problem": _place,
    "format": _format,
    "signal": _signal,
    "episodes": _episodes,
}
