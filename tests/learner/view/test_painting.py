"""What the page says and offers in each state of a lesson."""

import re
from dataclasses import replace
from html import unescape
from types import SimpleNamespace

import pytest

from arena import Problem
from learner.view.painting import Painter, Picture
from learner.visitors.exam import Exam
from learner.visitors.lesson import Lesson
from learner.visitors.session import Session
from tests.learner.visitors.scripted import ScriptedService, untrained


@pytest.fixture
def painter(exam: Exam) -> Painter:
    model = SimpleNamespace(embedding_spread=1.0, name="a/b", parameter_count=3_100_000)
    return Painter(model, exam)


@pytest.fixture
def lesson(service: ScriptedService, exam: Exam, session: Session) -> Lesson:
    return finished(Lesson(service, exam, session))


def finished(lesson: Lesson) -> Lesson:
    for _ in lesson.follow(lambda: lesson.run is not None or lesson.comparison.answering):
        pass
    return lesson


def visible(html: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", html)).replace("\u202f", " ")


def spoken(html: str) -> str:
    return unescape(re.search('aria-label="([^"]*)"', html)[1]).replace("\u202f", " ")


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
    exam.measure_shared(untrained())
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


def test_told_only_right_or_wrong_its_tries_stand_where_the_loss_stood(painter, lesson):
    assert "spa-loss" in painter.paint(lesson).loss
    lesson.choose_signal("reward")
    waiting = painter.paint(lesson)
    assert waiting.signal.value == "reward" and waiting.signal.enabled
    assert "8 times at each problem" in visible(waiting.loss)
    lesson.train(8)
    finished(lesson)
    picture = painter.paint(lesson)
    assert "after 8 episodes · 8 of 16 right" in visible(picture.loss)
    lesson.choose_signal("answer")
    assert "spa-loss" in painter.paint(lesson).loss


def test_rewards_are_drawn_over_the_episodes_of_their_format(painter, lesson, service):
    lesson.choose_signal("reward")
    lesson.train(8)
    finished(lesson)
    record = replace(lesson.learner.history[-1], signal="reward", samples=16, reward=0.5)
    lesson.session.replace_learner(replace(lesson.learner, history=(record,)))
    assert "Of its own tries 50 % were right" in spoken(painter.paint(lesson).accuracy)
    for other in ({"samples": 0}, {"signal": "thumbs"}, {"chat_template": True}):
        history = (replace(record, **other),)
        lesson.session.replace_learner(replace(lesson.learner, history=history))
        assert "Of its own tries" not in spoken(painter.paint(lesson).accuracy)


def test_thumbs_can_be_learnt_from_once_something_is_marked(painter, lesson):
    picture = painter.paint(lesson)
    assert picture.can_try and not picture.can_learn_thumbs
    lesson.draw_samples()
    for _ in lesson.follow(lambda: lesson.busy):
        pass
    assert not painter.paint(lesson).can_learn_thumbs
    lesson.rate(lesson.samples.shown.number, 0, 1)
    lesson.rate(lesson.samples.shown.number, 1, -1)
    assert painter.paint(lesson).can_learn_thumbs
    lesson.learn_from_thumbs()
    finished(lesson)
    told = visible(painter.paint(lesson).hint)
    assert "It now says what you liked 45 % of the time, 25 % before" in told
    assert "what you did not like 5 % of the time, 25 % before" in told


def test_during_a_run_thumbs_and_signal_wait(painter, lesson, service):
    service.gate.clear()
    lesson.choose_signal("reward")
    lesson.train(8)
    picture = painter.paint(lesson)
    assert not (picture.can_try or picture.can_learn_thumbs or picture.signal.enabled)
    assert "told only right or wrong" in visible(picture.hint)
    service.gate.set()
    finished(lesson)


@pytest.mark.parametrize(
    ("signal", "right", "says"),
    [
        ("answer", 2, "Learnt once from this very problem (loss 1.50)"),
        ("reward", 2, "2 of 4 tries at this very problem were right"),
        ("mix", 2, "2 of 4 tries at this very problem were right"),
        ("reward", 0, "Nothing to tell apart. Tell it the answer"),
    ],
)
def test_one_problem_learnt_from_is_told_by_what_it_was_learnt_from(
    painter, lesson, service, signal, right, says
):
    service.right = right
    lesson.show(Problem("own", 0, "Is water wet?", "Yes", "yes/no"))
    lesson.choose_signal(signal)
    lesson.train_one()
    finished(lesson)
    assert says in visible(painter.paint(lesson).hint)
