"""A visitor's own questions with their answers: read line by line, and how they are answered."""

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from arena import Problem
from learner.learning.learner import Learner
from learner.measuring import Answers, Score, Written, behind, measure, score_of
from learner.visitors.checked_input import LessonError, own_problem

MAX_QUESTIONS = 50
MAX_CHARACTERS = 12_000  # together; they are kept with the session
_HEADER = ("question", "answer")


@dataclass(frozen=True)
class OwnList:
    """Questions of a visitor's own, and the latest learning from them.

    ``before`` and ``now`` have a letter for each question, as in `Score`, or nothing where it was
    not asked yet; ``episodes`` is what had been learnt from by then. ``said`` is what was written
    to each the last time; nothing after a restart.
    """

    problems: tuple[Problem, ...] = ()
    chat_template: bool = False
    before: str = ""
    now: str = ""
    episodes: tuple[int, int] = (0, 0)
    said: tuple[str, ...] = ()

    @property
    def scores(self) -> tuple[Score | None, Score | None]:
        """How well they were answered before, and now."""
        before, now = (
            score_of(letters, self.chat_template, episodes) if letters else None
            for letters, episodes in zip((self.before, self.now), self.episodes, strict=True)
        )
        return before, now

    def asked_of(
        self, learner: Learner, answers: Answers, stopped: Callable[[], bool]
    ) -> list[Written]:
        """What this learner writes to each question; [] if it was ``stopped`` before the end."""
        written: dict[int, Written] = {}

        def keep(_: int, place: int, one: Written) -> None:
            written[place] = one

        for _ in measure(answers, [behind(learner, self.problems)], keep):
            if stopped():
                return []
        return [written[place] for place in range(len(self.problems))]

    def asked_before(self, written: list[Written], chat_template: bool, episodes: int) -> "OwnList":
        """As they are answered before learning from them."""
        letters = "".join(one.outcome for one in written)
        return OwnList(self.problems, chat_template, letters, "", (episodes, 0))

    def asked_now(self, written: list[Written], episodes: int) -> "OwnList":
        """As they are answered after it."""
        return replace(
            self,
            now="".join(one.outcome for one in written),
            episodes=(self.episodes[0], episodes),
            said=tuple(one.completion.strip() for one in written),
        )

    def forgotten(self) -> "OwnList":
        """The questions alone: somebody else would answer them now."""
        return OwnList(self.problems)

    def passes(self, times: int, seed: int) -> Iterator[Problem]:
        """The questions so many times over, each time in another order."""
        for turn in range(times):
            order = list(self.problems)
            Random(f"{seed}/{turn}").shuffle(order)
            yield from order

    def to_json(self) -> dict[str, object]:
        """As plain JSON values, without what was said."""
        return {
            "questions": [[problem.question, problem.answer] for problem in self.problems],
            "chat_template": self.chat_template,
            "before": self.before,
            "now": self.now,
            "episodes": list(self.episodes),
        }


def from_json(kept: Mapping[str, Any]) -> OwnList:
    """What `OwnList.to_json` made."""
    problems = tuple(own_problem(*pair) for pair in kept.get("questions", ()))
    if not problems:
        return OwnList()
    before, now = kept["episodes"]
    return OwnList(problems, kept["chat_template"], kept["before"], kept["now"], (before, now))


def read_list(text: object) -> tuple[Problem, ...]:
    """The questions in lines that a person wrote, or in those of a CSV file.

    A line is a question and its answer, apart by a tab, "|", the question's own "?", ";" or ",".
    Raises LessonError, with the line's number, for the first that cannot be used.
    """
    if not isinstance(text, str):
        raise LessonError("A list is lines of text.")
    lines = [(n, line.strip()) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    if lines and tuple(part.casefold() for part in _parts(lines[0][1])) == _HEADER:
        lines = lines[1:]
    if not lines:
        raise LessonError("Write at least one question with its answer, each in a line of its own.")
    if len(lines) > MAX_QUESTIONS:
        raise LessonError(
            f"Line {lines[MAX_QUESTIONS][0]}: a list has at most {MAX_QUESTIONS} questions."
        )
    problems: dict[str, tuple[int, Problem]] = {}
    characters = 0
    for number, line in lines:
        question, answer = _parts(line)
        if not answer:
            raise LessonError(
                f"Line {number}: there is no answer; write the question, then | and its answer."
            )
        try:
            problem = own_problem(question, answer)
        except LessonError as error:
            raise LessonError(f"Line {number}: {error}") from None
        if problem.key in problems:
            raise LessonError(
                f"Line {number}: it asks what line {problems[problem.key][0]} asks; leave one out."
            )
        characters += len(line)
        if characters > MAX_CHARACTERS:
            raise LessonError(
                f"Line {number}: a list has at most {MAX_CHARACTERS:,} characters; shorten it."
            )
        problems[problem.key] = number, problem
    return tuple(problem for _, problem in problems.values())


def as_lines(problems: tuple[Problem, ...]) -> str:
    """Questions as lines that `read_list` reads."""
    return "\n".join(f"{problem.question} | {problem.answer}" for problem in problems)


def _parts(line: str) -> tuple[str, str]:
    """A line's question and answer; an empty answer where there is none."""
    for mark in ("\t", "|"):
        if mark in line:
            question, _, answer = line.rpartition(mark)
            return question.strip(), answer.strip()
    if line.startswith('"'):
        cells = next(csv.reader([line]))
        return (cells[0].strip(), cells[1].strip()) if len(cells) == 2 else (line, "")
    asked = re.fullmatch(r"(.*\?)[\s,;:=]*(.*)", line)
    if asked and asked[2]:
        return asked[1], asked[2]
    for mark in (";", ","):
        if mark in line and not asked:
            question, _, answer = line.rpartition(mark)
            return question.strip(), answer.strip()
    return line, ""
