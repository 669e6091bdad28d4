"""What the page says and offers in each state of a lesson."""

import re
from html import unescape
from types import SimpleNamespace

import pytest
import torch
from scripted import ScriptedService

from arena import Problem
from learner.session import Session
from learner.view.exam import Exam
from learner.view.lesson import Lesson
from learner.view.painting import Painter, Picture


@pytest.fixture
def painter(exam: Exam) -> Painter:
    model = SimpleNamespace(embeddings=torch.randn(9, 16), name="a/b", parameter_count=3_100_000)
    return Painter(model, exam)


@pytest.fixture
def lesson(service: ScriptedService, exam: Exam, session: Session) -> Lesson:
    return finished(Lesson(service, exam, session))


def finished(lesson: Lesson) -> Lesson:
    for _ in lesson.follow(lambda: lesson.run is not None or lesson.board.answering):
        pass
    return lesson


def visible(html: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", html)).replace("\u202f", " ")


def buttons(picture: Picture) -> set[str]:
    names = ("train", "stop", "train_one", "undo", "reset")
    return {name for name in names if getattr(picture, f"can_{name}")}


def test_a_newcomer_is_told_what_to_press_and_what_to_watch(painter, lesson):
    picture = painter.paint(lesson)
    assert "Press Train 80 episodes" in visible(picture.hint)
    assert "watch this one" in visible(picture.answers)
    assert buttons(picture) == {"train", "train_one"}
    assert picture.chat_template.enabled
    assert "3.1 M weights" in visible(picture.strip)


def test_during_a_run_it_can_be_stopped_and_nothing_else(painter, lesson, service):
    service.gate.clear()
    lesson.train(80)
    picture = painter.paint(lesson)
    assert buttons(picture) == {"stop"}
    assert not picture.chat_template.enabled
    assert "0 of 80 episodes" in visible(picture.progress)
    assert "watch this one" in visible(picture.answers)
    assert "Learning without the chat template" in visible(picture.hint)
    lesson.stop()
    service.gate.set()
    finished(lesson)


def test_after_a_run_the_result_stands_beside_the_model_alone(painter, lesson, exam, service):
    exam.measure_shared(torch.zeros(8, 16))
    for _ in lesson.follow(lambda: not exam.ready):
        pass
    lesson.train(8)
    finished(lesson)
    picture = painter.paint(lesson)
    result = visible(picture.hint)
    assert re.search(r"\d+ % right on 50 held-out problems \(\d+–\d+ %\)", result)
    assert re.search(r"0 % without your soft prompt: \+\d+ −0, p [<=] ", result)
    assert buttons(picture) == {"train", "train_one", "undo", "reset"}
    assert "8 episodes learnt" in visible(picture.progress)
    assert "→" in visible(picture.families)
    assert "after 8 episodes" in picture.accuracy


@pytest.mark.parametrize(
    ("action", "told"),
    [
        (Lesson.undo, "Undone"),
        (Lesson.reset, "fresh soft prompt"),
        (lambda lesson: lesson.adopt(lesson.learner), "Loaded: learnt from 4 episodes"),
    ],
)
def test_every_change_of_learner_is_told(painter, lesson, action, told):
    lesson.train(4)
    finished(lesson)
    action(lesson)
    finished(lesson)
    assert told in visible(painter.paint(lesson).hint)


def test_a_question_without_an_answer_cannot_be_learnt_from(painter, lesson):
    lesson.show(Problem("own", 0, "Why?", "", "text"))
    finished(lesson)
    picture = painter.paint(lesson)
    assert not picture.can_train_one
    assert "not graded" in visible(picture.answers)


def test_a_step_that_was_not_adopted_says_why(painter, lesson, service, monkeypatch):
    service.gate.clear()
    lesson.train(8)
    refused = type(lesson.run)(lesson.learner, 4, 8, refused="The loss is no number.")
    monkeypatch.setattr(lesson, "run", refused)
    assert "The loss is no number." in visible(painter.paint(lesson).progress)
    monkeypatch.undo()
    service.gate.set()
    finished(lesson)
