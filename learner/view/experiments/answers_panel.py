"""The panel that shows what was written before and after: choosers, one page of it, and turning."""

from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import gradio as gr
from gradio.blocks import Block

from arena import FAMILIES
from learner.experiments.background import VisitorExperiments
from learner.experiments.plan import ANY_FAMILY
from learner.view.experiments.answer_pairs import (
    BESIDE_CHOICES,
    ON_A_PAGE,
    SHOWN_CHOICES,
    AnswersSource,
    Looking,
    answers_page,
)
from learner.view.experiments.painting import NO_RUNS, ExperimentsView
from learner.view.page import Page, html
from learner.view.screen import Frame, Screen, said
from learner.visitors.session import Session

FAMILY_CHOICES = [
    ("all families", ANY_FAMILY),
    *((name.replace("_", " "), name) for name in FAMILIES),
]


def answers_panel(page: Page, screen: Screen[VisitorExperiments, ExperimentsView]) -> None:
    """Lay out the panel for what the chosen run wrote.

    What is looked at is known as long as the session is.
    """
    seen: WeakKeyDictionary[Session, Looking] = WeakKeyDictionary()
    with gr.Row(elem_classes="spa-choosers"):
        choosers = {
            "shown": _chooser(SHOWN_CHOICES, "Which answers", "spa-run-answers-shown"),
            "family": _chooser(FAMILY_CHOICES, "Kind of problem", "spa-run-answers-family"),
            "beside": _chooser(BESIDE_CHOICES, "Beside", "spa-run-answers-beside"),
            "seed": _chooser([], "Seed", "spa-run-answers-seed"),
        }
    answers = html("spa-run-answers", answers_page(NO_RUNS, Looking()))
    with gr.Row(elem_classes="spa-buttons spa-pairs-pages"):
        back, on = (
            gr.Button(
                f"{word} {ON_A_PAGE}",
                size="md",
                min_width=100,
                interactive=False,
                elem_id=f"spa-run-answers-{word.lower()}",
            )
            for word in ("Previous", "Next")
        )

    def looking_at(source: AnswersSource) -> Looking:
        known = seen.get(source.session) if source.session else None
        return (known or Looking()).on(source.of)

    def painted(source: AnswersSource) -> Frame:
        looking = looking_at(source)
        pairs = source.read(looking)
        last = 0 if isinstance(pairs, str) else looking.pages(pairs) - 1
        return {
            answers: answers_page(pairs, looking),
            back: gr.update(interactive=looking.page > 0),
            on: gr.update(interactive=looking.page < last),
        }

    def chosen(source: AnswersSource) -> Frame:
        looking = looking_at(source)
        frame: Frame = {one: getattr(looking, name) for name, one in choosers.items()}
        choices = [(f"seed {seed}", place) for place, seed in enumerate(source.seeds)]
        value = looking.seed if choices else None
        frame[choosers["seed"]] = gr.update(choices=choices, value=value)
        return frame

    def look(turn: int, session_id: object, *asked: object) -> Frame:
        with said():
            subject = screen.find(session_id)
            source = screen.look(subject).answers
            told: dict[str, Any] = dict(zip(choosers, asked, strict=True))
            page_asked = looking_at(source).page + turn if turn else 0
            seen[subject.session] = Looking(source.of, page=page_asked, **told)
            return painted(source)

    def cause(view: ExperimentsView) -> object:
        source = view.answers
        return looking_at(source), source.cause

    def show(component: Block, painter: Callable[[AnswersSource], Frame]) -> None:
        screen.show(component, lambda view: painter(view.answers)[component], cause)

    for part in (answers, back, on):
        show(part, painted)
    for one in choosers.values():
        show(one, chosen)
    inputs, outputs = [page.browser, *choosers.values()], [answers, back, on]
    changes = [one.input for one in choosers.values()]
    page.events.on(changes, partial(look, 0), inputs, outputs, trigger_mode="always_last")
    for button, turn in ((back, -1), (on, 1)):
        page.events.on(button.click, partial(look, turn), inputs, outputs, trigger_mode="multiple")


def _chooser(choices: list[tuple[str, str]], label: str, element_id: str) -> gr.Dropdown:
    return gr.Dropdown(
        choices,
        value=choices[0][1] if choices else None,
        label=label,
        min_width=140,
        filterable=False,
        interactive=True,
        elem_id=element_id,
    )
