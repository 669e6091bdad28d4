"""Measuring: soft prompts asked about problems, what they say graded, and counted in one tally.

Whoever wants to know how well a soft prompt does (an exam of the app, a command, a push, an
experiment) measures it here, in the format and behind the worked examples that it learnt with. Many
soft prompts are asked together, and scores grow while answers come in: always over the first
problems of a set, whose order says nothing about how hard they are, so that half a score is an
estimate of the whole.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, TypeVar

import torch

from arena import Grade, Problem, grade
from arena.statistics import Interval, McNemar, mcnemar_exact, wilson
from learner.learning.learner import Learner
from learner.learning.reward import MAX_SAMPLE_TOKENS
from learner.learning.worked_examples import worked_examples
from learner.model.base_model import BaseModel
from learner.model.completion import Ask, Completion, complete
from learner.model.decoding_cache import Prefixes
from learner.model.formatting import Examples

Answers = Callable[[Sequence[Ask]], Iterable[Sequence[Completion]]]
"""Answers questions that are asked together: what all of them have got so far, again and again, the
last time all of it. `answers_of` a base model, or a service's ``ask``."""

SHARED = "all"  # the name of the one soft prompt that answers every family
RIGHT, WRONG, NO_ANSWER = "1", "0", "-"
ROWS_PER_PASS = {"cpu": 128, "cuda": 512}  # on a model of one's own, by its kind of device
ASKED_AT_ONCE = 512  # of a service, which has to remember them

Key = TypeVar("Key", bound=Hashable)
Keep = Callable[[int, int, "Written"], object]
"""Told of every answer once, when it is graded: the measurement's number, the problem's place in
it, and what was written."""

_NOTHING_YET = Completion(text="", tokens=0, finished=False, seconds=0.0)


class Stopped(Exception):
    """Somebody asked for it to end before its time; the message says what is kept, if anything."""


@dataclass(frozen=True)
class Written:
    """What the model wrote to a problem, and its grade."""

    problem: Problem
    completion: str
    grade: Grade

    @property
    def outcome(self) -> str:
        """The letter of the grade: right, wrong, or no answer."""
        return letter(self.grade)


@dataclass(frozen=True)
class Tally:
    """How many of ``n`` were ``correct``, and how many gave no answer that could be read.

    Raises ValueError if the counts cannot be.
    """

    correct: int
    n: int
    no_answer: int = 0

    def __post_init__(self) -> None:
        if not (self.correct >= 0 and 0 <= self.no_answer <= self.n - self.correct):
            raise ValueError(
                f"{self.correct} right and {self.no_answer} unanswered of {self.n} problems is "
                "not a score."
            )

    @property
    def accuracy(self) -> float:
        return self.correct / self.n

    @property
    def interval(self) -> Interval:
        """The 95 % Wilson interval of the accuracy."""
        return wilson(self.correct, self.n)


@dataclass(frozen=True)
class Score(Tally):
    """How a fixed set of problems was answered, after so many ``episodes`` of learning.

    ``outcomes`` has a letter for each problem, in order: 1 right, 0 wrong, - no answer; it is empty
    where only counts are known. Any two scores of one set are paired. Small enough to be kept by
    the hundred.
    """

    outcomes: str = ""
    chat_template: bool = False
    episodes: int = 0

    @property
    def right(self) -> tuple[bool, ...]:
        """Whether each was right, for pairing with other scores."""
        return tuple(outcome == RIGHT for outcome in self.outcomes)

    @property
    def kept(self) -> dict[str, Any]:
        """What `score_of` makes it of again, as plain JSON values."""
        names = "outcomes", "chat_template", "episodes"
        return {name: getattr(self, name) for name in names}

    def by(self, keys: Sequence[Key]) -> dict[Key, Tally]:
        """A tally for each distinct key, in order; ``keys`` has one for each problem."""
        groups: dict[Key, str] = {}
        for key, outcome in zip(keys, self.outcomes, strict=True):
            groups[key] = groups.get(key, "") + outcome
        return {key: tally(groups[key]) for key in sorted(groups, key=str)}

    def first(self, n: int) -> "Score":
        """The score on the first ``n`` problems, for pairing with one that has no more."""
        return score_of(self.outcomes[:n], self.chat_template, self.episodes)

    def since(self, before: "Score | None") -> McNemar | None:
        """What was gained and lost since ``before``, on the problems that both have, if any."""
        both = min(before.n, self.n) if before else 0
        if before is None or not both:
            return None
        return mcnemar_exact(before.first(both).right, self.first(both).right)

    def by_family(self, problems: Sequence[Problem]) -> dict[str, Tally]:
        """A tally for each family, by name; ``problems`` is the set whose first were answered."""
        return self.by([problem.family for problem in problems[: len(self.outcomes)]])


@dataclass(frozen=True, eq=False)
class Measurement:
    """Problems to ask in one format, behind soft prompts, or of the model alone (no prompts).

    ``prompts`` [soft tokens, hidden] go by family, or there is one for all, under ``SHARED``.
    ``examples`` are worked examples before every question; ``episodes`` is what was learnt so far.
    """

    problems: Sequence[Problem]
    chat_template: bool
    prompts: Mapping[str, torch.Tensor] = field(default_factory=dict)
    examples: Examples = ()
    episodes: int = 0

    def ask(self, problem: Problem) -> Ask:
        """The problem as a question behind its soft prompt."""
        prompt = self.prompts.get(problem.family, self.prompts.get(SHARED))
        return Ask(problem.question, self.chat_template, prompt, self.examples)


def behind(
    learners: Learner | Mapping[str, Learner],
    problems: Sequence[Problem],
    chat_template: bool | None = None,
) -> Measurement:
    """``problems`` asked of a learner, or of one for each family, as they learnt.

    That is in their format, unless ``chat_template`` says in which, and behind their worked
    examples.
    """
    named = {SHARED: learners} if isinstance(learners, Learner) else learners
    first = next(iter(named.values()))
    return Measurement(
        problems,
        first.config.chat_template if chat_template is None else chat_template,
        {name: learner.prompt for name, learner in named.items()},
        worked_examples(first.config.shots),
        sum(learner.episodes for learner in named.values()),
    )


def answers_of(base_model: BaseModel, rows_per_pass: int | None = None) -> Answers:
    """Answers on a model of one's own, questions of similar length together.

    Each prefix is read once, however many passes there are.
    """
    prefixes = Prefixes()
    rows_per_pass = rows_per_pass or ROWS_PER_PASS[base_model.device.type]

    def answers(asks: Sequence[Ask]) -> Iterator[Sequence[Completion]]:
        written = [_NOTHING_YET] * len(asks)
        order = sorted(range(len(asks)), key=lambda row: len(asks[row].question))
        for start in range(0, len(order), rows_per_pass):
            rows = order[start : start + rows_per_pass]
            completions = complete(
                base_model, [asks[row] for row in rows], MAX_SAMPLE_TOKENS, prefixes
            )
            for row, completion in zip(rows, completions, strict=True):
                written[row] = completion
            yield written

    return answers


def measure(
    answers: Answers, measurements: Sequence[Measurement], keep: Keep | None = None
) -> Iterator[list[Score]]:
    """The scores of all measurements as they grow: whole in the end, and empty at first.

    The first problems of all are asked first. Whoever stops reading stops the answering. Raises
    ValueError if there is nothing to ask, and what ``answers`` raises.
    """
    for outcomes in _graded(answers, measurements, keep):
        yield _scores(measurements, ["".join(takewhile(bool, row)) for row in outcomes])


def measured(
    answers: Answers,
    measurements: Sequence[Measurement],
    progress: Callable[[int, int], object] | None = None,
    keep: Keep | None = None,
) -> list[Score]:
    """The whole scores; ``progress(done, total)`` counts problems. Raises as `measure`."""
    outcomes: list[list[str]] = []
    for outcomes in _graded(answers, measurements, keep):
        if progress is not None:
            done = sum(letter != "" for row in outcomes for letter in row)
            progress(done, sum(map(len, outcomes)))
    return _scores(measurements, ["".join(row) for row in outcomes])


def _graded(
    answers: Answers, measurements: Sequence[Measurement], keep: Keep | None
) -> Iterator[list[list[str]]]:
    """The letter of every problem of every measurement, again and again; "" of those to come."""
    outcomes = [[""] * len(one.problems) for one in measurements]
    rows = sorted((place, i) for i, row in enumerate(outcomes) for place in range(len(row)))
    if not rows:
        raise ValueError("There are no problems to measure on.")

    def learn(i: int, place: int, completion: Completion) -> None:
        problem = measurements[i].problems[place]
        written = Written(problem, completion.text, grade(problem, completion.text))
        outcomes[i][place] = written.outcome
        if keep is not None:
            keep(i, place, written)

    for start in range(0, len(rows), ASKED_AT_ONCE):
        asked = rows[start : start + ASKED_AT_ONCE]
        asks = [measurements[i].ask(measurements[i].problems[place]) for place, i in asked]
        completions: Sequence[Completion] = ()
        for completions in answers(asks):
            for (place, i), completion in zip(asked, completions, strict=True):
                ended = completion.finished or completion.tokens >= MAX_SAMPLE_TOKENS
                if ended and not outcomes[i][place]:
                    learn(i, place, completion)
            yield outcomes
        for (place, i), completion in zip(asked, completions, strict=True):
            if not outcomes[i][place]:  # it was not given the room to come to an end
                learn(i, place, completion)
    yield outcomes


def letter(grade: Grade) -> str:
    """The letter for a verdict."""
    if grade.extracted is None:
        return NO_ANSWER
    return RIGHT if grade.correct else WRONG


def tally(outcomes: str) -> Tally:
    """How many of these letters are right, and how many no answer."""
    return Tally(outcomes.count(RIGHT), len(outcomes), outcomes.count(NO_ANSWER))


def score_of(outcomes: str, chat_template: bool, episodes: int = 0) -> Score:
    """The score that these letters are."""
    whole = tally(outcomes)
    return Score(whole.correct, whole.n, whole.no_answer, outcomes, chat_template, episodes)


def _scores(measurements: Sequence[Measurement], outcomes: Sequence[str]) -> list[Score]:
    return [
        score_of(letters, one.chat_template, one.episodes)
        for letters, one in zip(outcomes, measurements, strict=True)
    ]
