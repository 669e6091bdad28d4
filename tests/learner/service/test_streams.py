"""The service: answers that grow while they are read, and readers that go away."""

import itertools
import threading
from concurrent.futures import CancelledError

import pytest

from tests.learner.held_model import PATIENCE, FakeBatch, asks, hold, started, texts


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

    def wait(rows):
        if any(len(row.written) == 2 for row in rows):
            assert release.wait(PATIENCE)

    with started(fake, batch=lambda *_: FakeBatch(fake, wait)) as service:
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


def test_rows_that_nobody_reads_any_more_leave_at_the_next_token(fake):
    tokens, second_token, go_on = [], threading.Event(), threading.Event()

    def wait(rows):
        tokens.append([row.ask.question for row in rows])
        if len(tokens) == 2:
            second_token.set()
            assert go_on.wait(PATIENCE)

    fake.gate.open()
    with started(fake, batch=lambda *_: FakeBatch(fake, wait)) as service:
        hold(service, fake)
        gone, stays = service.ask(asks("abcdefgh")), service.ask(asks("xyz"))
        assert texts(next(gone)) == ["a"]
        assert second_token.wait(PATIENCE)
        gone.close()
        go_on.set()
        assert texts(list(stays)[-1]) == ["xyz"]
    assert tokens == [["abcdefgh", "xyz"]] * 2 + [["xyz"]]


def test_a_cancelled_training_is_not_run(service, fake):
    hold(service, fake)
    gone, stays = service.train("gone", []), service.train("stays", [])
    assert gone.cancel()
    fake.gate.open()
    assert stays.result(PATIENCE)[0] == "stays"
    with pytest.raises(CancelledError):
        gone.result(PATIENCE)
    assert fake.passes[1:] == [[("stays",)]]
