"""A service that answers from a script, so that lessons can be tested without a model."""

import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace

import torch

from arena import Grade, Problem
from learner.learning.learner import Learner, LearnerConfig, StepRecord
from learner.learning.step_report import Group, Marked, Sample, StepReport
from learner.learning.thumbs import Thumbs
from learner.learning.training import Material
from learner.model.base_model import ModelFacts
from learner.model.completion import Ask, Completion
from learner.model.source import FOLDER, ModelSource
from learner.visitors.exam import Exam
from learner.visitors.lesson import Lesson
from learner.visitors.models import Models, Taught
from tests.coroutines import follow

HIDDEN = 16
SOURCE = ModelSource(FOLDER, "scripted", "1")
FACTS = ModelFacts(
    source=SOURCE,
    parameter_count=1,
    vocabulary_size=10,
    hidden_size=HIDDEN,
    layers=1,
    heads=1,
    context_length=2048,
    has_chat_template=True,
    embedding_spread=1.0,
    device=torch.device("cpu"),
    dtype=torch.float32,
)


def untrained(config: LearnerConfig | None = None) -> Learner:
    zeros = torch.zeros(8, HIDDEN)
    return Learner(config or LearnerConfig(), zeros, zeros, zeros, 0, 0, (), SOURCE)


def offered(service: "ScriptedService", exam: Exam) -> Models:
    """This one model to choose from."""
    models = Models([service.base_model.source])
    models.add(0, Taught(service, exam))
    return models


def looked_at(lesson: Lesson) -> Lesson:
    """Once somebody has looked at it and found all answers."""
    lesson.answer_first()
    return finished(lesson)


def finished(lesson: Lesson) -> Lesson:
    """Once no run is on and all answers are written."""
    for _ in follow(lesson, lambda: lesson.run is not None or lesson.comparison.answering):
        pass
    return lesson


def idle(lesson: Lesson) -> Lesson:
    """Once nothing goes on in it."""
    for _ in follow(lesson, lambda: lesson.busy):
        pass
    return lesson


def tried(problem: Problem, right: int, tries: int = 4) -> Group:
    """So many tries at a problem, the first of them right."""
    grades = [Grade(i < right, "Yes" if i < right else None, "") for i in range(tries)]
    done = [
        Completion("Yes" if grade.correct else "", 2, True, 0.1, (5, 6), 0.5) for grade in grades
    ]
    return Group(problem, tuple(map(Sample, done, grades)))


class ScriptedService:
    """Trains by counting. Says "Yes" behind a soft prompt that was trained, a blank otherwise.

    ``gate`` holds back every training step, and ``answer_gate`` every answer, until it is set, and
    ``at_gate`` says that a step has come that far;
    ``error`` is raised by the next training step. Of the tries at a problem ``right`` are right, of
    four; sampled completions are one of ``variety`` texts; a person's marks do what they should.
    """

    base_model = FACTS

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.at_gate = threading.Event()
        self.answer_gate = threading.Event()
        self.gate.set()
        self.answer_gate.set()
        self.error: Exception | None = None
        self.right = 2
        self.variety = 9
        self.taught: list[Material] = []
        self.asked: list[Ask] = []

    def train(self, learner: Learner, problems: Sequence[Material], owner: str) -> Future:
        self.at_gate.set()
        assert self.gate.wait(10)
        future: Future = Future()
        if self.error is not None:
            future.set_exception(self.error)
            return future
        self.taught += problems
        episodes = learner.episodes + len(problems)
        report = self._report(learner, problems)
        if report.agreed:
            future.set_result((replace(learner, episodes=episodes), report))
            return future
        record = StepRecord(
            learner.steps + 1, episodes, 1.5, 0, len(problems), 1.0, learner.config.chat_template
        )
        taught = replace(
            learner,
            prompt=learner.prompt + 1,
            steps=learner.steps + 1,
            episodes=episodes,
            history=(*learner.history, record),
        )
        future.set_result((taught, report))
        return future

    def train_run(
        self, learner: Learner, steps: Sequence[Sequence[Material]], owner: str
    ) -> Generator[tuple[Learner, StepReport], None, None]:
        for problems in steps:
            learner, report = self.train(learner, problems, owner).result()
            yield learner, report

    def _report(self, learner: Learner, material: Sequence[Material]) -> StepReport:
        report = StepReport(1.5, 1.0, (False,) * len(material), True, "")
        (first, *_) = material
        if isinstance(first, Thumbs):
            marked = tuple(Marked(mark, 0.25, 0.25 + mark / 5) for mark in first.marks)
            return replace(report, correct=(), marked=marked)
        if learner.config.signal == "answer":
            return report
        groups = tuple(tried(problem, self.right) for problem in material)
        agreed = self.right in (0, 4)
        message = "Nothing to tell apart." if agreed else ""
        return replace(report, groups=groups, accepted=not agreed, agreed=agreed, message=message)

    def complete(self, asks: Sequence[Ask], max_new_tokens: int = 48) -> tuple[Completion, ...]:
        *_, last = self.ask(asks)
        return last

    def ask(
        self, asks: Sequence[Ask], max_new_tokens: int = 48
    ) -> Iterator[tuple[Completion, ...]]:
        self.asked += asks
        texts = [self._text(ask) for ask in asks]
        yield tuple(Completion(text[:2], 1, False, 0.01) for text in texts)
        assert self.answer_gate.wait(10)
        yield tuple(Completion(text, 2, True, 0.02, (5, len(text))) for text in texts)

    def _text(self, ask: Ask) -> str:
        if ask.seed is not None:
            return f" try {ask.seed % self.variety}"
        return " Yes" if ask.prompt is not None and ask.prompt.sum() > 0 else " ____"
