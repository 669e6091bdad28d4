"""The service: whose fault it is gets the error, and what happens to all when it ends."""

import threading
from types import SimpleNamespace

import pytest

from learner.learning.learner import LearnerConfig
from learner.learning.training import step_rows
from learner.service.protocol import ServiceBusy, ServiceClosed, StepTooLarge
from tests.learner.held_model import PATIENCE, FakeBatch, asks, hold, started, texts


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


def nothing(base_model, requests, paces):
    yield
    return []


def test_a_wrong_number_of_results_fails_its_request_and_not_the_worker(fake):
    fake.gate.open()
    with started(fake, train=nothing) as service:
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


def done(base_model, requests, paces):
    yield
    return ["done"] * len(requests)


def test_a_step_that_would_keep_everybody_waiting_is_refused(fake):
    """Such settings come with a file that somebody loads."""
    largest = LearnerConfig(signal="reward", episodes_per_step=64, samples_per_problem=64)
    fits = LearnerConfig(signal="reward", episodes_per_step=16, samples_per_problem=64)
    fake.gate.open()
    with started(fake, train=done, rows=step_rows) as service:
        learner = SimpleNamespace(config=largest)
        with pytest.raises(StepTooLarge, match="takes 4096 rows at once, and up to 1024"):
            service.train(learner, ["x"] * largest.episodes_per_step)
        assert service.status().waiting == 0
        learner = SimpleNamespace(config=fits)
        assert service.train(learner, ["x"] * fits.episodes_per_step).result(PATIENCE) == "done"


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

    def wait(rows):
        if first_token.is_set():
            assert go_on.wait(PATIENCE)
        first_token.set()

    fake.gate.open()
    service = started(fake, batch=lambda *_: FakeBatch(fake, wait))
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
