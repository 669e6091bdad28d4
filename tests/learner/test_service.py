"""The service: what is merged, who gets which answer, who gets which error, and how it ends.

Most tests put two fake functions in the model's place. They run only when the test lets them, so
that what waits at the same moment is decided by the test and not by the clock.
"""

import dataclasses
import itertools
import threading
from concurrent.futures import CancelledError

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from arena import stream
from learner.completion import Ask, Completion, complete, stream_completions
from learner.service import Service, ServiceBusy, ServiceClosed
from learner.service_status import WAITS_KEPT, Meter
from learner.soft_prompt import LearnerConfig, new_learner
from learner.training import train_step, train_steps

PATIENCE = 30.0  # seconds until a test that hangs fails instead


class Gate:
    """Lets passes through one at a time: a pass reports, then waits until it is let in."""

    def __init__(self):
        self._reached = threading.Semaphore(0)
        self._let_in = threading.Semaphore(0)
        self._open = False

    def pass_through(self):
        self._reached.release()
        if not self._open:
            assert self._let_in.acquire(timeout=PATIENCE), "nobody let the pass in"

    def wait_until_reached(self):
        assert self._reached.acquire(timeout=PATIENCE), "no pass came"

    def let_one_in(self):
        self._let_in.release()

    def open(self):
        self._open = True
        self._let_in.release()


class FakeModel:
    """Stands in for the two functions; notes what each pass held. Learners and problems are words.

    Training appends the problem to the learner; the answer to a question is its letters, one more
    at each token. The word "bad" raises.
    """

    def __init__(self):
        self.gate = Gate()
        self.passes = []

    def train(self, base_model, requests):
        self.gate.pass_through()
        self.passes.append([(learner, *problems) for learner, problems in requests])
        for _, problems in requests:
            if "bad" in problems:
                raise ValueError("That problem is bad.")
        return [(learner + "".join(problems), "report") for learner, problems in requests]

    def stream(self, base_model, asks, max_new_tokens):
        self.gate.pass_through()
        self.passes.append([ask.question for ask in asks])
        for length in range(1, max_new_tokens + 1):
            if length == 2 and any(ask.question == "bad" for ask in asks):
                raise ValueError("That question is bad.")
            yield tuple(
                Completion(
                    text=ask.question[:length],
                    tokens=length,
                    finished=length >= len(ask.question),
                    seconds=0.0,
                )
                for ask in asks
            )


def asks(*questions):
    return [Ask(question, chat_template=False) for question in questions]


def texts(completions):
    return [completion.text for completion in completions]


def started(fake, **options):
    return Service(None, train=fake.train, stream=fake.stream, **options)


@pytest.fixture
def fake():
    fake = FakeModel()
    yield fake
    fake.gate.open()


@pytest.fixture
def service(fake):
    service = started(fake)
    yield service
    fake.gate.open()
    service.close()


def hold(service, fake):
    """Have the worker wait inside a pass, so that whatever is asked for next waits together."""
    held = service.train("held", [])
    fake.gate.wait_until_reached()
    return held


# Merging


def test_trainings_that_wait_together_are_one_pass(service, fake):
    held = hold(service, fake)
    futures = [service.train(name, ["x"]) for name in "abc"]
    fake.gate.open()
    assert [future.result(PATIENCE)[0] for future in futures] == ["ax", "bx", "cx"]
    assert held.result(PATIENCE)[0] == "held"
    assert fake.passes == [[("held",)], [("a", "x"), ("b", "x"), ("c", "x")]]


def test_questions_that_wait_together_are_one_pass_and_each_gets_its_own(service, fake):
    hold(service, fake)
    one, two = service.ask(asks("ab", "c")), service.ask(asks("defg"))
    fake.gate.open()
    assert texts(list(one)[-1]) == ["ab", "c"]
    assert texts(list(two)[-1]) == ["defg"]
    assert sorted(fake.passes[1]) == ["ab", "c", "defg"]


def test_an_owner_has_one_step_in_a_pass_and_they_come_in_order(service, fake):
    hold(service, fake)
    mine = [service.train("a", [x], owner="me") for x in "123"]
    other = service.train("b", ["x"], owner="you")
    fake.gate.open()
    assert [future.result(PATIENCE)[0] for future in mine] == ["a1", "a2", "a3"]
    assert other.result(PATIENCE)[0] == "bx"
    assert fake.passes[1:] == [[("a", "1"), ("b", "x")], [("a", "2")], [("a", "3")]]


def test_steps_of_one_learner_value_are_not_merged(service, fake):
    hold(service, fake)
    learner = "learner"
    futures = [service.train(learner, [x]) for x in "12"]
    fake.gate.open()
    assert [future.result(PATIENCE)[0] for future in futures] == ["learner1", "learner2"]
    assert len(fake.passes) == 3


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
    with Service(None, answering_rows=16, train=fake.train, stream=noted) as service:
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

    with Service(None, train=train, stream=stream, clock=lambda: next(ticks)) as service:
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

    with Service(None, train=slow, stream=fake.stream, clock=lambda: now[0]) as service:
        hold(service, fake)
        futures = [service.train(name, ["x"]) for name in "abcdefghijklmnop"]
        fake.gate.open()
        for future in futures:
            future.result(PATIENCE)
    assert [len(held) for held in fake.passes[1:]] == [8, 4, 4]


# Waiting for each other


def test_those_of_the_last_pass_go_together_again(fake):
    """The next pass waits until all of them are back, however long that takes here."""
    with started(fake, merge_seconds=PATIENCE) as service:
        hold(service, fake)
        first = [service.train(name, ["1"], owner=name) for name in "abc"]
        fake.gate.let_one_in()
        fake.gate.wait_until_reached()
        fake.gate.let_one_in()
        results = [future.result(PATIENCE)[0] for future in first]
        fake.gate.open()
        again = [service.train(name, ["2"], owner=name[0]) for name in results]
        assert [future.result(PATIENCE)[0] for future in again] == ["a12", "b12", "c12"]
    assert [len(held) for held in fake.passes] == [1, 3, 3]


@pytest.mark.parametrize("another", [False, True])
def test_a_lone_request_waits_for_nobody(fake, another):
    """Whether the service was idle, or the same owner was in the last pass alone."""
    fake.gate.open()
    with started(fake, merge_seconds=1e6) as service:
        for _ in range(1 + another):
            assert service.train("a", ["x"], owner="me").result(PATIENCE)[0] == "ax"
        assert texts(service.complete(asks("click"))) == ["click"]


def test_who_does_not_come_back_is_waited_for_once(fake):
    with started(fake, merge_seconds=0.001) as service:
        hold(service, fake)
        both = [service.train(name, ["1"], owner=name) for name in "ab"]
        fake.gate.open()
        for future in both:
            future.result(PATIENCE)
        for number in "23":
            assert service.train("a", [number], owner="a").result(PATIENCE)[0] == f"a{number}"
    assert [len(held) for held in fake.passes[1:]] == [2, 1, 1]


def test_a_question_is_not_kept_waiting_for_those_of_the_last_training(fake):
    with started(fake, merge_seconds=PATIENCE) as service:
        hold(service, fake)
        both = [service.train(name, ["1"], owner=name) for name in "ab"]
        fake.gate.open()
        for future in both:
            future.result(PATIENCE)
        back = service.train("a1", ["2"], owner="a")  # waits for b
        assert texts(service.complete(asks("click"))) == ["click"]
        assert back.result(PATIENCE)[0] == "a12"


# Streaming


def test_a_stream_grows_to_the_final_texts(service, fake):
    fake.gate.open()
    seen = list(service.ask(asks("abc", "d")))
    assert texts(seen[-1]) == ["abc", "d"]
    assert seen[-1][0].finished and seen[-1][1].finished
    for earlier, later in itertools.pairwise(seen):
        assert all(x.text in y.text for x, y in zip(earlier, later, strict=True))


def test_what_does_not_end_by_itself_ends_at_the_limit(service, fake):
    fake.gate.open()
    (completion,) = service.complete(asks("abcdef"), max_new_tokens=3)
    assert (completion.text, completion.finished) == ("abc", False)


def test_short_answers_do_not_wait_for_long_ones(fake):
    release = threading.Event()

    def stream_that_stops(base_model, batch, max_new_tokens):
        for number, snapshot in enumerate(fake.stream(base_model, batch, max_new_tokens)):
            if number == 2:
                assert release.wait(PATIENCE)
            yield snapshot

    with Service(None, train=fake.train, stream=stream_that_stops) as service:
        hold(service, fake)
        long, short = service.ask(asks("abcdef")), service.ask(asks("x"))
        fake.gate.open()
        assert texts(list(short)[-1]) == ["x"]  # ends while the pass they share still runs
        release.set()
        assert texts(list(long)[-1]) == ["abcdef"]
    assert sorted(fake.passes[1]) == ["abcdef", "x"]


def test_no_questions_have_no_answers(service):
    assert list(service.ask([])) == [()]
    assert service.complete([]) == ()


# Callers that go away


def test_a_closed_stream_ends_and_its_rows_are_not_run(service, fake):
    hold(service, fake)
    gone, stays = service.ask(asks("gone")), service.ask(asks("stays"))
    gone.close()
    assert list(gone) == []
    fake.gate.open()
    assert texts(list(stays)[-1]) == ["stays"]
    assert fake.passes[1:] == [["stays"]]


def test_a_dropped_stream_is_a_closed_one(service, fake):
    hold(service, fake)
    service.ask(asks("gone"))
    stays = service.ask(asks("stays"))
    fake.gate.open()
    list(stays)
    assert fake.passes[1:] == [["stays"]]


def test_a_pass_that_nobody_reads_any_more_is_cut_short(fake):
    tokens, first_token, go_on = [], threading.Event(), threading.Event()

    def slow(base_model, batch, max_new_tokens):
        for number, snapshot in enumerate(fake.stream(base_model, batch, max_new_tokens)):
            tokens.append(number)
            yield snapshot
            first_token.set()
            assert go_on.wait(PATIENCE)

    fake.gate.open()
    with Service(None, train=fake.train, stream=slow) as service:
        reader = service.ask(asks("abcdefgh"))
        assert texts(next(reader)) == ["a"]
        reader.close()
        go_on.set()
        assert service.train("next", []).result(PATIENCE)[0] == "next"
    assert tokens == [0, 1]


def test_a_cancelled_training_is_not_run(service, fake):
    hold(service, fake)
    gone, stays = service.train("gone", []), service.train("stays", [])
    assert gone.cancel()
    fake.gate.open()
    assert stays.result(PATIENCE)[0] == "stays"
    with pytest.raises(CancelledError):
        gone.result(PATIENCE)
    assert fake.passes[1:] == [[("stays",)]]


# Errors


def test_a_bad_training_fails_alone(service, fake):
    hold(service, fake)
    good, bad, fine = (service.train(name, [name]) for name in ("good", "bad", "fine"))
    fake.gate.open()
    assert good.result(PATIENCE)[0] == "goodgood"
    assert fine.result(PATIENCE)[0] == "finefine"
    with pytest.raises(ValueError, match="That problem is bad"):
        bad.result(PATIENCE)


def test_a_bad_question_fails_alone_even_half_way(service, fake):
    hold(service, fake)
    good, bad = service.ask(asks("good")), service.ask(asks("fine", "bad"))
    fake.gate.open()
    assert texts(list(good)[-1]) == ["good"]
    with pytest.raises(ValueError, match="That question is bad"):
        list(bad)
    assert texts(service.complete(asks("next"))) == ["next"]


def test_a_wrong_number_of_results_fails_its_request_and_not_the_worker(fake):
    fake.gate.open()
    with Service(None, train=lambda base_model, requests: [], stream=fake.stream) as service:
        with pytest.raises(ValueError, match="zip"):
            service.train("a", []).result(PATIENCE)
        assert texts(service.complete(asks("next"))) == ["next"]


def test_too_many_requests_are_turned_away(fake):
    with started(fake, max_waiting=2) as service:
        hold(service, fake)
        training, question = service.train("a", []), service.ask(asks("q"))
        for one_more in (lambda: service.train("b", []), lambda: service.ask(asks("r"))):
            with pytest.raises(ServiceBusy, match="2 requests are waiting"):
                one_more()
        fake.gate.open()
        assert training.result(PATIENCE)[0] == "a"
        assert texts(list(question)[-1]) == ["q"]


def test_a_pass_too_small_for_one_click_is_refused(fake):
    with pytest.raises(ValueError, match="answering_rows"):
        started(fake, answering_rows=3)


# The end


def close_in_background(service):
    closer = threading.Thread(target=service.close)
    closer.start()
    return closer


def test_closing_finishes_the_step_and_turns_away_who_waits(service, fake):
    running = hold(service, fake)
    waiting, question = service.train("a", []), service.ask(asks("q"))
    closer = close_in_background(service)
    with pytest.raises(ServiceClosed):
        while True:  # until the closer has got through
            service.ask([])
    fake.gate.open()
    closer.join(PATIENCE)
    assert not closer.is_alive()
    assert running.result(PATIENCE)[0] == "held"
    with pytest.raises(ServiceClosed, match="shut down"):
        waiting.result(PATIENCE)
    with pytest.raises(ServiceClosed):
        list(question)
    with pytest.raises(ServiceClosed):
        service.train("b", [])
    assert fake.passes == [[("held",)]]


def test_closing_cuts_an_answer_short_with_an_error(fake):
    first_token, go_on = threading.Event(), threading.Event()

    def slow(base_model, batch, max_new_tokens):
        for snapshot in fake.stream(base_model, batch, max_new_tokens):
            first_token.set()
            yield snapshot
            assert go_on.wait(PATIENCE)

    fake.gate.open()
    service = Service(None, train=fake.train, stream=slow)
    reader = service.ask(asks("abcdefgh"))
    assert texts(next(reader)) == ["a"]
    closer = close_in_background(service)
    with pytest.raises(ServiceClosed):
        while True:
            service.ask([])
    go_on.set()
    closer.join(PATIENCE)
    with pytest.raises(ServiceClosed):
        list(reader)


def test_closing_twice_and_from_a_callback_leaves_no_thread(fake):
    fake.gate.open()
    before = set(threading.enumerate())
    with started(fake) as service:
        closed = threading.Event()
        service.train("a", []).add_done_callback(lambda _: (service.close(), closed.set()))
        assert closed.wait(PATIENCE)
        service.close()
    service.close()
    assert set(threading.enumerate()) <= before


# Status


def test_status_tells_depth_sizes_waits_and_totals(fake):
    now = [0.0]
    with started(fake, clock=lambda: now[0]) as service:
        held = hold(service, fake)
        now[0] = 2.0
        training = service.train("a", ["x", "y"])
        now[0] = 3.0
        question = service.ask(asks("q", "r", "s"))
        assert service.status().waiting == 2
        now[0] = 10.0
        fake.gate.open()
        held.result(PATIENCE)
        training.result(PATIENCE)
        list(question)
    status = service.status()
    assert status.waiting == 0
    assert (status.training_rows, status.answering_rows) == (2, 3)
    assert (status.median_wait, status.p95_wait) == (7.0, 8.0)  # of 0, 7 and 8
    assert (status.passes, status.steps, status.completions) == (3, 2, 3)
    assert not status.busy


def test_status_tells_what_the_latest_pass_took(fake):
    now = [0.0]

    def slow(base_model, requests):
        now[0] += 0.5
        return fake.train(base_model, requests)

    with Service(None, train=slow, stream=fake.stream, clock=lambda: now[0]) as service:
        assert (service.status().rows, service.status().seconds) == (0, 0.0)
        held = service.train("held", ["x", "y", "z"])
        fake.gate.wait_until_reached()
        assert service.status().busy
        fake.gate.open()
        held.result(PATIENCE)
        list(service.ask(asks("q")))
    assert (service.status().rows, service.status().seconds) == (1, 0.0)


@settings(deadline=None)
@given(waits=st.lists(st.floats(0, 100), max_size=600))
def test_of_the_latest_waits_nineteen_of_twenty_are_within_the_p95(waits):
    meter = Meter()
    meter.waited(waits)
    status, latest = meter.status(0, False), waits[-WAITS_KEPT:]
    within = sum(wait <= status.p95_wait for wait in latest)
    assert 20 * within >= 19 * len(latest)
    assert 20 * sum(wait < status.p95_wait for wait in latest) < 19 * max(len(latest), 1)


# The real model


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

    def train(base_model, requests):
        gate.pass_through()
        rows.append(len(requests))
        return train_steps(base_model, requests)

    def answer(base_model, batch, max_new_tokens):
        rows.append(len(batch))
        return stream_completions(base_model, batch, max_new_tokens)

    # However slow this machine is, the clock says that no pass takes too long to be merged.
    with Service(qwen2, train=train, stream=answer, clock=lambda: 0.0) as service:
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
    assert rows == [1, 6, 3]
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
