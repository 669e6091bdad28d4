"""The service: who goes into the next pass, and who does not wait for whom."""

import itertools
import threading
from types import SimpleNamespace

from learner.learning.learner import LearnerConfig
from learner.learning.training import step_rows
from tests.learner.held_model import PATIENCE, asks, hold, started, texts


def test_training_and_asking_take_turns(service, fake):
    hold(service, fake)
    futures = [service.train("a", [x], owner="me") for x in "12"]
    streams = [service.ask(asks("q" * n), max_new_tokens=n) for n in (1, 2)]
    fake.gate.open()
    for waiting in streams:
        list(waiting)
    for future in futures:
        future.result(PATIENCE)
    assert fake.passes[1:] == [["q"], [("a", "1")], ["qq"], [("a", "2")]]


def test_passes_are_bounded_in_rows(fake):
    with started(fake, training_rows=4, answering_rows=4) as service:
        hold(service, fake)
        futures = [service.train(name, ["x", "y"]) for name in "abc"]
        many = service.ask(asks(*"0123456789"))
        fake.gate.open()
        assert texts(list(many)[-1]) == list("0123456789")
        for future in futures:
            future.result(PATIENCE)
    trainings = [held for held in fake.passes[1:] if isinstance(held[0], tuple)]
    answers = [held for held in fake.passes[1:] if isinstance(held[0], str)]
    assert [len(held) for held in trainings] == [2, 1]
    assert [len(held) for held in answers] == [4, 4, 2]


def test_a_click_goes_before_an_evaluation_that_waits(fake):
    with started(fake, answering_rows=16) as service:
        hold(service, fake)
        evaluation = service.ask(asks(*"abcdefghijklmnop"))
        click = service.ask(asks("Q", "R", "S", "T"))
        fake.gate.open()
        assert texts(list(click)[-1]) == ["Q", "R", "S", "T"]
        assert texts(list(evaluation)[-1]) == list("abcdefghijklmnop")
    assert fake.passes[1] == ["Q", "R", "S", "T"]


def test_a_click_and_a_step_interrupt_an_evaluation_between_two_tokens(fake):
    """It is half-way through its answers, and goes on where it was."""
    events, first_token, go_on = [], threading.Event(), threading.Event()

    def noted(base_model, batch, max_new_tokens):
        name = batch[0].question
        for snapshot in fake.stream(base_model, batch, max_new_tokens):
            events.append(name)
            yield snapshot
            if name == "evaluation":
                first_token.set()
                assert go_on.wait(PATIENCE)

    fake.gate.open()
    with started(fake, answering_rows=16, stream=noted) as service:
        evaluation = service.ask(asks("evaluation", *["x"] * 7), max_new_tokens=10)
        assert first_token.wait(PATIENCE)
        click = service.ask(asks("click"), max_new_tokens=5)
        step = service.train("a", ["x"])
        go_on.set()
        assert texts(list(click)[-1]) == ["click"]
        assert step.result(PATIENCE)[0] == "ax"
        assert texts(list(evaluation)[-1])[0] == "evaluation"
    assert events == ["evaluation"] * 2 + ["click"] * 5 + ["evaluation"] * 8


def test_an_answer_takes_turns_with_training_however_long_it_is(fake):
    """A turn ends when its time is up: here, after every token."""
    events, ticks = [], itertools.count()

    def train(base_model, requests):
        events.extend("step" for _ in requests)
        return fake.train(base_model, requests)

    def stream(base_model, batch, max_new_tokens):
        for snapshot in fake.stream(base_model, batch, max_new_tokens):
            events.append("token")
            yield snapshot

    with started(fake, train=train, stream=stream, clock=lambda: next(ticks)) as service:
        hold(service, fake)
        steps = [service.train("a", [x], owner="me") for x in "123"]
        answer = service.ask(asks("abc"), max_new_tokens=3)
        fake.gate.open()
        assert texts(list(answer)[-1]) == ["abc"]
        assert [step.result(PATIENCE)[0] for step in steps] == ["a1", "a2", "a3"]
    assert events[1:] == ["token", "step", "token", "step", "token", "step"]


def test_how_large_a_pass_may_be_follows_from_what_passes_took(fake):
    """Passes of eight that keep others waiting for too long become passes of four."""
    now = [0.0]

    def slow(base_model, requests):
        now[0] += 0.2 * sum(len(problems) for _, problems in requests)
        return fake.train(base_model, requests)

    with started(fake, train=slow, clock=lambda: now[0]) as service:
        hold(service, fake)
        futures = [service.train(name, ["x"]) for name in "abcdefghijklmnop"]
        fake.gate.open()
        for future in futures:
            future.result(PATIENCE)
    assert [len(held) for held in fake.passes[1:]] == [8, 4, 4]


def test_what_a_reward_is_told_of_counts_as_what_it_samples(fake):
    """Two steps of four problems, eight samples each, fill a pass of 64; a step from the answer key
    that came after three of them is not put off for those that came after it."""
    passes = []

    def train(base_model, requests):
        fake.gate.pass_through()
        passes.append([learner.config.signal for learner, _ in requests])
        return [(learner, "report") for learner, _ in requests]

    told = [LearnerConfig(signal=signal) for signal in ["reward"] * 3 + ["answer"] + ["reward"] * 2]
    learners = [SimpleNamespace(config=config) for config in told]
    problems = ["x"] * LearnerConfig().episodes_per_step
    options = {"train": train, "rows": step_rows, "training_rows": 64, "clock": lambda: 0.0}
    with started(fake, **options) as service:
        service.train(learners[0], [])
        fake.gate.wait_until_reached()
        futures = [service.train(one, problems, owner=i) for i, one in enumerate(learners)]
        fake.gate.open()
        for future in futures:
            future.result(PATIENCE)
    assert sorted(itertools.chain(*passes[1:])) == ["answer", *["reward"] * 5]
    assert max(4 * (8 * held.count("reward") + held.count("answer")) for held in passes) == 64
    assert "answer" in passes[3]


def test_a_reward_step_that_is_larger_than_a_pass_runs_alone_and_in_its_turn(fake):
    def count(learner, problems):
        return 500 if learner == "large" else 1

    with started(fake, rows=count) as service:
        hold(service, fake)
        futures = [service.train(name, ["x"]) for name in ("a", "large", "b")]
        fake.gate.open()
        for future in futures:
            future.result(PATIENCE)
    assert fake.passes[1:] == [[("a", "x"), ("b", "x")], [("large", "x")]]
