"""The Experiments tab: choose what to try, watch it beside the others, look at one run."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from learner import wording
from learner.experiments.background import BackgroundExperiments, VisitorExperiments
from learner.experiments.export import best_learner, run_zip
from learner.experiments.plan import (
    ANY_FAMILY,
    MAX_NAME,
    SEEDS,
    TECHNIQUES,
    PlanError,
    checked_problems,
    plan_of,
)
from learner.experiments.settings import TUNED
from learner.view import cards
from learner.view.experiments.answers_panel import FAMILY_CHOICES, answers_panel
from learner.view.experiments.painting import (
    SAVE_FIGURE,
    ExperimentsPainter,
    ExperimentsView,
    Options,
    Seen,
    choose_run,
    choose_shown,
    look_at,
    seen_by,
)
from learner.view.experiments.table import COLUMN_WIDTHS, table_of
from learner.view.page import FORMAT_CHOICES, Page, follow, format_choices, hidden_text, html
from learner.view.screen import Frame, Screen, in_thread, said, tell
from learner.visitors.lesson import Lesson
from learner.visitors.session import SessionError

Shown = Screen[VisitorExperiments, ExperimentsView]
TECHNIQUE_CHOICES = [(technique.name, key) for key, technique in TECHNIQUES.items()]
DEFAULT_NAME, DEFAULT_SEEDS = "run 1", 3


def experiments_tab(background: BackgroundExperiments, page: Page, _: gr.Tab) -> None:
    """Lay out the tab and say what its controls do."""
    screen: Shown = Screen(page.events, page.browser, background.of, ExperimentsPainter().look)
    with gr.Row(elem_classes="spa-lab", equal_height=False):
        _form(page, screen)
        _runs(page, screen)
    with gr.Column(elem_classes="spa-panel"):
        table = gr.Dataframe(
            table_of(ExperimentsView().rows),
            label="All runs, in numbers: accuracies with their 95 % intervals",
            interactive=False,
            wrap=True,
            column_widths=list(COLUMN_WIDTHS),
            buttons=["copy"],
            elem_id="spa-table",
        )
    screen.show(table, lambda view: table_of(view.rows))
    with gr.Row(elem_classes="spa-lab spa-panel", equal_height=False):
        _one_run(page, screen)
    with gr.Column(elem_classes="spa-panel"):
        html("spa-pairs-title", cards.title("What it wrote"))
        answers_panel(page, screen)


def _form(page: Page, screen: Shown) -> None:
    """What to try, and the button that starts it."""
    config = TUNED.config
    with gr.Column(scale=4, min_width=300, elem_classes="spa-panel"):
        html("spa-lab-words", cards.explanation("Try something", _WORDS))
        name = gr.Textbox(
            DEFAULT_NAME, label="Name", max_lines=1, max_length=MAX_NAME, elem_id="spa-run-name"
        )
        technique = gr.Dropdown(
            TECHNIQUE_CHOICES,
            value="best",
            label="What to try",
            filterable=False,
            elem_id="spa-technique",
        )
        technique_words = html("spa-technique-words", technique_line("best"))
        chat_template = gr.Radio(
            FORMAT_CHOICES,
            value=False,
            label="Format",
            elem_id="spa-run-format",
        )
        with gr.Row(elem_classes="spa-numbers"):
            episodes = _number(TUNED.episodes, "Episodes", "spa-run-episodes")
            seeds = _number(DEFAULT_SEEDS, f"Seeds (1–{SEEDS[1]})", "spa-run-seeds")
            problems = _number(TUNED.eval_problems, "Held-out problems", "spa-run-problems")
        power = html("spa-power", power_line(TUNED.eval_problems))
        start = gr.Button("Start", variant="primary", elem_id="spa-start")
        with gr.Accordion("More settings", open=False, elem_id="spa-more-settings"):
            with gr.Row(elem_classes="spa-numbers"):
                soft_tokens = _number(config.soft_tokens, "Soft tokens", "spa-soft-tokens")
                rate = _number(config.learning_rate, "Learning rate", "spa-learning-rate", 0.001)
            with gr.Row(elem_classes="spa-numbers"):
                step = _number(config.episodes_per_step, "Episodes a step", "spa-per-step")
                first_seed = _number(config.seed, "First seed", "spa-first-seed")
            family = gr.Dropdown(
                FAMILY_CHOICES,
                value=ANY_FAMILY,
                label="Problems",
                filterable=False,
                elem_id="spa-run-family",
            )

    async def load(session_id: object) -> AsyncIterator[Frame]:
        def resume(own: VisitorExperiments) -> Frame:
            own.resume()
            return {name: own.fresh_name()}

        try:
            await in_thread(screen.find, session_id)
        except SessionError:  # somebody new, who finds the tab as it was laid out
            yield gr.skip()
            return
        async for frame in screen.doing(session_id, resume):
            yield frame

    def begin(own: VisitorExperiments, *asked: object) -> Frame:
        entry = own.start(plan_of(*asked, formats=own.base_model.formats))
        look_at(own, Seen(seen_by(own).hidden, entry.place))
        return {name: own.fresh_name()}

    def explain(technique: object) -> tuple[Any, ...]:
        key = technique if isinstance(technique, str) and technique in TECHNIQUES else "best"
        config = TECHNIQUES[key].experiment.config
        settings = config.soft_tokens, config.learning_rate, config.episodes_per_step
        return technique_line(key), *settings

    # A newcomer has no session before the page has loaded: it comes to the browser afterwards,
    # maybe before the page has heard that there was none.
    arrivals = [page.demo.load, page.browser.change, page.at.change]
    page.events.on(arrivals, load, [page.browser], [name, screen], trigger_mode="multiple")
    screen.show(
        chat_template,
        lambda view: gr.update(choices=format_choices(view.formats)),
    )
    screen.enable(start, lambda view: view.progress is None)
    screen.act(
        [start.click, name.submit, episodes.submit, seeds.submit, problems.submit],
        begin,
        [
            name,
            technique,
            chat_template,
            episodes,
            seeds,
            problems,
            soft_tokens,
            rate,
            step,
            first_seed,
            family,
        ],
        [name],
    )
    page.events.on(
        technique.input,
        explain,
        [technique],
        [technique_words, soft_tokens, rate, step],
    )
    page.events.on(problems.change, power_line, [problems], [power], trigger_mode="always_last")


def _runs(page: Page, screen: Shown) -> None:
    """The experiment that is on, and all of them side by side."""
    empty = ExperimentsView()
    with gr.Column(scale=7, min_width=320, elem_classes="spa-lab-side"):
        with gr.Column(elem_classes="spa-panel"):
            hint = html("spa-run-hint", empty.hint)
            with gr.Row(elem_classes="spa-buttons spa-run-controls"):
                progress = html("spa-run-progress", empty.progress_bar)
                stop = _button("Stop", "spa-run-stop")
                go_on = _button("Continue", "spa-run-on")
        with gr.Column(elem_classes="spa-panel spa-runs-panel"):
            chart = html("spa-experiments", empty.chart)
            shown = gr.CheckboxGroup(
                list(empty.shown.choices),
                value=list(empty.shown.value or ()),
                label="Show",
                elem_id="spa-shown",
            )

    def choose(session_id: object, shown: object) -> str:
        with said():
            own = screen.find(session_id)
            choose_shown(own, shown)
            return screen.look(own).chart

    def resume(own: VisitorExperiments) -> None:
        chosen = screen.look(own).chosen
        own.go_on(chosen and chosen.place)

    screen.show(hint, lambda view: view.hint)
    screen.show(progress, lambda view: view.progress_bar)
    screen.show(chart, lambda view: view.chart, lambda view: (view.lines, view.hidden))
    screen.show(shown, lambda view: _choices(view.shown))
    screen.enable(stop, lambda view: view.progress is not None)
    screen.enable(go_on, lambda view: view.can_continue)
    screen.act(stop.click, VisitorExperiments.stop, always=True)
    screen.act(go_on.click, resume)
    # Not the boxes themselves: the next one may have been ticked meanwhile.
    page.events.on(shown.input, choose, [page.browser, shown], [chart], trigger_mode="always_last")


def _one_run(page: Page, screen: Shown) -> None:
    """One run in detail: its figure, its files, its soft prompt."""
    with gr.Column(scale=4, min_width=280):
        html("spa-one-title", cards.title("One run"))
        chosen = gr.Dropdown(
            [],
            value=None,
            label="Run",
            filterable=False,
            interactive=True,
            elem_id="spa-chosen",
        )
        use = _button("Use its soft prompt", "spa-use-run")
        with gr.Row(elem_classes="spa-buttons"):
            download = _button("Download results", "spa-download-run")
            delete = _button("Delete", "spa-delete-run")
        file = gr.DownloadButton("Results file", visible="hidden", elem_id="spa-run-file")
        with gr.Row(visible=False, elem_classes="spa-buttons") as sure:
            really_delete = gr.Button(
                "Delete it for good", variant="stop", size="md", elem_id="spa-really-delete"
            )
            keep = gr.Button("Keep it", size="md", elem_id="spa-keep-run")
        doomed = hidden_text()  # the place of the run that this row is about
    with gr.Column(scale=7, min_width=320):
        figure = html("spa-figure", ExperimentsView().figure, SAVE_FIGURE)

    def ask(session_id: object, place: object) -> tuple[str, Any, Any]:
        with said():
            entry = screen.find(session_id).store.read(place)
        words = f"Delete “{entry.plan.name}” for good"
        return entry.place, gr.update(value=words), gr.update(visible=True)

    def remove(own: VisitorExperiments, place: object) -> Frame:
        own.delete(place)
        return {sure: gr.update(visible=False)}

    def adopt(lesson: Lesson, place: object) -> None:
        own = screen.find(lesson.session.id)
        entry = own.store.read(place)
        learner, episodes = best_learner(own, entry, own.base_model)
        lesson.adopt(learner)
        tell(
            f"The Teach tab goes on with the best soft prompt of “{entry.plan.name}”, "
            f"from {wording.count(episodes, 'episode')}; Undo there brings yours back.",
            "It is yours now",
        )

    def save(session_id: object, place: object) -> Iterator[str]:
        with said(), tempfile.TemporaryDirectory() as folder:
            own = screen.find(session_id)
            yield str(run_zip(own, own.store.read(place), Path(folder)))

    screen.show(chosen, lambda view: _choices(view.runs))
    screen.show(figure, lambda view: view.figure, lambda view: (view.chosen, view.picture))
    screen.enable(use, lambda view: view.can_use)
    screen.enable(download, lambda view: view.can_download)
    screen.enable(delete, lambda view: view.can_delete)
    screen.act(chosen.input, choose_run, [chosen])
    screen.act(really_delete.click, remove, [doomed], [sure])
    page.lesson.act(use.click, adopt, [chosen], busy=lambda lesson: lesson.comparison.answering)
    page.events.on(
        download.click, save, [page.browser, chosen], [file], then={"js": follow("spa-run-file")}
    )
    page.events.on(delete.click, ask, [page.browser, chosen], [doomed, really_delete, sure])
    # Whoever comes to another run, by choice or by a start, is not asked about the one before.
    page.events.on([keep.click, chosen.change], partial(gr.update, visible=False), [], [sure])


def power_line(problems: object) -> str:
    """What so many problems can show, or what is wrong with their number."""
    try:
        words = wording.power(checked_problems(problems))
    except PlanError as error:
        words = str(error)
    return f'<p class="spa-power" role="status">{escape(words)}</p>'


def technique_line(technique: str) -> str:
    """What there is to try, in a sentence."""
    return f'<p class="spa-power">{TECHNIQUES[technique].words}</p>'


def _choices(options: Options) -> Any:
    chosen = list(options.value) if isinstance(options.value, tuple) else options.value
    return gr.update(choices=list(options.choices), value=chosen)


def _number(value: float, label: str, element_id: str, step: float = 1) -> gr.Number:
    """A box for a number. Its bounds are checked, and told, where the plan is made."""
    return gr.Number(value, label=label, min_width=90, step=step, elem_id=element_id)


def _button(label: str, element_id: str) -> gr.Button:
    return gr.Button(label, size="md", min_width=100, interactive=False, elem_id=element_id)


_WORDS = "Soft prompts learn side by side, each from a seed of its own."
