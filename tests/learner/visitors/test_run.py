"""The loop behind the Train button."""

import threading
from concurrent.futures import Future
from contextlib import closing
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena import stream
from learner.learning.training import StepReport
from learner.visitors.exam import FIRST_LOOK, Exam
from learner.visitors.run import training_run
from tests.learner.visitors.scripted import ScriptedService, untrained

PROBLEMS = list(islice(stream(3, "train"), 90))


def run(service, exam, episodes, exams=4, **options):
    return list(
        training_run(
            service, exam, untrained(), iter(PROBLEMS), episodes, exams, owner="me", **options
        )
    )


def whole_exam(state):
    return state.result is not None and state.result.n == state.asked


@pytest.mark.parametrize(
    ("episodes", "steps", "exams"), [(80, 20, 4), (1, 1, 1), (5, 2, 2), (8, 2, 2), (82, 21, 4)]
)
def test_a_run_learns_from_as_many_episodes_as_asked_and_ends_with_an_exam(
    service, exam, episodes, steps, exams
):
    states = run(service, exam, episodes)
    assert states[-1].done == states[-1].learner.episodes == episodes
    assert states[-1].learner.steps == steps
    assert states[-1].result is not None
    assert service.taught == PROBLEMS[:episodes]
    whole = {state.result.episodes for state in states if state.result and whole_exam(state)}
    assert len(whole) == exams


def test_exams_are_spread_evenly_and_marked_in_the_format_learnt_in(service, exam):
    marks = [state.result for state in run(service, exam, 80) if whole_exam(state)]
    assert sorted(mark.episodes for mark in marks) == [20, 40, 60, 80]
    assert not any(mark.chat_template for mark in marks)
    assert not any(ask.chat_template for ask in service.asked)


def test_no_exams_when_none_are_asked_for(service, exam):
    assert [state.result for state in run(service, exam, 1, exams=0)] == [None]
    assert not service.asked


def test_rate_and_time_left_come_from_training_time(service, exam):
    ticks = iter(range(1000))
    states = run(service, exam, 8, exams=0, clock=lambda: next(ticks))
    assert [state.rate for state in states] == [4.0, 4.0]
    assert [state.seconds_left for state in states] == [1.0, 0.0]
    assert [state.testing_left for state in states] == [0.0, 0.0]


def test_the_last_exam_is_counted_by_the_pace_of_those_beside_no_training(service, exam):
    exam.pace, exam.pace_alone = 1.0, 5.0
    ticks = iter(range(1000))
    first, *_ = run(service, exam, 8, exams=1, clock=lambda: next(ticks))
    assert (first.seconds_left, first.testing_left) == (1.0, len(exam.problems) / 5.0)
    exam.pace_alone = None
    first, *_ = run(service, exam, 8, exams=1, clock=lambda: next(ticks))
    assert (first.seconds_left, first.testing_left) == (1.0, None)


def test_of_exams_on_the_way_counts_what_training_leaves_over(service, exam):
    exam.pace, exam.pace_alone = 2.0, 5.0
    size = exam.milestone_size
    ticks = iter(range(1000))
    first, *_ = run(service, exam, 12, exams=3, clock=lambda: next(ticks))
    left_over = 2 * size - 2.0 * first.seconds_left
    assert first.seconds_left == 2.0
    assert first.testing_left == (left_over + len(exam.problems)) / 5.0


@settings(max_examples=20)
@given(after=st.integers(1, 30))
def test_stopping_ends_at_a_step_and_keeps_every_step_taken(after):
    service = ScriptedService()
    exam = Exam(service, size=10)
    states = []
    for state in training_run(
        service, exam, untrained(), iter(PROBLEMS), 80, 4, "me", lambda: len(states) >= after
    ):
        states.append(state)
    last = states[-1].learner
    assert last.episodes == states[-1].done == 4 * last.steps == len(service.taught)
    assert len(states) <= after + 1


def test_a_refused_step_says_why(service, exam, monkeypatch):
    def refuse(learner, problems, owner):
        future = Future()
        future.set_result(
            (learner, StepReport(float("nan"), 0.0, (False,) * 4, False, "The loss is no number."))
        )
        return future

    monkeypatch.setattr(service, "train", refuse)
    [state, *_] = run(service, exam, 4, exams=0)
    assert state.refused == "The loss is no number."
    assert state.learner.episodes == 0


def test_training_waits_for_no_exam(service, exam):
    service.answer_gate.clear()
    states = training_run(service, exam, untrained(), iter(PROBLEMS), 80, 4, owner="me")
    trained = next(state for state in states if state.done == 80 and state.milestone)
    assert trained.result is None and not service.answer_gate.is_set()
    service.answer_gate.set()
    taken = [s.result.episodes for s in states if whole_exam(s)]
    assert taken.index(80) <= 1  # the last goes before all that have not begun
    taken.remove(80)
    assert taken == [20, 40, 60]


def test_an_exam_as_small_as_the_first_look_makes_way_for_the_last_one_too(service, monkeypatch):
    exam = Exam(service, size=FIRST_LOOK - 2)
    grow = exam.grow
    monkeypatch.setattr(exam, "grow", lambda *of: [*grow(*of)][-1:])  # all answers at once
    service.answer_gate.clear()
    marks = []
    for state in training_run(service, exam, untrained(), iter(PROBLEMS), 80, 4, "me"):
        if state.done == 80 and state.milestone:
            service.answer_gate.set()
        if whole_exam(state):
            marks.append(state.result.episodes)
    assert sorted(marks) == [20, 40, 60, 80]


def test_the_first_point_begins_with_as_few_problems_as_a_click_asks(service, exam, monkeypatch):
    sizes, answers, all_asked = [], service.ask, threading.Event()

    def ask(asks, max_new_tokens=48):
        sizes.append(len(asks))
        if sum(sizes) == len(exam.problems):
            all_asked.set()
        return answers(asks, max_new_tokens)

    monkeypatch.setattr(service, "ask", ask)
    with closing(training_run(service, exam, untrained(), iter(PROBLEMS), 80, 4, "me")) as states:
        next(state for state in states if state.milestone)
        assert all_asked.wait(30)
    assert sizes == [FIRST_LOOK, len(exam.problems) - FIRST_LOOK]


def test_an_exam_that_makes_way_for_the_last_one_goes_on_where_it_was(service, exam):
    """It has a few answers when the last begins; its score is the same as that taken at once."""
    service.answer_gate.clear()
    states = training_run(service, exam, untrained(), iter(PROBLEMS), 80, 4, owner="me")
    snapshots = []
    for state in states:
        snapshots += [state.learner] * state.milestone
        if len(snapshots) == 4:
            service.answer_gate.set()
            break
    told = [state.result for state in states if state.result]
    assert next(score.n for score in told if score.episodes == 20) == FIRST_LOOK
    whole = {score.episodes: score for score in told if score.n == len(exam.problems)}
    assert whole == {one.episodes: exam.take(one, False) for one in snapshots}


def test_milestones_get_what_the_pace_allows_and_the_end_the_whole_set(service):
    exam = Exam(service, size=60)
    exam.pace = 5.0
    assert exam.milestone_size == 25
    marks = [s.result for s in run(service, exam, 80) if whole_exam(s)]
    sizes = {mark.episodes: mark.n for mark in marks}
    assert (sizes[20], sizes[80]) == (25, 60)
    exam.pace = 1e-3
    assert exam.milestone_size == 20
    exam.pace = 1e6
    assert exam.milestone_size == 60


def test_an_exam_that_fails_is_told_to_whoever_reads_the_run(service, exam, monkeypatch):
    def fail(asks, max_new_tokens=48):
        raise ValueError("The model is too small.")

    monkeypatch.setattr(service, "ask", fail)
    with pytest.raises(ValueError, match="too small"):
        run(service, exam, 8)


def test_where_each_use_is_counted_one_thing_goes_on_at_a_time(service, exam):
    exam.leave_to_visitors(untrained())
    states = run(service, exam, 80)
    order = [(s.milestone, s.result.n if s.result else None, s.done) for s in states]
    for place, (milestone, _, done) in enumerate(order):
        if milestone:  # its exam is over before anything further is learnt
            results = [n for _, n, d in order[place + 1 :] if d == done]
            assert results and results[-1] is not None
    assert exam.ready  # what all share was measured along with it


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_no_run_waits_for_an_exam_that_broke_off(service, exam, monkeypatch):
    def broken(asks, max_new_tokens=48):
        raise KeyError("a fault of ours")

    monkeypatch.setattr(service, "ask", broken)
    assert run(service, exam, 8)[-1].learner.episodes == 8
