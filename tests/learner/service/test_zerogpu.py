"""The service on ZeroGPU: its calls as they are there, and what it makes of each way they end."""

import pickle
import select
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
import torch

from arena import stream
from learner.learning.learner import new_learner
from learner.learning.training import train_step
from learner.model.completion import Completion, stream_completions
from learner.service import zerogpu
from learner.service.protocol import ServiceClosed
from learner.service.zerogpu import LONGEST_CALL, GpuUnavailable, ZeroGpuService
from tests.learner.service import zerogpu_scenarios as scenarios
from tests.learner.tiny_models import build_base_model

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """The outcomes of all scenarios, from a process of their own."""
    folder = tmp_path_factory.mktemp("zerogpu")
    command = [sys.executable, "-m", "tests.learner.service.zerogpu_scenarios", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150)

    def outcome(scenario):
        file = folder / scenario.__name__
        assert file.exists(), done.stdout + done.stderr
        found = pickle.loads(file.read_bytes())
        assert not found.error, found.error
        return found.value

    return outcome


@pytest.fixture(scope="module")
def expected():
    """The learners of the same run without ZeroGPU."""
    base_model = build_base_model("qwen2")
    learner, learners = new_learner(base_model, scenarios.CONFIG), []
    for step in scenarios.STEPS:
        learner, _ = train_step(base_model, learner, step)
        learners.append(learner)
    return learners


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.prompt, other.prompt)
        assert one.history == other.history


def test_a_whole_run_is_one_call_with_a_duration_and_learns_the_same(played, expected):
    learners, seconds = played(scenarios.a_run_is_one_call)
    assert_same(learners, expected)
    assert 3 <= seconds <= 10


def test_answers_stream_from_one_call_and_are_the_same(played):
    answers, calls = played(scenarios.answers_stream_from_one_call)
    *_, same = stream_completions(build_base_model("qwen2"), scenarios.ASKS, scenarios.TOKENS)
    assert [answer.text for answer in answers] == [answer.text for answer in same]
    assert calls == 1


def test_of_a_worker_killed_in_mid_run_no_step_is_lost_or_done_twice(played, expected):
    learners, calls = played(scenarios.a_killed_worker_costs_nothing)
    assert_same(learners, expected)
    assert calls == 2


def test_of_a_worker_killed_while_it_answers_the_answers_come_all_the_same(played):
    _, last = played(scenarios.a_worker_killed_while_it_answers_costs_nothing)
    *_, same = stream_completions(build_base_model("qwen2"), scenarios.ASKS, 40)
    assert [answer.text for answer in last] == [answer.text for answer in same]


def test_two_visitors_at_once_are_two_processes_and_do_not_meet(played, expected):
    results, children = played(scenarios.visitors_have_processes_of_their_own)
    assert children == [2, 2]
    for learners in results:
        assert_same(learners, expected)


def test_stopping_ends_the_call_and_the_process_serves_the_next_one(played, expected):
    learners, warm = played(scenarios.stopping_ends_the_call_and_the_next_one_is_warm)
    assert_same(learners, expected[:2])
    assert warm


def test_a_lock_that_another_thread_holds_at_the_fork_stops_nobody(played, expected):
    learner = played(scenarios.a_lock_that_is_held_at_the_fork_stops_nobody)
    assert_same([learner], expected[:1])


def test_a_process_that_is_stuck_before_it_begins_costs_a_call(played, expected):
    learners, calls, left = played(scenarios.a_process_that_is_stuck_before_it_begins_is_ended)
    assert_same(learners, expected)
    assert calls == 2
    assert 0 < left <= 30


def test_a_look_at_the_weights_is_had_where_they_are(played):
    assert played(scenarios.a_look_is_had_where_the_weights_are) == (True, 1)


def test_out_of_quota_is_told_with_what_still_works(played):
    said = played(scenarios.out_of_quota_is_told_and_what_was_learnt_is_kept)
    assert "limit" in said or "quota" in said
    assert "What you have learnt is kept" in said


def test_what_is_wrong_with_the_work_is_told_in_its_own_sentence(played):
    assert "too long" in played(scenarios.what_is_wrong_with_the_work_is_told)


def test_a_fault_in_the_worker_is_told_by_its_name_alone(played):
    said = played(scenarios.a_fault_in_the_worker_is_told_without_its_details)
    assert said == "The GPU's process failed (ZeroDivisionError)."


def test_background_work_counts_against_who_asked(played):
    assert played(scenarios.background_work_counts_against_who_asked) == ["ada", "ada"]


def test_a_service_that_is_closed_ends_what_runs(played):
    assert played(scenarios.a_service_that_is_closed_says_so) == ("ServiceClosed", False)


# Without forking: what the service makes of how calls end


class Lender:
    """Lends at once, in this process; ``cuts`` says after how many pieces which call ends."""

    def __init__(self, *cuts):
        self.cuts = [*cuts]
        self.seconds = []

    def __call__(self, duration):
        def decorate(task):
            def call(*arguments):
                self.seconds.append(duration(*arguments))
                cut = self.cuts.pop(0) if self.cuts else None
                for number, value in enumerate(task(*arguments)):
                    if number == cut:
                        raise Fault("GPU task aborted", "ZeroGPU worker error")
                    yield value

            return call

        return decorate


class Fault(Exception):
    """As Gradio's error: with a title, if it means something to a visitor."""

    def __init__(self, message, title=""):
        super().__init__(message)
        self.message = message
        self.title = title


def lent(lender, **options):
    return ZeroGpuService(build_base_model("qwen2"), lender, (Fault,), "cpu", **options)


def trained(service, steps):
    return [
        learner for learner, _ in service.train_run(service.new_learner(scenarios.CONFIG), steps)
    ]


def test_wherever_calls_are_cut_every_step_is_taken_once(expected, monkeypatch):
    whole = len(pickle.dumps((expected[0], None)))
    monkeypatch.setattr(zerogpu, "_PIECE", whole)  # bytes: less than a step, then, and its report
    for cuts in ((2,), (5,), (11,), (4, 1, 3), (2, 2, 3, 2, 3)):
        service = lent(lender := Lender(*cuts))
        assert_same(trained(service, scenarios.STEPS), expected)
        assert len(lender.seconds) == len(cuts) + 1


@pytest.mark.parametrize("size", [0, 1, 3000, 4096, 10_000, 70_000])
def test_whatever_a_value_takes_it_comes_in_pieces_and_is_whole_again(size):
    values = [bytes(size), "next", b"." * size]
    pieces = [piece for value in values for piece in zerogpu._pieces(value)]
    assert [*zerogpu._joined(pieces)] == values
    assert [*zerogpu._joined(pieces[:-1])] == values[:2]


def test_no_message_of_a_worker_is_longer_than_a_pipe_takes_whole(played):
    sizes = played(scenarios.what_a_worker_writes_a_pipe_takes_whole)
    assert len(sizes) > 50  # of 200,000 bytes
    assert max(sizes) <= select.PIPE_BUF


def test_a_gpu_that_is_always_taken_back_at_once_is_not_asked_for_ever():
    service = lent(Lender(2, 0, 0, 0))
    with pytest.raises(GpuUnavailable, match="before anything was done"):
        trained(service, scenarios.STEPS)


def test_a_long_run_is_cut_into_calls_that_are_not_too_long(monkeypatch):
    monkeypatch.setattr(zerogpu, "_STEP_ROW", 10.0)
    ticks = iter(range(0, 10**6, 10))
    service = lent(lender := Lender(), clock=lambda: next(ticks))
    steps = [[problem] for problem in islice(stream(0, "train"), 10)]
    assert len(trained(service, steps)) == 10
    assert len(lender.seconds) > 2
    assert max(lender.seconds) <= LONGEST_CALL


def test_a_call_asks_for_what_the_same_work_took_before(monkeypatch):
    now = [0.0]
    service = lent(lender := Lender(), clock=lambda: now[0])

    def slow(base_model, learner, step):
        now[0] += 2.0
        return train_step(base_model, learner, step)

    monkeypatch.setattr(zerogpu, "train_step", slow)
    trained(service, scenarios.STEPS)
    trained(service, scenarios.STEPS)
    assert lender.seconds[1] > lender.seconds[0] + 5


def test_no_questions_have_an_answer_without_a_gpu():
    service = lent(lender := Lender())
    assert [*service.ask([])] == [()]
    assert lender.seconds == []


def test_what_zerogpu_says_is_passed_on_and_what_fails_elsewhere_too():
    for fault, said in (
        (Fault("No GPU was available after 60s", "ZeroGPU queue timeout"), "No GPU was available"),
        (Fault("connection refused"), "out of reach"),
    ):

        def lender(duration, fault=fault):
            def call(*_):
                raise fault
                yield

            return lambda task: call

        with pytest.raises(GpuUnavailable, match=said):
            trained(lent(lender), scenarios.STEPS)


def test_it_tells_what_it_has_done_and_nothing_more_once_it_is_closed():
    service = lent(Lender())
    trained(service, scenarios.STEPS)
    completions = service.complete(scenarios.ASKS, 2)
    assert all(isinstance(one, Completion) for one in completions)
    status = service.status()
    assert (status.steps, status.completions, status.busy) == (6, 3, False)
    service.close()
    with pytest.raises(ServiceClosed):
        service.ask(scenarios.ASKS)
    with pytest.raises(ServiceClosed):
        service.train(service.new_learner(scenarios.CONFIG), scenarios.STEPS[0])
