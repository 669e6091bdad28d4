"""The chooser below the strip: which of the base models that there are a visitor teaches."""

from collections.abc import AsyncIterator, Sequence
from html import escape
from typing import Any

import gradio as gr

from learner.model.source import ModelSource
from learner.view.page import Page, hidden_text, html
from learner.view.screen import PRIVATE, Frame, in_thread, said
from learner.visitors.models import Offer
from learner.visitors.session import SessionError

LOOK_SECONDS = 1.0  # between two looks at what is being loaded


def model_chooser(page: Page) -> None:
    """Lay it out, and say what it does."""
    lessons, models, sessions = page.lessons, page.lessons.models, page.sessions
    at_first = models.first.base_model.source
    with gr.Column(min_width=320, elem_classes="spa-model-panel"):
        states = html("spa-models", model_states(models.offers, at_first))
        chosen = gr.Dropdown(
            [(offer.source.short_name, offer.source.name) for offer in models.offers],
            value=at_first.name,
            label="Base model",
            show_label=False,
            filterable=False,
            interactive=True,
            elem_id="spa-model",
        )
    timer = gr.Timer(LOOK_SECONDS, active=models.loading)
    back = hidden_text()  # says, after a restart, that their own model is here again

    async def change(session_id: object, name: object) -> AsyncIterator[Frame]:
        with said():
            try:
                await in_thread(lambda: lessons.change(session_id, models.find(name)))
            except ValueError:
                yield {chosen: lessons.get(session_id).base_model.name}
                raise
            async for frame in page.lesson.doing(
                session_id,
                lambda lesson: None,
                lambda lesson: lesson.busy or not lesson.exam.ready,
                always=True,
            ):
                yield frame

    def look(session_id: object) -> tuple[str, Any, str]:
        loading = models.loading  # before anything else, so that what comes meanwhile is looked at
        try:
            at, is_back = lessons.get(session_id).base_model.source, sessions.is_back(session_id)
        except SessionError:  # somebody who is only just arriving
            at, is_back = at_first, False
        return model_states(models.offers, at), gr.Timer(active=loading), "yes" if is_back else ""

    page.lesson.show(chosen, lambda lesson: lesson.base_model.name)
    page.lesson.show(
        states,
        lambda lesson: model_states(models.offers, lesson.base_model.source),
        lambda lesson: (models.version, lesson.base_model.source),
    )
    # Not just once: what went on with the model before may still be followed.
    page.events.on(
        chosen.input,
        change,
        [page.browser, chosen],
        [page.lesson],
        trigger_mode="multiple",
    )
    timer.tick(look, [page.browser], [states, timer, back], **PRIVATE)
    back.change(None, None, None, js="() => { location.reload(); }", **PRIVATE)


def model_states(offers: Sequence[Offer], at: ModelSource) -> str:
    """A line for each model that is not there yet, or cannot be had.

    Whoever is ``at`` the embedded model while another one comes is told when it is there.
    """
    lines = []
    before = True
    for offer in offers:
        before = before and offer.source != at
        name = f"<b>{escape(offer.source.short_name)}</b>"
        if offer.refused:
            lines.append(f"<li>{name} cannot be had. {escape(offer.refused)}</li>")
        elif offer.is_loading:
            lines.append(f"<li>{name}: {escape(offer.doing)}</li>")
        elif before and at.is_embedded:
            lines.append(f"<li>{name} is here: choose it.</li>")
    return f'<ul class="spa-models" aria-live="polite">{"".join(lines)}</ul>'
