"""What the page says and offers in each state of a lesson."""

import re
from dataclasses import replace
from html import unescape
from types import SimpleNamespace

import gradio as gr
import pytest

from arena import Problem
from learner.view.build import show_strip
from learner.view.page import Page, html
from learner.view.screen import Frame, Screen
from learner.view.server.login import Login
from learner.view.teach.tab import teach_tab
from learner.visitors.audience import Rooms
from learner.visitors.exam import Exam
from learner.visitors.lesson import Lesson
from learner.visitors.open_lessons import OpenLessons
from tests.coroutines import each, follow
from tests.learner.visitors.scripted import FACTS, ScriptedService, finished, offered, untrained


@pytest.fixture
def page(service: ScriptedService, exam: Exam) -> Page:
    """The Teach tab in front of a model that is not there."""
    service.base_model = replace(FACTS, parameter_count=3_100_000)
    with gr.Blocks() as demo:
        page = Page(demo, lessons_of(service, exam), Rooms(), Login(on_loopback=True))
        show_strip(page)
        with gr.Tab("Teach") as tab:
            teach_tab(page, tab)
    return page


def lessons_of(service: ScriptedService, exam: Exam) -> OpenLessons:
    """In front of that one model, of nobody."""
    return OpenLessons(offered(service, exam), SimpleNamespace())


def looks(page: Page, lesson: Lesson) -> SimpleNamespace:
    """What each part of the page shows of a lesson, by its id on the page."""
    frame = opened_now(page, lesson)
    return SimpleNamespace(
        **{part.elem_id[4:].replace("-", "_"): value for part, value in frame.items()}
    )


def opened_now(page: Page, lesson: Lesson) -> Frame:
    """What a page shows that is opened now."""
    frame, nothing_new = each(page.lesson.frames(lesson, lambda _: False))
    assert [*nothing_new.values()] == [gr.skip()]
    return frame


def pressable(picture: SimpleNamespace) -> set[str]:
    """Which of the buttons that teach can be pressed."""
    names = ("train", "stop", "train_one", "undo", "reset")
    return {name for name in names if getattr(picture, name)["interactive"]}


def visible(html: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", html)).replace("\u202f", " ")


def spoken(html: str) -> str:
    return unescape(re.search('role="img" aria-label="([^"]*)"', html)[1]).replace("\u202f", " ")


def test_a_newcomer_is_told_what_to_press_and_what_to_watch(page, lesson):
    picture = looks(page, lesson)
    assert "Press Train and watch" in visible(picture.hint)
    assert "watch this one" in visible(picture.answers)
    assert re.search("train to draw|measuring the model alone", visible(picture.accuracy))
    assert pressable(picture) == {"train", "train_one"}
    assert picture.format["interactive"]
    assert "3.1 M weights" in visible(picture.strip)


def test_during_a_run_it_can_be_stopped_and_nothing_else(page, lesson, service):
    service.gate.clear()
    lesson.train(80)
    picture = looks(page, lesson)
    assert pressable(picture) == {"stop"}
    assert not picture.format["interactive"]
    assert "0 of 80 episodes" in visible(picture.progress)
    assert "its first answers are being graded" in visible(picture.accuracy)
    assert "watch this one" in visible(picture.answers)
    assert "Learning without the chat template" in visible(picture.hint)
    lesson.stop()
    service.gate.set()
    finished(lesson)


def test_stop_says_at_once_that_it_stops(page, lesson, service):
    service.gate.clear()
    lesson.train(80)
    assert looks(page, lesson).stop == gr.update(value="Stop", interactive=True)
    lesson.stop()
    assert looks(page, lesson).stop == gr.update(value="Stopping …", interactive=False)
    service.gate.set()
    finished(lesson)
    assert looks(page, lesson).stop == gr.update(value="Stop", interactive=False)


def test_after_a_run_the_result_stands_beside_the_model_alone(page, lesson, exam, service):
    exam.measure_shared(untrained())
    for _ in follow(lesson, lambda: not exam.ready):
        pass
    lesson.train(8)
    finished(lesson)
    picture = looks(page, lesson)
    result = visible(picture.hint)
    assert re.search(r"\d+ % right on 50 held-out problems \(\d+–\d+ %\)", result)
    assert "0 % alone: no gain shows (p = 0.062)" in result
    assert pressable(picture) == {"train", "train_one", "undo", "reset"}
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
def test_every_change_of_learner_is_told(page, lesson, action, told):
    lesson.train(4)
    finished(lesson)
    action(lesson)
    finished(lesson)
    assert told in visible(looks(page, lesson).hint)


def test_a_question_without_an_answer_cannot_be_learnt_from(page, lesson):
    lesson.show(Problem("own", 0, "Why?", "", "text"))
    finished(lesson)
    picture = looks(page, lesson)
    assert "train_one" not in pressable(picture)
    assert "not graded" in visible(picture.answers)


def test_a_step_that_was_not_adopted_says_why(page, lesson, service, monkeypatch):
    service.gate.clear()
    lesson.train(8)
    refused = type(lesson.run)(lesson.learner, 4, 8, refused="The loss is no number.")
    monkeypatch.setattr(lesson, "run", refused)
    assert "The loss is no number." in visible(looks(page, lesson).progress)
    monkeypatch.undo()
    service.gate.set()
    finished(lesson)


def test_told_only_right_or_wrong_its_tries_stand_where_the_loss_stood(page, lesson):
    assert "spa-loss" in looks(page, lesson).loss
    lesson.choose_signal("reward")
    waiting = looks(page, lesson)
    assert waiting.signal == gr.update(value="reward", interactive=True)
    assert "8 times at each problem" in visible(waiting.loss)
    lesson.train(8)
    finished(lesson)
    picture = looks(page, lesson)
    assert "after 8 episodes · 8 of 16 right" in visible(picture.loss)
    lesson.choose_signal("answer")
    assert "spa-loss" in looks(page, lesson).loss


def test_rewards_are_drawn_over_the_episodes_of_their_format(page, lesson, service):
    lesson.choose_signal("reward")
    lesson.train(8)
    finished(lesson)
    record = replace(lesson.learner.history[-1], signal="reward", samples=16, reward=0.5)
    lesson.session.replace_learner(replace(lesson.learner, history=(record,)))
    assert "Of its own tries 50 % were right" in spoken(looks(page, lesson).accuracy)
    for other in ({"samples": 0}, {"signal": "thumbs"}, {"chat_template": True}):
        history = (replace(record, **other),)
        lesson.session.replace_learner(replace(lesson.learner, history=history))
        assert "Of its own tries" not in spoken(looks(page, lesson).accuracy)


def test_thumbs_can_be_learnt_from_once_something_is_marked(page, lesson):
    picture = looks(page, lesson)
    assert picture.draw_tries["interactive"] and not picture.learn_thumbs["interactive"]
    lesson.draw_samples()
    for _ in follow(lesson, lambda: lesson.busy):
        pass
    assert not looks(page, lesson).learn_thumbs["interactive"]
    lesson.rate(lesson.samples.shown.number, 0, 1)
    lesson.rate(lesson.samples.shown.number, 1, -1)
    assert looks(page, lesson).learn_thumbs["interactive"]
    lesson.learn_from_thumbs()
    finished(lesson)
    told = visible(looks(page, lesson).hint)
    assert "It now says what you liked 45 % of the time, 25 % before" in told
    assert "what you did not like 5 % of the time, 25 % before" in told


def test_during_a_run_thumbs_and_signal_wait(page, lesson, service):
    service.gate.clear()
    lesson.choose_signal("reward")
    lesson.train(8)
    picture = looks(page, lesson)
    parts = (picture.draw_tries, picture.learn_thumbs, picture.signal)
    assert not any(part["interactive"] for part in parts)
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
    page, lesson, service, signal, right, says
):
    service.right = right
    lesson.show(Problem("own", 0, "Is water wet?", "Yes", "yes/no"))
    lesson.choose_signal(signal)
    lesson.train_one()
    finished(lesson)
    assert says in visible(looks(page, lesson).hint)


def test_what_changed_is_sent_and_nothing_else(page, lesson, service):
    """After every change the page shows what a page opened now would show."""
    service.gate.clear()
    lesson.train(12)
    frames = each(page.lesson.frames(lesson, lambda lesson: lesson.busy))
    shown = dict(next(frames))
    assert set(shown) == set(page.lesson.components)
    service.gate.set()
    *changes, nothing_new = frames
    for frame in changes:
        assert all(frame[part] != shown.get(part) for part in frame)
        shown |= frame
    assert [*nothing_new.values()] == [gr.skip()]
    assert shown == opened_now(page, lesson)


@pytest.mark.parametrize(
    "action",
    [
        lambda lesson: lesson.draw(),
        lambda lesson: lesson.choose_format(True),
        lambda lesson: lesson.choose_signal("reward"),
        lambda lesson: lesson.draw_samples(),
        lambda lesson: lesson.train_one(),
        lambda lesson: lesson.undo(),
        lambda lesson: lesson.reset(),
    ],
)
def test_a_page_that_is_followed_looks_like_one_opened_anew(page, lesson, action):
    lesson.train(4)
    finished(lesson)
    frames = each(page.lesson.frames(lesson, lambda _: True))
    shown = dict(next(frames))
    action(lesson)
    for _ in follow(lesson, lambda: lesson.busy):
        pass
    shown |= next(frames)
    assert shown == opened_now(page, lesson)


def test_nothing_is_painted_whose_subject_did_not_change(page, lesson):
    painted = []
    with gr.Blocks():
        screen = Screen(page.events, page.browser, None, lambda lesson: lesson)
        part = html("spa-part")
        screen.show(
            part,
            lambda lesson: painted.append(lesson) or f"{len(painted)}",
            lambda lesson: lesson.comparison.problem,
        )
    frames = each(screen.frames(lesson, lambda _: True))
    assert next(frames) == {part: "1"}
    lesson.choose_signal("mix")
    lesson.draw()
    finished(lesson)
    assert next(frames) == {part: "2"}
    assert len(painted) == 2
