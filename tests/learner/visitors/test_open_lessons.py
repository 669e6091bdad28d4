"""How many lessons are kept open, and that nobody is left with the double of one."""

import gc
from types import SimpleNamespace

import pytest

from learner.visitors.lesson import Lesson
from learner.visitors.open_lessons import OpenLessons
from learner.visitors.session import Session, SessionState
from tests.coroutines import follow
from tests.learner.visitors.scripted import offered, untrained


@pytest.fixture
def lessons(service, exam) -> OpenLessons:
    """Room for one lesson, before sessions that are never forgotten."""
    sessions: dict[str, Session] = {}

    def get(session_id: str, address: str | None = None) -> Session:
        made = Session(session_id, SessionState(untrained(), seed=7), lambda *_: None, untrained)
        return sessions.setdefault(session_id, made)

    kept = SimpleNamespace(
        get=get, open=lambda name, *_: get(name), model_of=lambda _: service.base_model
    )
    return OpenLessons(offered(service, exam), kept, max_lessons=1)


def finish(lesson: Lesson) -> None:
    for _ in follow(lesson, lambda: lesson.busy):
        pass


@pytest.mark.parametrize("action", [None, Lesson.draw_samples, lambda lesson: lesson.train(4)])
def test_a_lesson_in_which_something_is_being_written_has_no_double(lessons, service, action):
    mine = lessons.open("mine")
    finish(mine)
    service.gate.clear()
    service.answer_gate.clear()
    if action is None:
        mine.draw()
    else:
        action(mine)
    others = [lessons.open(name) for name in ("a", "b")]
    again = lessons.get("mine")
    service.gate.set()
    service.answer_gate.set()
    assert again is mine
    for lesson in (mine, *others):
        finish(lesson)


def test_a_lesson_that_a_page_follows_has_no_double(lessons):
    lesson = lessons.open("mine")
    finish(lesson)
    followed, number = follow(lesson, lambda: True), id(lesson)
    next(followed)
    del lesson
    finish(lessons.open("another"))
    gc.collect()
    assert id(lessons.get("mine")) == number
    followed.close()


def test_lessons_that_nobody_holds_any_more_are_let_go(lessons):
    lesson = lessons.open("mine")
    finish(lesson)
    lesson.choose_signal("reward")
    number = id(lesson)
    del lesson
    finish(lessons.open("another"))
    gc.collect()
    assert number not in {id(one) for one in gc.get_objects() if isinstance(one, Lesson)}
    assert lessons.get("mine").signal == "reward"  # it comes back as its session has it
