"""The service in front of a real model: merged is as alone."""

import dataclasses

import pytest
import torch

from arena import stream
from learner.learning.learner import LearnerConfig, new_learner
from learner.learning.training import train_in_turns, train_step
from learner.model.completion import Ask, complete
from learner.service.in_process import Service
from tests.learner.held_model import PATIENCE, Gate, asks, texts


@pytest.mark.parametrize("chat_template", [False, True])
def test_merged_is_as_alone_on_a_real_model(qwen2, chat_template):
    problems = [next(stream(seed)) for seed in range(6)]
    learners = [
        new_learner(
            qwen2, LearnerConfig(soft_tokens=3 + seed, seed=seed, chat_template=chat_template)
        )
        for seed in range(3)
    ]
    questions = [
        [Ask(problem.question, chat_template, prompt) for prompt in (None, learner.prompt)]
        for problem, learner in zip(problems, learners, strict=False)
    ]
    gate, rows = Gate(), []

    def train(base_model, requests, paces):
        gate.pass_through()
        rows.append(len(requests))
        return (yield from train_in_turns(base_model, requests, paces))

    # However slow this machine is, the clock says that no pass takes too long to be merged.
    with Service(qwen2, train=train, clock=lambda: 0.0) as service:
        first = service.train(learners[0], problems[:1])
        gate.wait_until_reached()
        futures = [
            service.train(learner, problems[2 * i : 2 * i + 2])
            for i, learner in enumerate(learners)
        ]
        streams = [service.ask(batch, max_new_tokens=8) for batch in questions]
        gate.open()
        first.result(PATIENCE)
        answers = [list(batch)[-1] for batch in streams]
        results = [future.result(PATIENCE) for future in futures]
    assert rows == [1, 3]
    for i, (learner, report) in enumerate(results):
        alone, report_alone = train_step(qwen2, learners[i], problems[2 * i : 2 * i + 2])
        assert report.accepted and report.correct == report_alone.correct
        torch.testing.assert_close(learner.prompt, alone.prompt)
        assert learner.steps == 1
    for batch, completions in zip(questions, answers, strict=True):
        expected = complete(qwen2, batch, max_new_tokens=8)
        assert texts(completions) == texts(expected)
        assert [c.tokens for c in completions] == [c.tokens for c in expected]


def test_a_question_that_is_too_long_fails_alone_on_a_real_model(qwen2):
    with Service(qwen2) as service:
        one, long, two = (service.ask(asks(text)) for text in ("1 + 1?", "word " * 2000, "2 + 2?"))
        assert texts(list(one)[-1]) == texts(complete(qwen2, asks("1 + 1?")))
        with pytest.raises(ValueError, match="too long"):
            list(long)
        assert texts(list(two)[-1]) == texts(complete(qwen2, asks("2 + 2?")))


def test_a_step_that_is_not_finite_is_told_to_its_caller_alone(qwen2):
    learner = new_learner(qwen2, LearnerConfig())
    broken = dataclasses.replace(learner, prompt=torch.full_like(learner.prompt, float("nan")))
    problems = [next(stream(0))]
    with Service(qwen2) as service:
        futures = [service.train(value, problems) for value in (learner, broken)]
        (trained, report), (unchanged, refused) = (future.result(PATIENCE) for future in futures)
    assert report.accepted and trained.steps == 1
    assert not refused.accepted and refused.message and unchanged is broken
