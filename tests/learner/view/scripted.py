"""A service that answers from a script, so that lessons can be tested without a model."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace

import torch

from arena import Problem
from learner.completion import Ask, Completion
from learner.soft_prompt import Learner, LearnerConfig, StepRecord
from learner.training import StepReport

HIDDEN = 16


def untrained(config: LearnerConfig | None = None) -> Learner:
    zeros = torch.zeros(8, HIDDEN)
    return Learner(config or LearnerConfig(), zeros, zeros, zeros, 0, 0, (), "scripted", "1")


class ScriptedService:
    """Trains by counting. Says "Yes" behind a soft prompt that was trained, a blank otherwise.

    ``gate`` holds back every training step, and ``answer_gate`` every answer, until it is set;
    ``error`` is raised by the next training step.
    """

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.answer_gate = threading.Event()
        self.gate.set()
        self.answer_gate.set()
        self.error: Exception | None = None
        self.taught: list[Problem] = []
        self.asked: list[Ask] = []

    def train(self, learner: Learner, problems: Sequence[Problem], owner: str) -> Future:
        assert self.gate.wait(10)
        future: Future = Future()
        if self.error is not None:
            future.set_exception(self.error)
            return future
        self.taught += problems
        episodes = learner.episodes + len(problems)
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
        future.set_result((taught, StepReport(1.5, 1.0, (False,) * len(problems), True, "")))
        return future

    def complete(self, asks: Sequence[Ask], max_new_tokens: int = 48) -> tuple[Completion, ...]:
        *_, last = self.ask(asks)
        return last

    def ask(
        self, asks: Sequence[Ask], max_new_tokens: int = 48
    ) -> Iterator[tuple[Completion, ...]]:
        self.asked += asks
        texts = [
            " Yes" if ask.prompt is not None and ask.prompt.sum() > 0 else " ____" for ask in asks
        ]
        yield tuple(Completion(text[:2], 1, False, 0.01) for text in texts)
        assert self.answer_gate.wait(10)
        yield tuple(Completion(text, 2, True, 0.02) for text in texts)
