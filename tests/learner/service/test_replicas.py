"""Replicas: what is lost with one of them is asked of another, and nothing comes out twice."""

import pickle
from concurrent.futures import Future
from contextvars import copy_context
from itertools import islice, pairwise

import pytest
import torch

from arena import stream
from learner.learning.learner import LearnerConfig, new_learner
from learner.learning.training import train_step
from learner.model.completion import Ask, complete
from learner.service import in_process
from learner.service import replica as replica_module
from learner.service import replicas as replicas_module
from learner.service.in_process import Service
from learner.service.protocol import GROUP, MOST_STEP_ROWS, ServiceBusy, ServiceClosed, StepTooLarge
from learner.service.replica import Replica, Training, packed
from learner.service.replicas import (
    CLICK_ASKS,
    OUTAGE_SECONDS,
    TRIES,
    ReplicaService,
    ReplicasUnavailable,
)
from tests.learner.held_model import PATIENCE, FakeModel, asks, hold, started, texts
from tests.learner.service.loopback import Loopback
from tests.learner.tiny_models import build_base_model

CONFIG = LearnerConfig(soft_tokens=4, seed=1)
PROBLEMS = list(islice(stream(0, "train"), 6))
STEPS = [[problem] for problem in PROBLEMS]


@pytest.fixture(scope="module")
def base_model():
    return build_base_model("qwen2")


@pytest.fixture
def far(base_model):
    """Makes services in front of the tiny model, whose calls die as is said."""
    opened = []

    def make(*deaths):
        inner = Service(base_model)
        calls = Loopback(Replica(inner))
        service = ReplicaService(calls, pause=lambda seconds: None)
        service.new_learner(CONFIG)
        calls.deaths.extend(deaths)
        calls.asked.clear()
        opened.append((service, calls, inner))
        return service, calls

    yield make
    for service, calls, inner in opened:
        service.close()
        inner.close()
        calls.stop()


@pytest.fixture
def letters(monkeypatch):
    """The same in front of a model whose answer is the question, letter by letter."""
    monkeypatch.setattr(replica_module, "FIRST_TELL_SECONDS", 0.0)
    monkeypatch.setattr(replicas_module, "step_rows", lambda learner, problems: len(problems))
    fake = FakeModel()
    inner = started(fake)
    inner.base_model = build_base_model("qwen2")  # only for what is known of it
    calls = Loopback(Replica(inner))
    service = ReplicaService(calls, pause=lambda seconds: None)
    calls.asked.clear()
    yield service, calls, fake, inner
    fake.gate.open()
    service.close()
    inner.close()
    calls.stop()


def trained(base_model, steps=STEPS):
    learner, learners = new_learner(base_model, CONFIG), []
    for step in steps:
        learner, _ = train_step(base_model, learner, step)
        learners.append(learner)
    return learners


# A run


@pytest.mark.parametrize("deaths", [(), (0,), (2, 0, 3), (5,), (6,)], ids=str)
def test_a_run_goes_on_from_its_last_learner_and_learns_each_episode_once(far, base_model, deaths):
    service, calls = far(*deaths)
    run = [learner for learner, _ in service.train_run(service.new_learner(CONFIG), STEPS)]
    for found, expected in zip(run, trained(base_model), strict=True):
        assert torch.equal(found.prompt, expected.prompt)
        assert found.history == expected.history and found.episodes == expected.episodes
    begun = [len(work.steps) for work, _ in calls.asked if isinstance(work, Training)]
    left, expected = len(STEPS), []
    for death in deaths:
        expected.append(left)
        left -= death
    assert begun == expected + [left] * (left > 0)


def test_a_step_is_a_run_of_one(far, base_model):
    service, _ = far(0)
    learner, report = service.train(service.new_learner(CONFIG), STEPS[0]).result(PATIENCE)
    assert torch.equal(learner.prompt, trained(base_model, STEPS[:1])[0].prompt)
    assert report.accepted


def test_a_closed_run_ends_its_call(far):
    service, calls = far()
    run = service.train_run(service.new_learner(CONFIG), STEPS)
    next(run)
    assert service.status().busy
    run.close()
    assert not service.status().busy
    assert list(run) == [] and len(calls.asked) == 1


def test_tries_are_bounded_and_what_came_is_kept(far):
    service, calls = far(2, *[0] * TRIES)
    learner, seen = service.new_learner(CONFIG), []
    with pytest.raises(ReplicasUnavailable, match="is kept"):
        seen.extend(learner.steps for learner, _ in service.train_run(learner, STEPS))
    assert seen == [1, 2]
    assert len(calls.asked) == TRIES  # that after two steps included
    assert service.status().waiting == 0 and not service.status().busy


def test_progress_is_no_vain_try(far):
    service, _ = far(*[1] * len(STEPS))
    assert len(list(service.train_run(service.new_learner(CONFIG), STEPS))) == len(STEPS) >= TRIES


def test_a_step_that_is_too_large_is_asked_of_nobody(far):
    service, calls = far()
    learner = service.new_learner(CONFIG)
    with pytest.raises(StepTooLarge):
        service.train_run(learner, [PROBLEMS[:1] * (MOST_STEP_ROWS + 1)])
    assert not calls.asked


# Answers


def test_a_stream_goes_on_and_shows_no_letter_twice(letters):
    service, calls, fake, _ = letters
    fake.gate.open()
    calls.deaths.extend([2, 1, 3])
    seen = [texts(state) for state in service.ask(asks("abcdefgh", "xy"))]
    assert seen[-1] == ["abcdefgh", "xy"]
    for earlier, later in pairwise(seen):
        assert earlier != later
        assert all(new.startswith(old) for old, new in zip(earlier, later, strict=True))


def test_rows_that_are_over_are_not_asked_again(letters):
    service, calls, fake, _ = letters
    fake.gate.open()
    calls.deaths.append(4)
    stream = service.ask(asks("abcdefghijklmnopqrstuvwxyz", "x"))
    assert texts(list(stream)[-1]) == ["abcdefghijklmnopqrstuvwxyz", "x"]
    asked = [[ask.question for ask in work.asks] for work, _ in calls.asked]
    assert asked in (
        [["abcdefghijklmnopqrstuvwxyz", "x"], ["abcdefghijklmnopqrstuvwxyz"]],
        [["abcdefghijklmnopqrstuvwxyz", "x"]],  # where four states were enough for all of them
    )


def test_what_is_cut_at_the_limit_is_over(letters):
    service, calls, fake, _ = letters
    fake.gate.open()
    assert texts(service.complete(asks("abcdef"), 3)) == ["abc"]
    assert len(calls.asked) == 1


def test_a_sampled_answer_is_the_same_from_another_replica(far, base_model):
    service, _ = far(1)
    prompt = service.new_learner(CONFIG).prompt
    wanted = [Ask("2, 4, 6?", False, prompt, seed=seed) for seed in range(3)]
    found = service.complete(wanted, 12)
    assert [one.ids for one in found] == [one.ids for one in complete(base_model, wanted, 12)]


def test_no_questions_have_no_answers(far):
    service, calls = far()
    assert list(service.ask([])) == [()] and service.complete([]) == ()
    assert not calls.asked


def test_the_request_is_there_before_its_first_item_is_read(letters):
    service, calls, fake, inner = letters
    hold(inner, fake)
    stream = service.ask(asks("abc"))
    assert len(calls.asked) == 1 and service.status().waiting == 1
    fake.gate.open()
    assert texts(list(stream)[-1]) == ["abc"]


@pytest.mark.parametrize("leave", ["close", "drop"])
def test_rows_that_nobody_waits_for_are_not_run(letters, leave):
    service, _, fake, inner = letters
    hold(inner, fake)
    gone, stays = service.ask(asks("gone")), service.ask(asks("stays"))
    while inner.status().waiting < 2:
        pass
    if leave == "close":
        gone.close()
    del gone
    fake.gate.open()
    assert texts(list(stays)[-1]) == ["stays"]
    assert fake.passes[1:] == [["stays"]]


def test_clicks_with_one_soft_prompt_have_one_key_and_exams_none(letters):
    service, calls, fake, _ = letters
    fake.gate.open()
    prompt = torch.ones(2, 3)
    for these in (
        [Ask("a", False), Ask("b", False, prompt)],
        [Ask("c", False, prompt.clone())],
        [Ask("d", False, 2 * prompt)],
        [Ask("e", False)],
        [Ask("f", False, prompt)] * (CLICK_ASKS + 1),
    ):
        service.complete(these)
    one, same, other, alone, exam = [key for _, key in calls.asked]
    assert one == same != other
    assert one and not alone and not exam


def test_a_replica_finds_a_soft_prompt_again_by_its_numbers(letters):
    service, _, fake, inner = letters
    fake.gate.open()
    seen, ask = [], inner.ask
    inner.ask = lambda asks, most: seen.extend(asks) or ask(asks, most)
    for _ in range(2):
        service.complete([Ask("a", False, torch.ones(2, 3))])
    assert seen[0].prompt is seen[1].prompt is not None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64], ids=str)
def test_tensors_travel_whole_and_can_be_changed(dtype):
    whole = torch.arange(6).to(dtype).reshape(2, 3)
    for tensor in (whole, whole[1:], whole.T, whole[0, 0]):
        found = pickle.loads(packed([tensor]))[0]
        assert found.dtype == dtype and torch.equal(found, tensor)
        found += 1
    weight = torch.nn.Parameter(torch.ones(2))
    assert pickle.loads(packed(weight)).requires_grad


# What is wrong with a request, and with the cluster


def test_what_is_wrong_with_a_request_is_its_own_error_and_not_tried_again(letters):
    service, calls, fake, _ = letters
    fake.gate.open()
    with pytest.raises(ValueError, match="That question is bad"):
        service.complete(asks("bad"))
    with pytest.raises(ValueError, match="That problem is bad"):
        service.train("learner", ["bad"]).result(PATIENCE)
    assert len(calls.asked) == 2
    assert texts(service.complete(asks("ok"))) == ["ok"]


def test_a_busy_replica_is_told_as_such(letters):
    service, _, _, inner = letters
    inner._max_waiting = 0
    with pytest.raises(ServiceBusy, match="waiting already"):
        service.complete(asks("a"))


def test_a_look_travels_and_so_does_what_it_found_or_raised(far):
    service, _ = far(0)
    assert service.look(layers).result(PATIENCE) == service.base_model.layers
    with pytest.raises(RuntimeError, match="cannot be seen"):
        service.look(unseen).result(PATIENCE)


def layers(base_model):
    return base_model.layers


def unseen(base_model):
    raise RuntimeError("It cannot be seen.")


def test_a_look_that_was_cancelled_in_time_is_over(far):
    service, _ = far()
    look = service.look(layers)
    assert isinstance(look, Future)
    assert look.cancel() or look.result(PATIENCE) == service.base_model.layers


def test_an_untrained_learner_is_the_same_and_is_there_without_a_cluster(far, base_model):
    service, calls = far()
    learner = service.new_learner(CONFIG)
    assert torch.equal(learner.prompt, new_learner(base_model, CONFIG).prompt)
    calls.trouble = "All is gone."
    assert service.new_learner(LearnerConfig(soft_tokens=4, seed=1)) is learner


def test_what_is_known_of_the_model_holds_no_weights(far, base_model):
    service, _ = far()
    assert not hasattr(service.base_model, "model")
    assert service.base_model.source == base_model.source
    assert service.base_model.context_length == base_model.context_length


def test_an_outage_is_told_and_what_was_asked_goes_on_after_it(letters):
    service, calls, fake, _ = letters
    fake.gate.open()
    calls.trouble = "The cluster is away."
    pauses = []

    def pause(seconds):
        assert service.status().trouble == "The cluster is away."
        pauses.append(seconds)
        if len(pauses) == 5:
            calls.trouble = ""

    service._pause = pause
    assert texts(service.complete(asks("abc"))) == ["abc"]
    assert len(pauses) == 5 and not service.status().trouble


def test_an_outage_that_does_not_end_is_a_sentence(letters):
    service, calls, _, _ = letters
    now = [0.0]
    service._clock = lambda: now[0]
    service._pause = lambda seconds: now.append(now.pop() + seconds)
    calls.trouble = "The cluster is away."
    with pytest.raises(ReplicasUnavailable, match=r"cluster is away\..* is kept"):
        service.complete(asks("abc"))
    assert OUTAGE_SECONDS <= now[0] < OUTAGE_SECONDS + 5
    calls.trouble = ""


def test_nothing_is_asked_once_it_is_closed(far):
    service, calls = far()
    learner = service.new_learner(CONFIG)
    run = service.train_run(learner, STEPS)
    next(run)
    calls.deaths.append(0)
    service.close()
    with pytest.raises(ServiceClosed):
        service.ask(asks("a"))
    with pytest.raises(ServiceClosed):
        next(service.train_run(learner, STEPS))
    with pytest.raises(ServiceClosed):
        service.look(layers).result(PATIENCE)
    run.close()


def test_a_call_that_waits_hears_beats(letters, monkeypatch):
    service, calls, fake, inner = letters
    monkeypatch.setattr(replica_module, "BEAT_SECONDS", 0.001)
    hold(inner, fake)
    step = service.train("learner", ["x"])
    while calls.beats < 3:
        pass
    fake.gate.open()
    assert step.result(PATIENCE)[0] == "learnerx"
    assert service.status().steps == 1


def test_a_replica_whose_worker_is_gone_says_so(base_model):
    inner = Service(base_model)
    replica = Replica(inner)
    replica.check()
    inner.close()
    with pytest.raises(ServiceClosed):
        replica.check()


def test_a_replica_that_a_crowd_waits_for_is_well(base_model):
    with Service(base_model, max_waiting=0) as inner:
        Replica(inner).check()


def test_whom_work_counts_for_goes_with_it_to_whatever_replica_does_it(far, monkeypatch):
    """Also where the rest is asked of another one, and on another thread."""
    service, _ = far(1)
    groups = []

    def noted(name):
        made = getattr(in_process, name)

        def make(*arguments):
            groups.append(arguments[-1])
            return made(*arguments)

        monkeypatch.setattr(in_process, name, make)

    noted("TrainingRequest")
    noted("AskingRequest")

    def work():
        GROUP.set("hall")
        list(service.train_run(service.new_learner(CONFIG), STEPS[:2]))
        service.train(service.new_learner(CONFIG), STEPS[0]).result(PATIENCE)
        service.complete([Ask("Is it?", False)], 2)

    copy_context().run(work)
    service.complete([Ask("Is it?", False)], 2)
    assert len(groups) >= 5 and set(groups[:-1]) == {"hall"} and groups[-1] is None
