"""What the tabs are laid out from."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import gradio as gr

from learner.view import cards

FORMAT_CHOICES = [("Without the chat template", False), ("With the chat template", True)]


def format_choices(formats: Sequence[bool]) -> list[tuple[str, bool]]:
    """These formats, to choose from."""
    return [choice for choice in FORMAT_CHOICES if choice[1] in formats]


def html(element_id: str, value: str = "", js_on_load: str | None = None) -> gr.HTML:
    """A slot for our own HTML, without Gradio's prose styles around it."""
    return gr.HTML(value, elem_id=element_id, apply_default_css=False, js_on_load=js_on_load)


@contextmanager
def explained(element_id: str, heading: str, words: str) -> Iterator[None]:
    """A panel of the Save & share tab: what it is for, and below that what is made inside."""
    with gr.Column(min_width=300, elem_classes="spa-panel"):
        html(element_id, cards.explanation(heading, words))
        yield
