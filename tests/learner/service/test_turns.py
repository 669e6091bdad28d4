"""The service: who goes into the next pass, and who does not wait for whom."""

import itertools
import threading
from contextvars import copy_context
from types import SimpleNamespace

from learner.learning.learner import LearnerConfig
from learner.learning.thumbs import Thumbs
from learner.learning.training import step_rows
from learner.service import in_process
from learner.service.protocol import GROUP
from tests.learner.held_model import PATIENCE, FakeBatch, asks, hold, started, texts


def test_a_click_goes_first_then_training_and_an_exam_fills_what_is_left(fake):
    """Each turn takes a second here: clicks have 32 of 40.8, training 8, exams 0.8."""
    now, events = [0.0], []

    def train(base_model, requests, paces):
        yield from fake.train(base_model, requests, paces)
        for _ in range(40):
            now[0] += 1.0
            events.append("step")
            yield
        return [(learner, "report") for learner, _ in requests]

    def wait(rows):
        now[0] += 1.0
        events.append("exam" if len(rows) > 4 else "click")

    options = {"train": train, "batch": lambda *_: FakeBatch(fake, wait), "answering_rows": 16}
    with started(fake, clock=lambda: now[0], **options) as service:
        running = service.train("held", [])
        fake.gate.wait_until_reached()
        step = service.train("a", ["x"])
        exam = service.ask(asks(*["e" * 40] * 8))
        click = service.ask(asks("c" * 40))
        fake.gate.open()
        assert texts(list(click)[-1]) == ["c" * 40]
        so_far = list(events)
        for future in (running, step):
            future.result(PATIENCE)
        assert texts(list(exam)[-1])[0] == "e" * 40
    first = so_far.index("click")
    during = so_far[first : len(so_far) - so_far[::-1].index("click")]
    assert first <= 1
    assert during.count("click") == 40
    assert 7 <= during.count("step") <= 12
    assert during.count("exam") <= 2
    while_training = events[: len(events) - events[::-1].index("step")]
    assert while_training.count("exam") <= while_training.count("step") / 10 + 2


def test_what_was_freed_is_given_back_once_nobody_asks_for_anything(fake, monkeypatch):
    given = threading.Semaphore(0)
    monkeypatch.setattr(in_process, "IDLE_SECONDS", 0.01)
    monkeypatch.setattr(in_process, "trim", given.release)
    fake.gate.open()
    with started(fake) as service:
        assert given.acquire(timeout=PATIENCE)
        assert texts(list(service.ask(asks("a")))[-1]) == ["a"]
        assert given.acquire(timeout=PATIENCE)
        assert service.status().busy is False


def test_a_short_exam_is_no_click(fake):
    """Twenty questions wait for training, sixteen do not."""
    with started(fake) as service:
        hold(service, fake)
        exam = service.ask(asks(*"abcdefghijklmnopqrst"))
        click = service.ask(asks(*"ABCDEFGHIJKLMNOP"))
        step = service.train("a", ["x"])
        fake.gate.open()
        assert texts(list(exam)[-1]) == list("abcdefghijklmnopqrst")
        assert texts(list(click)[-1]) == list("ABCDEFGHIJKLMNOP")
        step.result(PATIENCE)
    order = ["".join(held) if isinstance(held[0], str) else "step" for held in fake.passes[1:]]
    assert order.index("ABCDEFGH") < order.index("step") < order.index("abcdefgh")


def test_rows_are_bounded(fake):
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


def test_of_those_who_ask_at_once_each_has_a_row_in_turn(fake):
    """Four answers do not wait behind the rest of a longer request."""
    with started(fake, answering_rows=64) as service:
        hold(service, fake)
        long = service.ask(asks(*"abcdefghijkl"))
        short = service.ask(asks("Q", "R", "S", "T"))
        fake.gate.open()
        assert texts(list(short)[-1]) == ["Q", "R", "S", "T"]
        assert texts(list(long)[-1]) == list("abcdefghijkl")
    assert fake.passes[1] == ["a", "Q", "b", "R", "c", "S", "d", "T"]


def test_a_click_joins_one_that_is_being_answered_at_its_next_token(fake):
    second, go_on = threading.Event(), threading.Event()

    def wait(rows):
        if [len(row.written) for row in rows] == [1]:
            second.set()
            assert go_on.wait(PATIENCE)

    fake.gate.open()
    with started(fake, batch=lambda *_: FakeBatch(fake, wait)) as service:
        first = service.ask(asks("first"))
        assert second.wait(PATIENCE)
        click = service.ask(asks("late"))
        go_on.set()
        assert texts(list(click)[-1]) == ["late"]
        assert texts(list(first)[-1]) == ["first"]
    assert fake.passes == [["first"], ["late"]]


def asked_from(group, service, *questions):
    """Such questions, as somebody of this group asks them."""

    def ask():
        GROUP.set(group)
        return service.ask(asks(*questions))

    return copy_context().run(ask)


def test_a_click_does_not_wait_for_a_crowds(fake):
    """Each turn takes a second; of five clicks of one place the first two are no crowd yet."""
    now, events = [0.0], []

    def wait(rows):
        now[0] += 1.0
        events.append({row.ask.question[0] for row in rows})

    options = {"batch": lambda *_: FakeBatch(fake, wait), "answering_rows": 16}
    with started(fake, clock=lambda: now[0], **options) as service:
        hold(service, fake)
        crowd = [asked_from("hall", service, *["c" * 20] * 4) for _ in range(5)]
        click = asked_from("home", service, *["k" * 10] * 4)
        nobodys = asked_from(None, service, *["n" * 10] * 4)
        fake.gate.open()
        for asked in (click, nobodys, *crowd):
            list(asked)
    during = events[: 1 + max(i for i, letters in enumerate(events) if "k" in letters)]
    assert {"c", "k", "n"} in during
    assert 1 <= during.count({"c"}) <= 8


def test_whoever_comes_from_where_a_crowd_is_waits_with_it_and_goes_with_all_when_it_is_gone(fake):
    with started(fake) as service:
        hold(service, fake)
        crowd = [asked_from("hall", service, *letter * 4) for letter in "abcdefghijkm"]
        crowd[0].close()
        late = asked_from("hall", service, "late")
        other = asked_from("home", service, "other")
        fake.gate.open()
        for asked in (*crowd[1:], late, other):
            list(asked)
        alone = asked_from("hall", service, "l")
        assert texts(list(alone)[-1]) == ["l"]
    joined = next(held for held in fake.passes if "late" in held)
    assert "other" not in joined


def test_a_long_step_takes_turns_with_those_that_come_after_it(fake):
    """A hundred turns of a second each; a step that is asked for meanwhile is not after them."""
    now = [0.0]

    def train(base_model, requests, paces):
        if requests[0][0] == "long":
            for _ in range(100):
                now[0] += 1.0
                yield
                fake.gate.pass_through()
        fake.passes.append([learner for learner, _ in requests])
        return [(learner, "report") for learner, _ in requests]

    with started(fake, train=train, clock=lambda: now[0]) as service:
        long = service.train("long", ["x"])
        fake.gate.wait_until_reached()
        shorts = [service.train(name, ["x"]) for name in "ab"]
        fake.gate.open()
        for future in (*shorts, long):
            future.result(PATIENCE)
    assert fake.passes == [["a", "b"], ["long"]]


def test_steps_of_one_owner_do_not_overtake_each_other(fake):
    now = [0.0]

    def train(base_model, requests, paces):
        fake.gate.pass_through()
        for _ in range(5 if requests[0][1][0] == "1" else 0):
            now[0] += 1.0
            yield
        fake.passes.append([problems[0] for _, problems in requests])
        return [(learner, "report") for learner, _ in requests]

    with started(fake, train=train, clock=lambda: now[0]) as service:
        futures = [service.train("a", ["1"], owner="me")]
        fake.gate.wait_until_reached()
        futures += [service.train("a", ["2"], owner="me"), service.train("b", ["3"])]
        fake.gate.open()
        for future in futures:
            future.result(PATIENCE)
    assert fake.passes == [["3"], ["1"], ["2"]]


def test_a_walk_of_many_steps_is_a_pass_of_its_own_and_says_nothing_of_rows(fake):
    now, thumbs = [0.0], Thumbs("Who?", ((5,),), (1,))

    def train(base_model, requests, paces):
        fake.gate.pass_through()
        fake.passes.append([learner for learner, _ in requests])
        now[0] += 100.0
        yield
        return [(learner, "report") for learner, _ in requests]

    with started(fake, train=train, clock=lambda: now[0]) as service:
        futures = [service.train("held", [thumbs])]
        fake.gate.wait_until_reached()
        futures += [service.train(name, [thumbs]) for name in "ab"]
        futures += [service.train(name, ["x"] * 3) for name in "cd"]
        fake.gate.open()
        for future in futures:
            future.result(PATIENCE)
    assert sorted(fake.passes) == [["a"], ["b"], ["c", "d"], ["held"]]


def test_how_large_a_pass_may_be_follows_from_what_passes_took(fake):
    """Passes of eight that keep others waiting for too long become smaller."""
    now = [0.0]

    def slow(base_model, requests, paces):
        now[0] += 0.2 * sum(len(problems) for _, problems in requests)
        return (yield from fake.train(base_model, requests, paces))

    with started(fake, train=slow, clock=lambda: now[0]) as service:
        hold(service, fake)
        futures = [service.train(name, ["x"]) for name in "abcdefghijklmnop"]
        fake.gate.open()
        for future in futures:
            future.result(PATIENCE)
    sizes = [len(held) for held in fake.passes[1:]]
    assert sizes[0] == 8 > sizes[1] >= sizes[2]


def test_what_a_reward_is_told_of_counts_as_what_it_samples(fake):
    """Two steps of four problems, eight samples each, fill a pass of 64; a step from the answer key
    that came after three of them is not put off for those that came after it."""
    passes = []

    def train(base_model, requests, paces):
        fake.gate.pass_through()
        passes.append([learner.config.signal for learner, _ in requests])
        yield from ()
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


def test_an_exam_has_a_row_in_turn_with_all_exams_of_a_crowd_together(fake):
    """Of every row that eight exams of one place are dealt, somebody else's is dealt one."""
    with started(fake, answering_rows=64) as service:
        hold(service, fake)
        crowd = [asked_from("hall", service, *letter * 20) for letter in "abcdefgh"]
        other = asked_from("home", service, *"X" * 20)
        alone = asked_from(None, service, *"n" * 20)
        fake.gate.open()
        for asked in (other, alone, *crowd):
            list(asked)
    exams = [one for held in fake.passes for one in held if isinstance(one, str)]
    assert exams.count("X") == exams.count("n") == 20 and len(exams) == 200
    until_done = exams[: 1 + max(i for i, letter in enumerate(exams) if letter in "Xn")]
    assert len(until_done) <= 3 * 20
    assert set(until_done) == set("abcdefghXn")
