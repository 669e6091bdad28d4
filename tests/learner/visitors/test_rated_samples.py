"""Tries to mark: different answers, marked on the set that is shown and on no other."""

import pytest

from arena import Problem
from learner.learning.thumbs import Thumbs
from learner.service.protocol import ServiceBusy
from learner.view.teach.hints import told
from learner.visitors.checked_input import LessonError
from learner.visitors.exam import Exam
from learner.visitors.lesson import Lesson
from learner.visitors.rated_samples import MOST_DRAWN, SHOWN
from learner.visitors.session import Session
from tests.learner.visitors.scripted import ScriptedService, untrained
from tests.learner.visitors.scripted import idle as finished

OWN = Problem("own", 0, "Why is the sky blue?", "", "text")


@pytest.fixture
def lesson(service: ScriptedService, exam: Exam, session: Session) -> Lesson:
    lesson = finished(Lesson(service, exam, session))
    lesson.show(OWN)
    return finished(lesson)


def drawn(lesson: Lesson) -> Lesson:
    lesson.draw_samples()
    return finished(lesson)


def test_four_different_answers_are_shown_without_a_right_one_being_known(lesson, service):
    lesson.choose_format(True)
    shown = drawn(lesson).samples.shown
    assert shown.problem is OWN and shown.chat_template and not shown.drawing
    assert len({one.text for one in shown.samples}) == SHOWN
    assert all(one.thumb == 0 and one.moved is None for one in shown.samples)
    sampled = [ask for ask in service.asked if ask.seed is not None]
    assert len(sampled) == shown.drawn == len({ask.seed for ask in sampled})
    assert {ask.prompt is lesson.learner.prompt for ask in sampled} == {True}


def test_a_learner_that_has_fewer_answers_shows_those_and_says_how_many_were_drawn(lesson, service):
    service.variety = 2
    shown = drawn(lesson).samples.shown
    assert len(shown.samples) == 2
    assert shown.drawn == MOST_DRAWN


def test_other_tries_are_drawn_the_next_time_and_the_same_ones_in_the_same_place(
    lesson, service, exam
):
    first = drawn(lesson).samples.shown.samples
    assert drawn(lesson).samples.shown.samples != first
    again = finished(Lesson(service, exam, lesson.session))
    assert drawn(again).samples.shown.samples == first


def test_exactly_what_is_marked_is_learnt_from_and_nothing_else(lesson, service):
    drawn(lesson)
    number, tries = lesson.samples.shown.number, lesson.samples.shown.samples
    lesson.rate(number, 0, 1)
    lesson.rate(number, 1, -1)
    lesson.rate(number, 2, -1)
    lesson.rate(number, 2, 0)
    before = lesson.learner
    lesson.learn_from_thumbs()
    finished(lesson)
    assert service.taught == [Thumbs(OWN.question, (tries[0].ids, tries[1].ids), (1, -1))]
    assert [one.moved and one.moved.after for one in lesson.samples.shown.samples] == [
        pytest.approx(0.45),
        pytest.approx(0.05),
        None,
        None,
    ]
    assert lesson.latest_event.kind == "thumbs" and lesson.learnt_from_shown
    lesson.undo()
    assert finished(lesson).learner is before
    assert all(one.moved is None for one in lesson.samples.shown.samples)
    assert [one.thumb for one in lesson.samples.shown.samples] == [1, -1, 0, 0]


def test_tries_are_learnt_from_in_the_format_that_they_were_made_in(lesson, service):
    drawn(lesson)
    lesson.rate(lesson.samples.shown.number, 3, -1)
    lesson.choose_format(True)
    lesson.learn_from_thumbs()
    assert not finished(lesson).learner.config.chat_template
    assert lesson.chat_template


def test_nothing_is_learnt_from_nothing(lesson, service):
    for action in (lesson.learn_from_thumbs, lambda: drawn(lesson).learn_from_thumbs()):
        with pytest.raises(LessonError, match="at least one"):
            action()
    assert service.taught == [] and lesson.learner.episodes == 0


@pytest.mark.parametrize("mark", [(-1, 0, 1), (None, 4, 1), (None, -1, 1), (None, 0, 2)])
def test_a_mark_on_something_else_is_refused(lesson, mark):
    drawn(lesson)
    number, index, sign = mark
    with pytest.raises(LessonError):
        lesson.rate(lesson.samples.shown.number if number is None else number, index, sign)
    assert all(one.thumb == 0 for one in lesson.samples.shown.samples)


def test_a_tab_that_shows_an_older_set_cannot_mark_a_newer_one(lesson):
    old = drawn(lesson).samples.shown.number
    drawn(lesson)
    with pytest.raises(LessonError, match="replaced"):
        lesson.rate(old, 0, 1)
    with pytest.raises(LessonError, match="4 tries"):
        lesson.rate_all([1])


def test_a_tab_that_shows_a_set_from_before_a_fresh_start_cannot_mark_a_newer_one(lesson):
    old = drawn(lesson).samples.shown.number
    lesson.start_over(9)
    assert finished(lesson).samples.shown.samples == ()
    assert drawn(lesson).samples.shown.number > old


def test_what_many_marked_is_learnt_from_and_nothing_if_other_tries_are_shown_by_now(
    lesson, service
):
    number = drawn(lesson).samples.shown.number
    assert not drawn(lesson).samples.shown.learnt_from
    with pytest.raises(LessonError, match="tries that were marked are gone"):
        lesson.learn_from_many(number, [1.0, 0.0, 0.0, 0.0])
    assert service.taught == [] and not lesson.samples.shown.rated
    lesson.learn_from_many(lesson.samples.shown.number, [0.5, -1.0, 0.0, 0.0])
    assert finished(lesson).samples.shown.learnt_from
    assert [thumbs.marks for thumbs in service.taught] == [(0.5, -1.0)]


@pytest.mark.parametrize(
    "action",
    [
        lambda lesson: lesson.draw(),
        lambda lesson: lesson.show(Problem("own", 0, "Who?", "", "text")),
        lambda lesson: lesson.train(4),
    ],
)
def test_tries_go_with_the_problem_and_the_soft_prompt_that_they_came_from(lesson, action):
    drawn(lesson)
    action(lesson)
    finished(lesson)
    assert lesson.samples.shown.samples == ()


def test_tries_still_being_drawn_are_dropped_with_their_problem(lesson, service):
    service.answer_gate.clear()
    lesson.draw_samples()
    assert lesson.busy and lesson.samples.shown.drawing
    lesson.draw()
    service.answer_gate.set()
    assert finished(lesson).samples.shown.samples == ()


def test_during_a_run_nothing_is_drawn_or_marked(lesson, service):
    number = drawn(lesson).samples.shown.number
    service.gate.clear()
    lesson.train(8)
    for action in (lesson.draw_samples, lambda: lesson.rate(number, 0, 1)):
        with pytest.raises(LessonError, match="once the run has ended"):
            action()
    service.gate.set()
    finished(lesson)


def test_a_problem_of_the_scored_set_is_not_learnt_from(lesson, exam):
    lesson.show(exam.problems[0])
    drawn(finished(lesson))
    lesson.rate(lesson.samples.shown.number, 0, 1)
    with pytest.raises(LessonError, match="held-out"):
        lesson.learn_from_thumbs()
    assert lesson.learner.episodes == 0


def test_what_goes_wrong_while_drawing_is_told_and_leaves_no_tries(lesson, service, monkeypatch):
    def busy(*_: object) -> None:
        raise ServiceBusy("Too many are waiting.")

    monkeypatch.setattr(service, "complete", busy)
    lesson.draw_samples()
    with pytest.raises(ServiceBusy):
        finished(lesson)
    assert finished(lesson).samples.shown.samples == ()


def test_the_signal_chosen_is_learnt_from_and_found_again_after_a_restart(lesson, service, exam):
    lesson.choose_signal("reward")
    lesson.train(8)
    finished(lesson)
    assert lesson.learner.config.signal == "reward"
    episodes, report = lesson.graded
    assert episodes == 8 and len(report.groups) == 4
    again = finished(Lesson(service, exam, lesson.session))
    assert again.signal == "reward"
    lesson.undo()
    assert finished(lesson).graded is None
    loaded = untrained(type(lesson.learner.config)(signal="mix"))
    lesson.adopt(loaded)
    assert finished(lesson).signal == "mix"


@pytest.mark.parametrize(("right", "says"), [(0, "Tell it the answer"), (4, "harder")])
def test_a_run_in_which_nothing_could_be_told_apart_says_so(lesson, service, exam, right, says):
    service.right = right
    lesson.choose_signal("reward")
    lesson.train(8)
    finished(lesson)
    assert (lesson.learner.steps, lesson.learner.episodes) == (0, 8)
    assert lesson.latest_event.kind == "refused"
    words = told(lesson.latest_event, 8, exam)
    assert "Nothing to tell apart" in words and says in words
