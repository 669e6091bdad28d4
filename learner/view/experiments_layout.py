"""The Experiments tab's components and where they stand. No behaviour: ``experiments.py`` wires."""

from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr

from arena import FAMILIES
from learner.experiments.plan import ANY_FAMILY, MAX_NAME, SEEDS, TECHNIQUES
from learner.experiments.settings import BEST
from learner.view import cards
from learner.view.experiments_painting import Picture
from learner.view.experiments_table import COLUMN_WIDTHS, frame_of
from learner.view.layout import FORMAT_CHOICES, html

TECHNIQUE_CHOICES = [(technique.name, key) for key, technique in TECHNIQUES.items()]
FAMILY_CHOICES = [
    ("all families", ANY_FAMILY),
    *((name.replace("_", " "), name) for name in FAMILIES),
]
DEFAULT_NAME, DEFAULT_SEEDS = "run 1", 3


@dataclass(frozen=True)
class ExperimentsPanel:
    """The components of the tab that handlers read or write."""

    name: gr.Textbox
    technique: gr.Dropdown
    technique_words: gr.HTML
    chat_template: gr.Radio
    episodes: gr.Number
    seeds: gr.Number
    problems: gr.Number
    power: gr.HTML
    soft_tokens: gr.Number
    learning_rate: gr.Number
    episodes_per_step: gr.Number
    first_seed: gr.Number
    family: gr.Dropdown
    start: gr.Button
    hint: gr.HTML
    progress: gr.HTML
    stop: gr.Button
    go_on: gr.Button
    shown: gr.CheckboxGroup
    chart: gr.HTML
    table: gr.Dataframe
    chosen: gr.Dropdown
    use: gr.Button
    download: gr.Button
    file: gr.DownloadButton
    delete: gr.Button
    sure: gr.Row
    really_delete: gr.Button
    keep: gr.Button
    figure: gr.HTML


def power_line(words: str) -> str:
    """What so many problems can show, or what is wrong with their number."""
    return f'<p class="spa-power" role="status">{words}</p>'


def technique_line(technique: str) -> str:
    """What there is to try, in a sentence."""
    return f'<p class="spa-power">{TECHNIQUES[technique].words}</p>'


def build_experiments(formats: Sequence[bool], empty: Picture, power: str) -> ExperimentsPanel:
    """Lay out the tab for a model that knows these formats; call inside ``with gr.Tab(...)``.

    ``empty`` is what somebody sees who has tried nothing, ``power`` the line under the problems.
    """
    config = BEST.config
    with gr.Row(elem_classes="spa-lab", equal_height=False):
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
                [choice for choice in FORMAT_CHOICES if choice[1] in formats],
                value=False,
                label="Format",
                elem_id="spa-run-format",
            )
            with gr.Row(elem_classes="spa-numbers"):
                episodes = _number(BEST.episodes, "Episodes", "spa-run-episodes")
                seeds = _number(DEFAULT_SEEDS, f"Seeds (1–{SEEDS[1]})", "spa-run-seeds")
                problems = _number(BEST.eval_problems, "Held-out problems", "spa-run-problems")
            power_shown = html("spa-power", power_line(power))
            start = gr.Button("Start", variant="primary", elem_id="spa-start")
            with gr.Accordion("More settings", open=False, elem_id="spa-more-settings"):
                with gr.Row(elem_classes="spa-numbers"):
                    soft_tokens = _number(config.soft_tokens, "Soft tokens", "spa-soft-tokens")
                    rate = _number(
                        config.learning_rate, "Learning rate", "spa-learning-rate", 0.001
                    )
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
        with gr.Column(scale=7, min_width=320, elem_classes="spa-lab-side"):
            with gr.Column(elem_classes="spa-panel"):
                hint = html("spa-run-hint", empty.hint)
                with gr.Row(elem_classes="spa-buttons spa-run-controls"):
                    progress = html("spa-run-progress", empty.progress)
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
    with gr.Column(elem_classes="spa-panel"):
        table = gr.Dataframe(
            frame_of(empty.rows),
            label="All runs, in numbers: accuracies with their 95 % intervals",
            interactive=False,
            wrap=True,
            column_widths=list(COLUMN_WIDTHS),
            buttons=["copy"],
            elem_id="spa-table",
        )
    with gr.Row(elem_classes="spa-lab spa-panel", equal_height=False):
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
        with gr.Column(scale=7, min_width=320):
            figure = html("spa-figure", empty.figure)
    return ExperimentsPanel(
        name=name,
        technique=technique,
        technique_words=technique_words,
        chat_template=chat_template,
        episodes=episodes,
        seeds=seeds,
        problems=problems,
        power=power_shown,
        soft_tokens=soft_tokens,
        learning_rate=rate,
        episodes_per_step=step,
        first_seed=first_seed,
        family=family,
        start=start,
        hint=hint,
        progress=progress,
        stop=stop,
        go_on=go_on,
        shown=shown,
        chart=chart,
        table=table,
        chosen=chosen,
        use=use,
        download=download,
        file=file,
        delete=delete,
        sure=sure,
        really_delete=really_delete,
        keep=keep,
        figure=figure,
    )


def _number(value: float, label: str, element_id: str, step: float = 1) -> gr.Number:
    """A box for a number. Its bounds are checked, and told, where the plan is made."""
    return gr.Number(value, label=label, min_width=90, step=step, elem_id=element_id)


def _button(label: str, element_id: str) -> gr.Button:
    return gr.Button(label, size="md", min_width=100, interactive=False, elem_id=element_id)


_WORDS = "Soft prompts learn side by side, each from a seed of its own."
