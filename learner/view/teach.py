"""The Teach tab at work: what each control does, and how the page follows the lesson."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import gradio as gr

from learner.view.layout import TeachPanel
from learner.view.painting import Choice, Painter, Picture
from learner.visitors.checked_input import (
    checked_difficulty,
    checked_episodes,
    checked_families,
    checked_format,
    checked_signal,
    checked_thumb,
    own_problem,
)
from learner.visitors.exam import Exam
from learner.visitors.lesson import Lesson
from learner.visitors.open_lessons import OpenLessons

Frame = list[Any]
OpenLink = Callable[[Lesson, object, gr.Request, gr.OAuthToken | None], None]
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}

TRAIN_LABEL = """(n) => {
    const whole = Number.isInteger(n) && n > 0;
    return whole ? `Train ${n} episode${n === 1 ? "" : "s"}` : "Train";
}"""


# Takes the soft prompt that a shared link names out of the address, so that a reload, which comes
# back to what was learnt since, does not open it again.
TAKE_LINKED = """(session) => {
    const address = new URL(location.href);
    const linked = address.searchParams.get("prompt") || "";
    address.searchParams.delete("prompt");
    if (linked) history.replaceState(history.state, "", address);
    return [session, linked];
}"""


class Page:
    """The components that show a lesson, and the handlers that fill them."""

    def __init__(
        self,
        panel: TeachPanel,
        strip: gr.HTML,
        browser: gr.BrowserState,
        lessons: OpenLessons,
        exam: Exam,
        painter: Painter,
    ) -> None:
        self.panel = panel
        self.browser = browser
        self.lessons = lessons
        self._exam = exam
        self._painter = painter
        shows: dict[str, gr.components.Component] = {
            "strip": strip,
            "problem": panel.problem,
            "answers": panel.answers,
            "hint": panel.hint,
            "progress": panel.progress,
            "accuracy": panel.accuracy,
            "loss": panel.loss,
            "families": panel.families,
            "chat_template": panel.chat_template,
            "signal": panel.signal,
            "thumbs": panel.thumbs,
            "can_try": panel.draw_tries,
            "can_learn_thumbs": panel.learn_thumbs,
            "can_train": panel.train,
            "can_stop": panel.stop,
            "can_train_one": panel.train_one,
            "can_undo": panel.undo,
            "can_reset": panel.reset,
        }
        self.outputs = [shows[field.name] for field in fields(Picture)]

    def going_on(self, lesson: Lesson) -> bool:
        """Whether anything that this page shows is still being worked on."""
        return lesson.busy or not self._exam.ready

    def frames(self, lesson: Lesson, busy: Callable[[], bool]) -> Iterator[Frame]:
        """What changes on the page, a few times a second, while ``busy()``; all of it at first."""
        shown: Picture | None = None
        for _ in lesson.follow(busy):
            picture = self._painter.paint(lesson)
            yield [
                _update(getattr(picture, field.name))
                if shown is None or getattr(picture, field.name) != getattr(shown, field.name)
                else gr.skip()
                for field in fields(Picture)
            ]
            shown = picture

    def act(self, session_id: object, action: Callable[[Lesson], None]) -> Iterator[Frame]:
        """Do something in a visitor's lesson, and follow it until the run and the answers are done.

        A visitor's mistake is shown to them as a sentence, and changes nothing.
        """
        with said():
            lesson = self.lessons.get(session_id)
            action(lesson)
            yield from self.frames(lesson, lambda: lesson.busy)


@contextmanager
def said() -> Iterator[None]:
    """What goes wrong with what a visitor asked for is told to them in its own words."""
    try:
        yield
    except ValueError as error:
        raise gr.Error(str(error), print_exception=False) from error


def wire_teach(demo: gr.Blocks, page: Page, linked: gr.Textbox, open_link: OpenLink) -> None:
    """Connect the controls. Everything that they send is checked here, on the server.

    ``linked`` is filled with the soft prompt that the page's address names; once the page is there,
    ``open_link`` gets it.
    """
    panel, browser = page.panel, page.browser

    def load(
        session_id: object, linked: object, request: gr.Request, oauth: gr.OAuthToken | None
    ) -> Iterator[Frame]:
        lesson = page.lessons.open(session_id)
        if notice := lesson.session.take_notice():
            gr.Warning(notice)
        session: object = lesson.session.id
        to_open = [linked] if linked else []
        for frame in page.frames(lesson, lambda: bool(to_open) or page.going_on(lesson)):
            yield [session, *frame]
            session = gr.skip()
            if to_open:
                open_link(lesson, to_open.pop(), request, oauth)

    def new_problem(session_id: object, family: object, difficulty: object) -> Iterator[Frame]:
        with said():
            lesson = page.lessons.get(session_id)
            lesson.draw(checked_families(family), checked_difficulty(difficulty))
            yield from page.frames(lesson, lambda: lesson.comparison.answering)

    def ask_own(session_id: object, question: object, answer: object) -> Iterator[Frame]:
        with said():
            lesson = page.lessons.get(session_id)
            lesson.show(own_problem(question, answer))
            yield from page.frames(lesson, lambda: lesson.comparison.answering)

    def train(session_id: object, episodes: object) -> Iterator[Frame]:
        yield from page.act(session_id, lambda lesson: lesson.train(checked_episodes(episodes)))

    def train_one(session_id: object) -> Iterator[Frame]:
        yield from page.act(session_id, Lesson.train_one)

    def stop(session_id: object) -> Iterator[Frame]:
        yield from page.act(session_id, Lesson.stop)

    def undo(session_id: object) -> Iterator[Frame]:
        yield from page.act(session_id, Lesson.undo)

    def reset(session_id: object) -> Iterator[Frame]:
        yield from page.act(session_id, Lesson.reset)

    def choose_format(session_id: object, chat_template: object) -> Iterator[Frame]:
        yield from page.act(
            session_id, lambda lesson: lesson.choose_format(checked_format(chat_template))
        )

    def choose_signal(session_id: object, signal: object) -> Iterator[Frame]:
        yield from page.act(session_id, lambda lesson: lesson.choose_signal(checked_signal(signal)))

    def draw_tries(session_id: object) -> Iterator[Frame]:
        yield from page.act(session_id, Lesson.draw_samples)

    def mark(session_id: object, event: gr.EventData) -> Iterator[Frame]:
        yield from page.act(session_id, lambda lesson: lesson.rate(*checked_thumb(event._data)))

    def learn_thumbs(session_id: object) -> Iterator[Frame]:
        yield from page.act(session_id, Lesson.learn_from_thumbs)

    demo.load(load, [browser, linked], [browser, *page.outputs], js=TAKE_LINKED, **PRIVATE)
    panel.new_problem.click(
        new_problem,
        [browser, panel.family, panel.difficulty],
        page.outputs,
        trigger_mode="multiple",
        **PRIVATE,
    )
    gr.on(
        [panel.ask_own.click, panel.own_question.submit, panel.own_answer.submit],
        ask_own,
        [browser, panel.own_question, panel.own_answer],
        page.outputs,
        trigger_mode="multiple",
        **PRIVATE,
    )
    panel.train.click(train, [browser, panel.episodes], page.outputs, **PRIVATE)
    panel.train_one.click(train_one, [browser], page.outputs, **PRIVATE)
    panel.stop.click(stop, [browser], page.outputs, **PRIVATE)
    panel.undo.click(undo, [browser], page.outputs, **PRIVATE)
    panel.reset.click(reset, [browser], page.outputs, **PRIVATE)
    panel.chat_template.input(
        choose_format, [browser, panel.chat_template], page.outputs, **PRIVATE
    )
    panel.signal.input(choose_signal, [browser, panel.signal], page.outputs, **PRIVATE)
    panel.draw_tries.click(draw_tries, [browser], page.outputs, **PRIVATE)
    panel.thumbs.click(mark, [browser], page.outputs, trigger_mode="multiple", **PRIVATE)
    panel.learn_thumbs.click(learn_thumbs, [browser], page.outputs, **PRIVATE)
    panel.episodes.change(None, [panel.episodes], [panel.train], js=TRAIN_LABEL, **PRIVATE)


def _update(value: str | bool | Choice) -> Any:
    """HTML as it is; a truth value says whether a button can be pressed."""
    if isinstance(value, Choice):
        return gr.update(value=value.value, interactive=value.enabled)
    return gr.update(interactive=value) if isinstance(value, bool) else value
