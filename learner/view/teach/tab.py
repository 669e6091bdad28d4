"""The Teach tab: a problem, its four answers, training, and the pictures of learning."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import gradio as gr

from arena import DIFFICULTIES, FAMILIES, Problem
from learner.learning.signals import SIGNALS
from learner.view import cards, charts
from learner.view.page import FORMAT_CHOICES, Page, answering, format_choices, html
from learner.view.screen import SLOW, Frame
from learner.view.teach import painting
from learner.view.teach.hints import hint_of
from learner.view.teach.own_questions import own_list, own_question
from learner.view.teach.problem_map import CHOOSING, problem_map
from learner.view.teach.snapshots import snapshots_part
from learner.view.teach.thumb_cards import MARKING, thumbs_panel
from learner.visitors.checked_input import (
    ANY_DIFFICULTY,
    ANY_FAMILY,
    MAX_ANSWER,
    MAX_QUESTION,
    checked_difficulty,
    checked_episodes,
    checked_families,
    checked_format,
    checked_learning_rate,
    checked_problem,
    checked_signal,
    checked_step_size,
    checked_thumb,
    checked_vectors,
    own_problem,
)
from learner.visitors.comparison import CONDITIONS, GradedCompletion
from learner.visitors.lesson import Lesson
from learner.visitors.rated_samples import SampleSet

FAMILY_CHOICES = [
    ("Any family", ANY_FAMILY),
    *((name.replace("_", " "), name) for name in FAMILIES),
]
DIFFICULTY_CHOICES = [
    ("Any difficulty", ANY_DIFFICULTY),
    *((f"difficulty {level}", level) for level in DIFFICULTIES),
]
SIGNAL_CHOICES = [(signal.label, name) for name, signal in SIGNALS.items()]
DEFAULT_EPISODES = 80

TRAIN_LABEL = """(n) => {
    const whole = Number.isInteger(n) && n > 0;
    return whole ? `Train ${n} episode${n === 1 ? "" : "s"}` : "Train";
}"""


def teach_tab(page: Page, _: gr.Tab) -> None:
    """Lay out the tab and say what its controls do."""
    with gr.Row(elem_classes="spa-main", equal_height=True):
        with gr.Column(scale=7, min_width=320, elem_classes="spa-stage"):
            _problem(page)
            _thumbs(page)
        with gr.Column(scale=4, min_width=320, elem_classes="spa-desk"):
            train, episodes = _training(page)
            _settings(page, train, episodes)
        with gr.Column(scale=4, min_width=320, elem_classes="spa-pictures"):
            _pictures(page)


def _problem(page: Page) -> None:
    """A problem from the arena, or a question of one's own, and the four answers to it."""
    lesson = page.lesson
    with gr.Column(elem_classes="spa-panel spa-problem-panel"):
        with gr.Tabs(overflow_behavior="wrap", elem_classes="spa-source"):
            with gr.Tab("From the arena", id="arena"), gr.Row(elem_classes="spa-choosers"):
                family = _chooser(FAMILY_CHOICES, ANY_FAMILY, "Family", "spa-family")
                difficulty = _chooser(
                    DIFFICULTY_CHOICES, ANY_DIFFICULTY, "Difficulty", "spa-difficulty"
                )
                new_problem = gr.Button(
                    "New problem", size="md", min_width=140, elem_id="spa-new-problem"
                )
            page.controls |= {"family": family, "difficulty": difficulty}
            with gr.Tab("Your own question", id="own"):
                with gr.Row(elem_classes="spa-choosers"):
                    question = gr.Textbox(
                        label="Your question",
                        max_length=MAX_QUESTION,
                        scale=4,
                        min_width=200,
                        elem_id="spa-own-question",
                    )
                    answer = gr.Textbox(
                        label="Its answer (optional)",
                        max_length=MAX_ANSWER,
                        scale=2,
                        min_width=120,
                        elem_id="spa-own-answer",
                    )
                    ask = gr.Button("Ask", size="md", scale=1, min_width=100, elem_id="spa-ask-own")
                own_question(page, question, answer)
            with gr.Tab("Your own list", id="list"):
                own_list(page)
        problem = html("spa-problem", cards.problem_placeholder())
    answers = html("spa-answers", cards.answer_grid([GradedCompletion()] * len(CONDITIONS)))

    def draw(lesson: Lesson, family: object, difficulty: object) -> None:
        lesson.draw(checked_families(family), checked_difficulty(difficulty))

    def show_own(lesson: Lesson, question: object, answer: object) -> None:
        lesson.show(own_problem(question, answer))

    lesson.show(
        problem,
        painting.problem,
        lambda lesson: (lesson.comparison.problem, lesson.learnt_from_shown),
    )
    lesson.show(
        answers,
        painting.answers,
        lambda lesson: (lesson.comparison.completions, painting.watched(lesson)),
    )
    lesson.act(
        new_problem.click,
        draw,
        [family, difficulty],
        busy=answering,
        trigger_mode="multiple",
    )
    for button in (new_problem, ask):
        lesson.enable(button, lambda _: True)
    asked = [ask.click, question.submit, answer.submit]
    lesson.act(asked, show_own, [question, answer], busy=answering, trigger_mode="multiple")


def _training(page: Page) -> tuple[gr.Button, gr.Number]:
    """What to do next, the button that teaches, how far it is, and the curve that rises.

    Returns the button and the number of episodes.
    """
    lesson = page.lesson
    with gr.Column(elem_classes="spa-panel spa-train-panel"):
        hint = html("spa-hint", cards.hint("One moment …", "working"))
        go_on = gr.Button("Go on", visible="hidden", size="md", elem_id="spa-go-on")
        with gr.Column(elem_classes="spa-action"):
            with gr.Row(elem_classes="spa-buttons spa-train-row", equal_height=True):
                episodes = gr.Number(
                    DEFAULT_EPISODES,
                    label="Episodes",
                    step=1,  # its bounds are checked, and told, on the server
                    scale=1,
                    min_width=70,
                    elem_id="spa-episodes",
                )
                page.controls["episodes"] = episodes
                train = gr.Button(
                    f"Train {DEFAULT_EPISODES} episodes",
                    variant="primary",
                    scale=4,
                    min_width=180,
                    elem_id="spa-train",
                )
                stop = gr.Button(
                    "Stop", interactive=False, scale=1, min_width=80, elem_id="spa-stop"
                )
            progress = html("spa-progress", cards.progress(0, 0, None, None))
            live = html("spa-live")
    accuracy = html("spa-accuracy", charts.accuracy_chart([], {}, False))

    lesson.show(hint, painting.hint, hint_of)
    lesson.show(progress, painting.progress, lambda lesson: (lesson.run, lesson.latest_event))
    lesson.show(live, painting.live)
    lesson.show(
        accuracy,
        painting.accuracy,
        lambda lesson: (
            lesson.results(),
            lesson.chat_template,
            painting.until(lesson),
            painting.rewards(lesson),
            lesson.exam.version,
            lesson.run is None,
        ),
    )
    lesson.show(
        stop,
        lambda lesson: gr.update(
            value="Stopping …" if lesson.stopping else "Stop",
            interactive=bool(lesson.run) and not lesson.stopping,
        ),
    )
    lesson.enable(train, lambda lesson: not lesson.run)
    lesson.show(go_on, lambda lesson: gr.update(visible=True if _cut(lesson) else "hidden"))

    lesson.act(stop.click, Lesson.stop, always=True)
    lesson.act(go_on.click, Lesson.go_on)
    page.events.on(episodes.change, None, [episodes], [train], js=TRAIN_LABEL)
    return train, episodes


def _settings(page: Page, train: gr.Button, episodes: gr.Number) -> None:
    """Other ways to learn and to go back, and how it is taught, also by the large button."""
    lesson = page.lesson
    with gr.Column(elem_classes="spa-panel spa-more"):
        with gr.Row(elem_classes="spa-buttons spa-quiet"):
            train_one = gr.Button(
                "Train on this problem",
                size="md",
                scale=3,
                min_width=140,
                elem_id="spa-train-one",
            )
            undo = gr.Button("Undo", size="md", scale=1, min_width=54, elem_id="spa-undo")
            redo = gr.Button("Redo", size="md", scale=1, min_width=54, elem_id="spa-redo")
            reset = gr.Button("Reset", size="md", scale=1, min_width=54, elem_id="spa-reset")
        with gr.Row(elem_classes="spa-settings"):
            signal = gr.Radio(
                SIGNAL_CHOICES,
                value="answer",
                label="How it learns",
                scale=3,
                min_width=180,
                elem_id="spa-signal",
            )
            chat_template = gr.Radio(
                FORMAT_CHOICES,
                value=False,
                label="Learn in this format",
                scale=3,
                min_width=180,
                elem_id="spa-format",
            )
        snapshots_part(page)
        _steps(page)

    lesson.show(
        chat_template,
        lambda lesson: gr.update(
            choices=format_choices(lesson.exam.formats),
            value=lesson.chat_template,
            interactive=not lesson.run,
        ),
    )
    lesson.show(signal, lambda lesson: gr.update(value=lesson.signal, interactive=not lesson.run))
    lesson.enable(train_one, lambda lesson: lesson.can_train_one)
    lesson.enable(undo, lambda lesson: not lesson.run and lesson.session.undo_depth > 0)
    lesson.enable(redo, lambda lesson: not lesson.run and lesson.session.redo_depth > 0)
    lesson.enable(reset, lambda lesson: not lesson.run and lesson.learner.episodes > 0)

    def choose(lesson: Lesson, told: object, chat: object) -> None:
        """What the page shows is what it learns by, though the choice is still on its way."""
        lesson.choose_signal(checked_signal(told))
        lesson.choose_format(checked_format(chat))

    def start(lesson: Lesson, told: object, chat: object, episodes: object) -> None:
        number = checked_episodes(episodes)
        choose(lesson, told, chat)
        lesson.train(number)

    def start_one(lesson: Lesson, told: object, chat: object) -> None:
        choose(lesson, told, chat)
        lesson.train_one()

    lesson.act(train.click, start, [signal, chat_template, episodes])
    lesson.act(train_one.click, start_one, [signal, chat_template])
    lesson.act(undo.click, Lesson.undo, limiter=SLOW)  # these wait for a step's end
    lesson.act(redo.click, Lesson.redo, limiter=SLOW)
    lesson.act(reset.click, Lesson.reset, limiter=SLOW)
    lesson.act(
        chat_template.input,
        lambda lesson, chat: lesson.choose_format(checked_format(chat)),
        [chat_template],
    )
    lesson.act(
        signal.input, lambda lesson, told: lesson.choose_signal(checked_signal(told)), [signal]
    )


def _steps(page: Page) -> None:
    """What else can be set: how it steps, and how many vectors there are."""
    lesson = page.lesson
    with gr.Accordion("More", open=False, elem_id="spa-more-fold"):
        with gr.Row(elem_classes="spa-steps"):
            rate = gr.Number(0.01, label="Learning rate", min_width=90, elem_id="spa-rate")
            size = gr.Number(4, label="Problems a step", min_width=90, elem_id="spa-step-size")
        with gr.Row(elem_classes="spa-steps"):
            vectors = gr.Number(8, label="Vectors", min_width=90, elem_id="spa-vectors")
            afresh = gr.Button(
                "Start with so many", size="md", min_width=150, scale=2, elem_id="spa-afresh"
            )

    def choose(lesson: Lesson, rate: object, size: object) -> None:
        lesson.choose_steps(checked_learning_rate(rate), checked_step_size(size))

    lesson.show(rate, lambda lesson: _setting(lesson, lesson.learning_rate))
    lesson.show(size, lambda lesson: _setting(lesson, lesson.episodes_per_step))
    lesson.show(vectors, lambda lesson: _setting(lesson, lesson.learner.config.soft_tokens))
    lesson.enable(afresh, lambda lesson: not lesson.run)
    lesson.act([rate.submit, rate.blur, size.submit, size.blur], choose, [rate, size])
    lesson.act(
        [vectors.submit, afresh.click],  # leaving the box may be on the way to Undo
        lambda lesson, number: lesson.choose_vectors(checked_vectors(number)),
        [vectors],
        limiter=SLOW,
    )


def _setting(lesson: Lesson, value: float) -> Any:
    return gr.update(value=value, interactive=not lesson.run)


def _cut(lesson: Lesson) -> bool:
    return lesson.latest_event is not None and lesson.latest_event.kind == "cut"


def _pictures(page: Page) -> None:
    """Accuracy by family, what became of each held-out problem, and the loss of every step."""
    families = html("spa-families", charts.family_chart({}, {}, False))
    held_out = html("spa-held-out", problem_map(_held_out(page), "", ""), CHOOSING)
    loss = html("spa-loss", charts.loss_chart([]))

    async def choose(session_id: object, event: gr.EventData) -> AsyncIterator[Frame]:
        async for frame in page.lesson.doing(
            session_id, lambda lesson: lesson.show_scored(checked_problem(event._data)), answering
        ):
            yield frame

    page.lesson.show(held_out, painting.held_out, painting.held_out_changes)
    page.events.on(held_out.click, choose, [page.browser], [page.lesson], trigger_mode="multiple")
    page.lesson.show(
        families,
        painting.families,
        lambda lesson: (lesson.results()[-1:], lesson.chat_template, lesson.exam.version),
    )
    page.lesson.show(
        loss,
        painting.loss,
        lambda lesson: (
            lesson.signal,
            lesson.graded if SIGNALS[lesson.signal].earned else lesson.learner,
        ),
    )


def _held_out(page: Page) -> Sequence[Problem]:
    """Those of the model that a page opens on, so that its map has its room from the first."""
    return page.lessons.models.first.exam.problems


def _thumbs(page: Page) -> None:
    """Tries that a person marks, and what is learnt from that."""
    lesson = page.lesson
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
        thumbs = html("spa-thumbs", thumbs_panel(SampleSet(), False), MARKING)

    async def rate(session_id: object, event: gr.EventData) -> AsyncIterator[Frame]:
        async for frame in lesson.doing(
            session_id, lambda lesson: lesson.rate(*checked_thumb(event._data))
        ):
            yield frame

    lesson.show(
        thumbs,
        painting.thumbs,
        lambda lesson: (lesson.samples.shown, lesson.run is None),
    )
    lesson.enable(draw, lambda lesson: not lesson.run and not lesson.samples.shown.drawing)
    lesson.enable(learn, lambda lesson: not lesson.run and lesson.samples.shown.rated)
    lesson.act(draw.click, Lesson.draw_samples)
    lesson.act(learn.click, Lesson.learn_from_thumbs)
    page.events.on(thumbs.click, rate, [page.browser], [lesson], trigger_mode="multiple")


def _chooser(
    choices: list[tuple[str, str]] | list[tuple[str, int]],
    value: str | int,
    label: str,
    element_id: str,
) -> gr.Dropdown:
    return gr.Dropdown(
        choices,
        value=value,
        label=label,
        min_width=120,
        filterable=False,
        interactive=True,
        elem_id=element_id,
    )
