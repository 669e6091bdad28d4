"""The Experiments tab at work: what each control does, and how the page follows the desk."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from learner import wording
from learner.experiments.desk import Desk
from learner.experiments.laboratory import Laboratory
from learner.experiments.plan import TECHNIQUES, PlanError, checked_problems, plan_of
from learner.model.base_model import ModelFacts
from learner.view.experiments_files import best_learner, results_file
from learner.view.experiments_layout import ExperimentsPanel, power_line, technique_line
from learner.view.experiments_painting import ExperimentsPainter, Options, Picture
from learner.view.experiments_seen import Seen, choose_run, choose_shown, look_at, seen_by
from learner.view.experiments_table import Row, frame_of
from learner.view.teach import PRIVATE, Frame, Page, said
from learner.visitors.session import SessionError

FOLLOW_DOWNLOAD = (
    '() => requestAnimationFrame(() => document.querySelector("#spa-run-file").click())'
)
AT_ONCE: dict[str, Any] = {**PRIVATE, "queue": False}


def wire_experiments(
    demo: gr.Blocks,
    page: Page,
    panel: ExperimentsPanel,
    laboratory: Laboratory,
    base_model: ModelFacts,
    formats: tuple[bool, ...],
) -> None:
    """Connect the controls. Everything that they send is checked here, on the server."""
    painter = ExperimentsPainter()
    outputs = _outputs(panel)

    def frames(desk: Desk) -> Iterator[Frame]:
        """What changes in the tab while an experiment is on, a few times a second; all at first."""
        shown: Picture | None = None
        for _ in desk.follow(lambda: desk.busy):
            picture = painter.paint(desk)
            yield [
                _update(getattr(picture, field.name))
                if shown is None or getattr(picture, field.name) != getattr(shown, field.name)
                else gr.skip()
                for field in fields(Picture)
            ]
            shown = picture

    def act(session_id: object, action: Callable[[Desk], object]) -> Iterator[Frame]:
        with said():
            desk = laboratory.desk(session_id)
            action(desk)
            yield from frames(desk)

    def load(session_id: object) -> Iterator[Frame]:
        try:
            desk = laboratory.desk(session_id)
        except SessionError:  # somebody new, who finds the tab as it was laid out
            yield [gr.skip()] * (1 + len(outputs))
            return
        with said():
            desk.resume()
            name: object = desk.fresh_name()
            for frame in frames(desk):
                yield [name, *frame]
                name = gr.skip()

    def start(session_id: object, *asked: object) -> Iterator[Frame]:
        with said():
            plan = plan_of(*asked, formats=formats)
            desk = laboratory.desk(session_id)
            entry = desk.start(plan)
            look_at(desk, Seen(seen_by(desk).hidden, entry.place))
            name: object = desk.fresh_name()
            for frame in frames(desk):
                yield [name, *frame]
                name = gr.skip()

    def stop(session_id: object) -> Iterator[Frame]:
        yield from act(session_id, Desk.stop)

    def go_on(session_id: object, place: object) -> Iterator[Frame]:
        yield from act(session_id, lambda desk: desk.go_on(place))

    def show(session_id: object, shown: object) -> str:
        with said():
            desk = laboratory.desk(session_id)
            choose_shown(desk, shown)
            return painter.paint(desk).chart

    def choose(session_id: object, place: object) -> Iterator[Frame]:
        hide: object = gr.update(visible=False)
        for frame in act(session_id, lambda desk: choose_run(desk, place)):
            yield [hide, *frame]
            hide = gr.skip()

    def delete(session_id: object, place: object) -> Iterator[Frame]:
        hide: object = gr.update(visible=False)
        for frame in act(session_id, lambda desk: desk.delete(place)):
            yield [hide, *frame]
            hide = gr.skip()

    def use(session_id: object, place: object) -> Iterator[Frame]:
        with said():
            desk = laboratory.desk(session_id)
            entry = desk.shelf.read(place)
            learner, episodes = best_learner(desk, entry, base_model)
            lesson = page.lessons.get(session_id)
            lesson.adopt(learner)
            gr.Info(
                f"The Teach tab goes on with the best soft prompt of “{escape(entry.plan.name)}”, "
                f"from {wording.count(episodes, 'episode')}; Undo there brings yours back.",
                title="It is yours now",
            )
            yield from page.frames(lesson, lambda: lesson.comparison.answering)

    def download(session_id: object, place: object) -> Iterator[str]:
        with said(), tempfile.TemporaryDirectory() as folder:
            desk = laboratory.desk(session_id)
            yield str(results_file(desk, desk.shelf.read(place), Path(folder)))

    def explain(technique: object) -> tuple[Any, ...]:
        key = technique if isinstance(technique, str) and technique in TECHNIQUES else "best"
        config = TECHNIQUES[key].experiment.config
        settings = config.soft_tokens, config.learning_rate, config.episodes_per_step
        return technique_line(key), *settings

    def power(problems: object) -> str:
        try:
            return power_line(wording.power(checked_problems(problems)))
        except PlanError as error:
            return power_line(str(error))

    browser, chosen = page.browser, panel.chosen
    asked = [
        panel.name,
        panel.technique,
        panel.chat_template,
        panel.episodes,
        panel.seeds,
        panel.problems,
        panel.soft_tokens,
        panel.learning_rate,
        panel.episodes_per_step,
        panel.first_seed,
        panel.family,
    ]
    demo.load(load, [browser], [panel.name, *outputs], **PRIVATE)
    boxes = (panel.name, panel.episodes, panel.seeds, panel.problems)
    gr.on(
        [panel.start.click, *(box.submit for box in boxes)],
        start,
        [browser, *asked],
        [panel.name, *outputs],
        **PRIVATE,
    )
    panel.stop.click(stop, [browser], outputs, **PRIVATE)
    panel.go_on.click(go_on, [browser, chosen], outputs, **PRIVATE)
    # Not the boxes themselves: the next one may have been ticked meanwhile.
    panel.shown.input(
        show, [browser, panel.shown], [panel.chart], trigger_mode="always_last", **PRIVATE
    )
    chosen.input(choose, [browser, chosen], [panel.sure, *outputs], **PRIVATE)
    panel.use.click(use, [browser, chosen], page.outputs, **PRIVATE)
    panel.download.click(download, [browser, chosen], [panel.file], **PRIVATE).success(
        None, js=FOLLOW_DOWNLOAD, **PRIVATE
    )
    for button, visible in ((panel.delete, True), (panel.keep, False)):
        button.click(partial(gr.update, visible=visible), None, [panel.sure], **AT_ONCE)
    panel.really_delete.click(delete, [browser, chosen], [panel.sure, *outputs], **PRIVATE)
    panel.technique.input(
        explain,
        [panel.technique],
        [
            panel.technique_words,
            panel.soft_tokens,
            panel.learning_rate,
            panel.episodes_per_step,
        ],
        **AT_ONCE,
    )
    panel.problems.change(
        power, [panel.problems], [panel.power], trigger_mode="always_last", **AT_ONCE
    )


def _outputs(panel: ExperimentsPanel) -> list[gr.components.Component]:
    """The component for each field of a Picture."""
    shows: dict[str, gr.components.Component] = {
        "hint": panel.hint,
        "progress": panel.progress,
        "can_start": panel.start,
        "can_stop": panel.stop,
        "can_continue": panel.go_on,
        "chart": panel.chart,
        "shown": panel.shown,
        "rows": panel.table,
        "chosen": panel.chosen,
        "figure": panel.figure,
        "can_use": panel.use,
        "can_download": panel.download,
        "can_delete": panel.delete,
    }
    return [shows[field.name] for field in fields(Picture)]


def _update(value: str | bool | Options | tuple[Row, ...]) -> Any:
    """HTML as it is; a truth value says whether a button can be pressed; choices; rows."""
    if isinstance(value, Options):
        chosen = list(value.value) if isinstance(value.value, tuple) else value.value
        return gr.update(choices=list(value.choices), value=chosen)
    if isinstance(value, bool):
        return gr.update(interactive=value)
    return frame_of(value) if isinstance(value, tuple) else value
