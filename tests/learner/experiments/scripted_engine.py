"""An engine whose learners learn by the book, in microseconds, so that runs can be tested whole."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch

from arena import FAMILIES, Grade, Problem, stream
from learner.experiments.engine import Engine
from learner.experiments.settings import Experiment
from learner.learning.learner import Learner, LearnerConfig, StepRecord, new_learner
from learner.learning.step_report import Group, Sample
from learner.learning.training import StepReport
from learner.model.completion import Ask, Completion
from tests.learner.tiny_models import build_base_model

SMALL = Experiment(
    config=LearnerConfig(soft_tokens=2, episodes_per_step=2),
    episodes=12,
    eval_interval=4,
    eval_problems=10,
    validation_problems=5,
)


class ScriptedEngine:
    """Every step adds a step to the first number of a prompt, and to what is answered rightly.

    A problem is answered once a prompt has taken as many steps as the problem is difficult; the
    model alone answers nothing, worked examples help with difficulty 1. Where a reward is told, one
    sample more than the steps taken is right, of the rest one gives no answer. Behind ``refusing``
    families' problems no step is adopted. ``stop_after`` passes Ctrl-C is pressed.
    """

    def __init__(self, refusing: str = "", stop_after: int | None = None) -> None:
        self.base_model = build_base_model("qwen2")
        self.refusing = refusing
        self.left = stop_after
        self.trained: list[list[tuple[Learner, tuple[Problem, ...]]]] = []
        self.asked: list[list[Ask]] = []
        self._answers: dict[str, Problem] = {}
        for split in ("held-out", "validation"):
            for families in (None, *([family] for family in FAMILIES)):
                lessons = stream(0, split, families)
                self._answers |= {p.question: p for p, _ in zip(lessons, range(60), strict=False)}

    @property
    def engine(self) -> Engine:
        fresh = partial(new_learner, self.base_model)
        return Engine(self.base_model, fresh, self.train, self.answers)

    def train(
        self, requests: Sequence[tuple[Learner, Sequence[Problem]]]
    ) -> list[tuple[Learner, StepReport]]:
        self._tick()
        self.trained.append([(learner, tuple(problems)) for learner, problems in requests])
        return [self._step(learner, problems) for learner, problems in requests]

    def answers(self, asks: Sequence[Ask]) -> Iterator[list[Completion]]:
        self._tick()
        self.asked.append(list(asks))
        yield [Completion(self._say(ask), 1, True, 0.0) for ask in asks]

    def _tick(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt

    def _step(self, learner: Learner, problems: Sequence[Problem]) -> tuple[Learner, StepReport]:
        correct = tuple(problem.difficulty <= learner.steps for problem in problems)
        loss = 1 / (1 + learner.steps)
        if any(problem.family == self.refusing for problem in problems):
            return learner, StepReport(float("nan"), float("nan"), (), False, "It was refused.")
        episodes = learner.episodes + len(problems)
        record = StepRecord(
            learner.steps + 1, episodes, loss, sum(correct), len(problems), 1.0, False
        )
        stepped = replace(
            learner,
            prompt=_marked(learner.steps + 1, learner),
            steps=learner.steps + 1,
            episodes=episodes,
            history=(*learner.history, record),
        )
        report = StepReport(loss, 1.0, correct, True, "")
        if learner.config.signal == "answer":
            return stepped, report
        groups = tuple(_tried(problem, learner) for problem in problems)
        told = correct if learner.config.signal == "mix" else ()
        return stepped, replace(report, correct=told, groups=groups)

    def _say(self, ask: Ask) -> str:
        problem = self._answers[ask.question]
        steps = 0.0 if ask.prompt is None else _steps(ask.prompt)
        skilled = problem.difficulty <= max(steps, bool(ask.examples))
        return problem.answer if skilled else ""


def _tried(problem: Problem, learner: Learner) -> Group:
    """The samples at a problem, shorter and surer with every step."""
    count = learner.config.samples_per_problem
    verdicts = [i <= learner.steps for i in range(count)]
    length = max(1, 6 - learner.steps)
    done = Completion("", length, True, 0.0, (5,) * length, 1 / (1 + learner.steps))
    grades = [
        Grade(right, None if i == count - 1 else "said", "") for i, right in enumerate(verdicts)
    ]
    return Group(problem, tuple(Sample(done, grade) for grade in grades))


def _marked(steps: int, learner: Learner) -> torch.Tensor:
    """The learner's prompt, with the steps taken written in front."""
    prompt = learner.prompt.clone()
    prompt[0, 0] = 1000.0 + steps
    return prompt


def _steps(prompt: torch.Tensor) -> float:
    """The steps written in front of a prompt; none in one that nobody has taught."""
    return max(0.0, float(prompt[0, 0]) - 1000.0)
