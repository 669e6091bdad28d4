"""The line that says what to do now fits what has just been done."""

from dataclasses import replace

import pytest

from arena import Problem
from learner.measuring import score_of
from learner.view.teach.hints import hint_of, told
from learner.visitors.lesson import Lesson
from learner.visitors.run import RunState
from learner.visitors.session import Session
from learner.visitors.teaching import Event
from tests.learner.visitors.scripted import idle as finished
from tests.learner.visitors.scripted import untrained

YES = Problem("own", 0, "Is water wet?", "Yes", "yes/no")


def hint(lesson: Lesson) -> str:
    words, _ = hint_of(lesson)
    return words


def test_after_a_new_problem(lesson):
    lesson.draw()
    assert "Press **Train** and watch" in hint(finished(lesson))  # from however many
    lesson.train(4)
    finished(lesson)
    lesson.draw()
    assert "compare the two rows" in hint(finished(lesson))


def test_on_a_question_of_ones_own(lesson):
    lesson.show(YES)
    assert "**Train on this problem**" in hint(finished(lesson))
    lesson.show(replace(YES, answer=""))
    assert "nothing is graded" in hint(finished(lesson))


def test_on_a_problem_that_scores_it(lesson):
    lesson.show_scored(3)
    assert "nothing is ever learnt from this one" in hint(finished(lesson))


def test_after_another_format_or_signal(lesson):
    lesson.choose_format(True)
    assert "the ☞ answer is the one to watch" in hint(lesson)
    lesson.choose_format(False)
    lesson.train(4)
    finished(lesson)
    lesson.choose_format(True)
    words = hint(lesson)
    assert "with the chat template. What it knows there is not measured" in words
    assert "**Measure**, under Snapshots." in words
    lesson.choose_signal("reward")
    assert "told only which tries were right" in hint(lesson)


@pytest.mark.parametrize("kind", ["undone", "redone", "loaded"])
def test_one_episode_is_told_as_one(exam, kind):
    assert "learnt from 1 episode." in told(Event(kind), 1, exam)
    assert "learnt from 80 episodes." in told(Event(kind), 80, exam)


def test_episodes_that_are_not_measured_are_counted(lesson):
    lesson.show(YES)
    finished(lesson)
    for _ in range(3):
        lesson.train_one()
        finished(lesson)
    assert "Not measured for 3 episodes: **Measure**" in hint(lesson)
    lesson.measure()
    assert "Not measured" not in hint(finished(lesson))


@pytest.mark.parametrize(
    ("chat_template", "instead"), [(False, "change the learning rate"), (True, "Without the chat")]
)
def test_after_a_run_that_gained_nothing(
    lesson, exam, service, monkeypatch, chat_template, instead
):
    exam.measure_shared(untrained()).join()
    monkeypatch.setattr(service, "_text", lambda ask: " ____")  # whatever it has learnt
    lesson.choose_format(chat_template)
    lesson.train(4)
    words = hint(finished(lesson))
    assert "no gain shows" in words
    assert instead in words


def test_the_other_format_is_not_advised_where_the_model_does_better_in_it(exam, monkeypatch):
    alone = {True: score_of("10" * 25, True), False: score_of("110" * 16 + "11", False)}
    monkeypatch.setattr(exam, "alone", alone.get)
    words = told(Event("run", 8, result=score_of("01" * 25, True, 8)), 8, exam)
    assert "no gain shows" in words and "Train more" in words


def test_a_gain_stands_beside_the_model_alone_with_what_was_gained_and_lost(exam):
    exam.measure_shared(untrained()).join()
    event = Event("run", 8, result=score_of("1" * 50, False, 8))
    assert "without your soft prompt: +50 −0, p < 0.0001. Try a **New" in told(event, 8, exam)


def test_nothing_is_concluded_while_the_model_alone_is_measured(exam, monkeypatch):
    monkeypatch.setattr(exam, "alone", lambda chat_template: score_of("0" * 8, chat_template))
    event = Event("run", 8, result=score_of("0" * 30 + "1" * 20, False, 8))
    words = told(event, 8, exam).replace("\u202f", " ")
    assert "**40 % right** on 50 held-out problems" in words
    assert ", 0 % of 8 so far without your soft prompt. Try a **New" in words
    assert "no gain" not in words and "p =" not in words


def test_an_exam_on_the_way_is_not_the_end(lesson):
    lesson.run = RunState(lesson.learner, 20, 80, examining=True)
    assert hint(lesson) == "Now it answers problems that it has never seen."


def test_after_a_restart_in_the_middle_of_a_run(lesson, exam, service):
    service.gate.clear()
    lesson.train(80)
    state = lesson.session.state
    state = replace(state, learner=replace(state.learner, episodes=24))
    service.gate.set()
    lesson.stop()
    finished(lesson)
    again = Lesson(service, exam, Session("an-id", state, lambda *_: None, untrained))
    words = hint(finished(again))
    assert "24 episodes of 80 were learnt, and are kept. **Go on** does the rest" in words
