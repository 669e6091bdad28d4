"""What the tabs share: the visitor's lesson on the screen, who serves it, and what to lay out."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import gradio as gr
from gradio.blocks import Block

from learner.view import cards
from learner.view.screen import Events, Screen
from learner.view.server.login import Login
from learner.visitors.audience import Rooms
from learner.visitors.lesson import Lesson
from learner.visitors.open_lessons import OpenLessons

FORMAT_CHOICES = [("Without the chat template", False), ("With the chat template", True)]


class Page:
    """One page in the making; every tab lays itself out on it. Make it inside ``gr.Blocks()``.

    ``lesson`` are the parts that show a visitor's lesson; ``events`` is where everything else is
    connected. ``at`` changes when the visitor goes over to another base model, ``strip`` whenever
    the soft prompt does.
    """

    def __init__(self, demo: gr.Blocks, lessons: OpenLessons, rooms: Rooms, login: Login) -> None:
        self.demo = demo
        self.rooms = rooms
        self.login = login
        self.lessons = lessons
        self.sessions = lessons.sessions
        # The fixed secret lets ids outlive a restart of the app; it protects nothing, they do.
        self.browser = gr.BrowserState(storage_key="soft-prompt-arena", secret="soft-prompt-arena")
        self.events = Events()
        self.controls: dict[str, Block] = {}  # what the address knows too, by its parameter
        self.tabs: tuple[str, ...] = ()  # their names in the address
        self.lesson: Screen[Lesson, Lesson] = Screen(
            self.events, self.browser, self.lessons.get, lambda lesson: lesson
        )
        first = lessons.models.first.base_model.name
        self.strip: gr.HTML  # laid out at the top
        self.at = hidden_text("spa-at", first)
        self.lesson.show(self.at, lambda lesson: lesson.base_model.name)


def format_choices(formats: Sequence[bool]) -> list[tuple[str, bool]]:
    """These formats, to choose from."""
    return [choice for choice in FORMAT_CHOICES if choice[1] in formats]


def hidden_text(element_id: str | None = None, value: str = "") -> gr.Textbox:
    """What the page has to know and nobody has to see.

    Of one line: Gradio measures how high several are, and lays out the page, at each change.
    """
    return gr.Textbox(value, max_lines=1, visible="hidden", elem_id=element_id)


def html(element_id: str, value: str = "", js_on_load: str | None = None) -> gr.HTML:
    """A slot for our own HTML, without Gradio's prose styles around it."""
    return gr.HTML(value, elem_id=element_id, apply_default_css=False, js_on_load=js_on_load)


def follow(element_id: str) -> str:
    """A script that has the browser take the file of a hidden download button."""
    return f'() => requestAnimationFrame(() => document.querySelector("#{element_id}").click())'


@contextmanager
def explained(element_id: str, heading: str, words: str) -> Iterator[None]:
    """A panel of the Save & share tab: what it is for, and below that what is made inside."""
    with gr.Column(min_width=300, elem_classes="spa-panel"):
        html(element_id, cards.explanation(heading, words))
        yield


def answering(lesson: Lesson) -> bool:
    """Whether the four answers are being written."""
    return lesson.comparison.answering
