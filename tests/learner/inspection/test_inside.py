from contextvars import ContextVar
from dataclasses import replace

import pytest
import torch

from learner.inspection.inside import (
    FIRST_ANSWERS,
    LATE_MILLISECONDS,
    Inside,
    Insides,
    problems_for,
)
from learner.inspection.subject import Subject
from learner.learning.learner import Learner, LearnerConfig, new_learner
from learner.model.base_model import BaseModel
from learner.service.in_process import Service
from learner.visitors.checked_input import LessonError
from learner.visitors.exam import Exam
from learner.visitors.lesson import Lesson
from learner.visitors.session import Session, SessionState
from tests.coroutines import follow

VISITOR: ContextVar[str] = ContextVar("VISITOR", default="nobody")


@pytest.fixture(scope="module")
def service(pocket: BaseModel):
    with Service(pocket) as service:
        yield service


@pytest.fixture
def trained(pocket: BaseModel, subjects: list[Subject]) -> Learner:
    start = new_learner(pocket, LearnerConfig(seed=0))
    return replace(start, prompt=subjects[0].trained, steps=20, episodes=80)


def lesson_of(service: Service, learner: Learner) -> Lesson:
    session = Session("an-id", SessionState(learner, seed=7), lambda *_: None, service.new_learner)
    lesson = Lesson(service, Exam(service, size=5), session)
    return followed(lesson)


def followed(thing):
    for _ in follow(thing, lambda: thing.busy):
        pass
    return thing


@pytest.fixture
def inside(service: Service, trained: Learner) -> Inside:
    return arrived(Inside(lesson_of(service, trained)))


def arrived(inside: Inside) -> Inside:
    inside.arrive()
    return followed(inside)


def text(inside: Inside) -> str:
    return followed(inside).watched.completion.text


def test_the_lessons_problem_is_answered_and_graded(inside):
    assert inside.watched.completion.grade.correct
    assert inside.watched.is_whole


@pytest.mark.parametrize(
    ("seconds_an_answer", "embedded", "problems"),
    [(1e-9, True, 100), (0.0029, True, 77), (9.0, True, 30), (0.03, False, 61), (9.0, False, 40)],
)
def test_it_takes_as_many_problems_as_the_pace_leaves_time_for(
    seconds_an_answer, embedded, problems
):
    assert problems_for(seconds_an_answer, embedded) == problems


def test_time_left_goes_by_the_pace_since_the_first_picture(inside):
    inside.answers, inside.seconds = 102, 19.0
    assert inside.pace == pytest.approx(102 / 19)
    inside.asked, inside._paced_from = 40, (102, 19.0)
    assert inside.seconds_left is None
    inside.answers, inside.seconds = 322, 30.0
    assert inside.pace == pytest.approx(20)
    assert inside.seconds_left == pytest.approx((inside.all_answers - 322) / 20)


def test_without_its_vectors_it_says_what_it_said_untrained(inside):
    for vector in range(8):
        inside.switch(vector)
    assert text(inside).startswith("_")
    assert torch.equal(inside.watched.prompt, inside._subject.untrained)
    inside.whole()
    assert not text(inside).startswith("_")


def test_strength_0_is_the_untrained_prompt_and_the_vectors_stay_switched(inside):
    inside.switch(2)
    inside.turn(0.0)
    assert text(inside).startswith("_")
    assert inside.watched.kept[2] is False
    inside.turn(1.0)
    assert not text(inside).startswith("_")


def test_a_slide_that_comes_after_a_later_one_changes_nothing(inside):
    inside.turn(0.4, at=2.0)
    inside.turn(0.6, at=1.0)
    assert inside.watched.place == 0.4
    inside.scrub(0, at=1.0)  # another slider
    inside.turn(0.2, at=2.0)
    assert inside.watched.place == 0.2
    inside.turn(0.8, at=2.0 - LATE_MILLISECONDS)  # a clock that was set back
    assert inside.watched.place == 0.8


def test_what_cannot_be_is_refused_and_changes_nothing(inside):
    before = inside.watched
    for wrong in (
        lambda: inside.switch(8),
        lambda: inside.turn(1.6),
        lambda: inside.scrub(1),
    ):
        with pytest.raises(ValueError, match=r"\w"):
            wrong()
    assert inside.watched is before


def test_training_on_brings_moments_to_go_back_to(service, pocket):
    lesson = lesson_of(service, new_learner(pocket, LearnerConfig()))
    inside = arrived(Inside(lesson))
    assert not inside.is_trained
    with pytest.raises(LessonError, match="nothing to look into yet"):
        inside.look()
    lesson.train(8)
    followed(lesson)
    arrived(inside)
    assert [moment.episodes for moment in inside.moments] == [0, 4, 8]
    inside.scrub(0)
    assert text(inside).startswith("_")
    assert torch.equal(inside.watched.prompt, inside.moments[0].prompt)


def test_the_inspection_begins_with_its_first_picture_and_can_be_stopped(inside):
    inside.look(["My key"])
    with pytest.raises(LessonError, match="already"):
        inside.look()
    for _ in follow(inside, lambda: inside.working and not inside.parts):
        pass
    assert next(iter(inside.parts)) == "strength"
    assert inside.all_parts == 8 and inside.answers >= 5 * FIRST_ANSWERS
    inside.stop()
    assert not inside.working  # at once, whatever the device is busy with
    assert "strength" in inside.parts


def test_pictures_go_with_the_soft_prompt_that_they_are_of(service, trained):
    lesson = lesson_of(service, trained)
    inside = arrived(Inside(lesson))
    inside.look()
    for _ in follow(inside, lambda: inside.working and not inside.parts):
        pass
    lesson.reset()
    followed(lesson)
    assert not inside.is_current and inside.parts  # they stand there until somebody comes again
    arrived(inside)
    assert inside.is_current and not inside.is_trained
    assert not inside.working and not inside.parts and inside.gone == 80
    lesson.undo()
    followed(lesson)
    inside.look()  # at what is there now
    assert inside.learner is lesson.learner and inside.gone is None
    inside.stop()


def test_who_looks_on_while_it_is_trained_is_told_that_it_has_changed(service, trained):
    lesson = lesson_of(service, trained)
    inside = arrived(Inside(lesson))
    lesson.train(8)
    for _ in follow(inside, lambda: inside.busy):
        last = inside.is_current
    assert last is False


def test_what_is_asked_in_the_background_is_asked_for_whoever_clicked(service, inside, monkeypatch):
    """On ZeroGPU the time that it takes is theirs."""
    asked = []

    def ask(asks):
        asked.append(VISITOR.get())
        return Service.ask(service, asks)

    monkeypatch.setattr(service, "ask", ask)
    whose = VISITOR.set("somebody")
    try:
        inside.switch(0)
        followed(inside)
        assert asked == ["somebody"]
        inside.look()
    finally:
        VISITOR.reset(whose)
    for _ in follow(inside, lambda: inside.working and not inside.parts):
        pass
    inside.stop()
    assert len(asked) > 1 and set(asked) == {"somebody"}


def test_a_visitor_finds_what_they_left(service, trained):
    insides, lesson = Insides(), lesson_of(service, trained)
    insides.of(lesson).switch(3)
    assert insides.of(lesson).watched.kept[3] is False
    assert insides.of(lesson_of(service, trained)).watched.kept[3] is True


def test_a_crowd_takes_no_look_from_whoever_is_there(service, trained):
    insides = Insides(most=2)
    watching, gone = lesson_of(service, trained), lesson_of(service, trained)
    for lesson in (watching, gone):
        insides.of(lesson).switch(3)
    looking = follow(insides.of(watching), lambda: True)
    next(looking)
    for _ in range(4):
        insides.of(lesson_of(service, trained))
    assert insides.of(watching).watched.kept[3] is False
    assert insides.of(gone).watched.kept[3] is True  # it was given up
    looking.close()
