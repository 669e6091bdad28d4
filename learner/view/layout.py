"""The Teach tab's components and where they stand. No behaviour: ``teach.py`` wires them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import gradio as gr

from arena import DIFFICULTIES, FAMILIES
from learner.learning.signals import SIGNALS
from learner.view import cards, charts
from learner.view.thumb_cards import MARKING, thumbs_panel
from learner.visitors.checked_input import (
    ANY_DIFFICULTY,
    ANY_FAMILY,
    MAX_ANSWER,
    MAX_EPISODES,
    MAX_QUESTION,
)
from learner.visitors.comparison import CONDITIONS, GradedCompletion
from learner.visitors.rated_samples import SampleSet

FAMILY_CHOICES = [
    ("Any family", ANY_FAMILY),
    *((name.replace("_", " "), name) for name in FAMILIES),
]
DIFFICULTY_CHOICES = [
    ("Any difficulty", ANY_DIFFICULTY),
    *((f"difficulty {level}", level) for level in DIFFICULTIES),
]
FORMAT_CHOICES = [("Without the chat template", False), ("With the chat template", True)]
SIGNAL_CHOICES = [(signal.label, name) for name, signal in SIGNALS.items()]
DEFAULT_EPISODES = 80


@dataclass(frozen=True)
class TeachPanel:
    """The components of the Teach tab that handlers read or write."""

    family: gr.Dropdown
    difficulty: gr.Dropdown
    new_problem: gr.Button
    own_question: gr.Textbox
    own_answer: gr.Textbox
    ask_own: gr.Button
    problem: gr.HTML
    answers: gr.HTML
    hint: gr.HTML
    train: gr.Button
    stop: gr.Button
    progress: gr.HTML
    train_one: gr.Button
    undo: gr.Button
    reset: gr.Button
    episodes: gr.Number
    signal: gr.Radio
    chat_template: gr.Radio
    thumbs: gr.HTML
    draw_tries: gr.Button
    learn_thumbs: gr.Button
    accuracy: gr.HTML
    loss: gr.HTML
    families: gr.HTML


def html(element_id: str, value: str = "") -> gr.HTML:
    """A slot for our own HTML, without Gradio's prose styles around it."""
    return gr.HTML(value, elem_id=element_id, apply_default_css=False, js_on_load=None)


@contextmanager
def explained(element_id: str, heading: str, words: str) -> Iterator[None]:
    """A panel of the Save & share tab: what it is for, and below that what is made inside."""
    with gr.Column(min_width=300, elem_classes="spa-panel"):
        html(element_id, cards.explanation(heading, words))
        yield


def build_teach(formats: Sequence[bool]) -> TeachPanel:
    """Lay out the tab for a model that knows these formats; call inside ``with gr.Tab(...)``."""
    with gr.Row(elem_classes="spa-main", equal_height=True):
        with gr.Column(scale=7, min_width=320, elem_classes="spa-stage"):
            with gr.Column(elem_classes="spa-panel spa-problem-panel"):
                with gr.Tabs(elem_classes="spa-source"):
                    with (
                        gr.Tab("From the arena", id="arena"),
                        gr.Row(elem_classes="spa-choosers"),
                    ):
                        family = gr.Dropdown(
                            FAMILY_CHOICES,
                            value=ANY_FAMILY,
                            label="Family",
                            show_label=False,
                            min_width=120,
                            filterable=False,
                            interactive=True,
                            elem_id="spa-family",
                        )
                        difficulty = gr.Dropdown(
                            DIFFICULTY_CHOICES,
                            value=ANY_DIFFICULTY,
                            label="Difficulty",
                            show_label=False,
                            min_width=120,
                            filterable=False,
                            interactive=True,
                            elem_id="spa-difficulty",
                        )
                        new_problem = gr.Button(
                            "New problem", size="md", min_width=140, elem_id="spa-new-problem"
                        )
                    with (
                        gr.Tab("Your own question", id="own"),
                        gr.Row(elem_classes="spa-choosers"),
                    ):
                        own_question = gr.Textbox(
                            label="Your question",
                            show_label=False,
                            placeholder="Your question",
                            max_length=MAX_QUESTION,
                            scale=4,
                            min_width=200,
                            elem_id="spa-own-question",
                        )
                        own_answer = gr.Textbox(
                            label="Its answer (optional)",
                            show_label=False,
                            placeholder="Its answer (optional)",
                            max_length=MAX_ANSWER,
                            scale=2,
                            min_width=120,
                            elem_id="spa-own-answer",
                        )
                        ask_own = gr.Button(
                            "Ask", size="md", scale=1, min_width=100, elem_id="spa-ask-own"
                        )
                problem = html("spa-problem", cards.problem_placeholder())
            answers = html("spa-answers", cards.answer_grid([GradedCompletion()] * len(CONDITIONS)))
            thumbs, draw_tries, learn_thumbs = _build_thumbs()
            families = html("spa-families", charts.family_chart({}, {}, False))
        with gr.Column(scale=4, min_width=320, elem_classes="spa-desk"):
            with gr.Column(elem_classes="spa-panel spa-train-panel"):
                hint = html("spa-hint", cards.hint("One moment …", "working"))
                with gr.Column(elem_classes="spa-action"):
                    with gr.Row(elem_classes="spa-buttons"):
                        train = gr.Button(
                            f"Train {DEFAULT_EPISODES} episodes",
                            variant="primary",
                            scale=4,
                            min_width=180,
                            elem_id="spa-train",
                        )
                        stop = gr.Button(
                            "Stop",
                            interactive=False,
                            scale=1,
                            min_width=80,
                            elem_id="spa-stop",
                        )
                    progress = html("spa-progress", cards.progress(0, 0, None, None))
                with gr.Column(elem_classes="spa-more"):
                    with gr.Row(elem_classes="spa-buttons spa-quiet"):
                        train_one = gr.Button(
                            "Train on this problem",
                            size="md",
                            scale=3,
                            min_width=180,
                            elem_id="spa-train-one",
                        )
                        undo = gr.Button(
                            "Undo", size="md", scale=1, min_width=70, elem_id="spa-undo"
                        )
                        reset = gr.Button(
                            "Reset", size="md", scale=1, min_width=70, elem_id="spa-reset"
                        )
                    with gr.Row(elem_classes="spa-settings"):
                        signal = gr.Radio(
                            SIGNAL_CHOICES,
                            value="answer",
                            label="How it learns",
                            scale=3,
                            min_width=180,
                            elem_id="spa-signal",
                        )
                        with gr.Column(scale=3, min_width=180, elem_classes="spa-setting"):
                            chat_template = gr.Radio(
                                [choice for choice in FORMAT_CHOICES if choice[1] in formats],
                                value=False,
                                label="Learn in this format",
                                elem_id="spa-format",
                            )
                            episodes = gr.Number(
                                DEFAULT_EPISODES,
                                label="Episodes",
                                precision=0,
                                minimum=1,
                                maximum=MAX_EPISODES,
                                elem_id="spa-episodes",
                            )
            accuracy = html("spa-accuracy", charts.accuracy_chart([], {}, False))
            loss = html("spa-loss", charts.loss_chart([]))
    return TeachPanel(
        family=family,
        difficulty=difficulty,
        new_problem=new_problem,
        own_question=own_question,
        own_answer=own_answer,
        ask_own=ask_own,
        problem=problem,
        answers=answers,
        hint=hint,
        train=train,
        stop=stop,
        progress=progress,
        train_one=train_one,
        undo=undo,
        reset=reset,
        episodes=episodes,
        signal=signal,
        chat_template=chat_template,
        thumbs=thumbs,
        draw_tries=draw_tries,
        learn_thumbs=learn_thumbs,
        accuracy=accuracy,
        loss=loss,
        families=families,
    )


def _build_thumbs() -> tuple[gr.HTML, gr.Button, gr.Button]:
    """The panel in which a person marks tries, and its two buttons."""
    with gr.Column(elem_classes="spa-panel spa-thumbs-panel"):
        with gr.Row(elem_classes="spa-buttons spa-thumbs-head"):
            html("spa-thumbs-title", cards.title("Or teach it by thumbs"))
            draw = gr.Button("Show four tries", size="md", min_width=150, elem_id="spa-draw-tries")
            learn = gr.Button(
                "Learn from my thumbs",
                variant="primary",
                size="md",
                min_width=180,
                interactive=False,
                elem_id="spa-learn-thumbs",
            )
        thumbs = gr.HTML(
            thumbs_panel(SampleSet(), False),
            elem_id="spa-thumbs",
            apply_default_css=False,
            js_on_load=MARKING,
        )
    return thumbs, draw, learn
