"""Snapshots on the Teach tab: name the soft prompt as it is, go back to it, see both scores."""

from collections.abc import AsyncIterator
from html import escape

import gradio as gr

from learner.measuring import Score
from learner.view.page import Page, html
from learner.view.screen import SLOW, Frame
from learner.visitors.checked_input import checked_name, checked_snapshot
from learner.visitors.lesson import Lesson
from learner.visitors.snapshots import MAX_NAME, Snapshot
from learner.wording import between, count, p_value, percent

CHOOSING = """
element.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-snapshot]");
    if (!button || button.disabled) return;
    trigger("click", { name: button.dataset.snapshot, action: button.dataset.action });
});
"""
"""Sends a click on a snapshot's button as its event's data."""

ACTIONS = {"back": Lesson.go_to_snapshot, "remove": Lesson.remove_snapshot}


def snapshots_part(page: Page) -> None:
    """Lay out the list of snapshots with what can be done, and say what its controls do."""
    lesson = page.lesson
    with gr.Accordion("Snapshots", open=False, elem_id="spa-snapshots-fold"):
        with gr.Row(elem_classes="spa-buttons spa-keep", equal_height=False):
            name = gr.Textbox(
                label="Name (optional)",
                max_length=MAX_NAME,
                max_lines=1,
                scale=3,
                min_width=120,
                elem_id="spa-snapshot-name",
            )
            keep = gr.Button("Keep", size="md", scale=1, min_width=64, elem_id="spa-keep")
            measure = gr.Button("Measure", size="md", scale=1, min_width=84, elem_id="spa-measure")
        shown = html("spa-snapshots", "", CHOOSING)

    def keep_it(lesson: Lesson, called: object) -> Frame:
        lesson.keep_snapshot(checked_name(called))
        return {name: ""}

    async def choose(session_id: object, event: gr.EventData) -> AsyncIterator[Frame]:
        def act(lesson: Lesson) -> None:
            called, action = checked_snapshot(event._data)
            ACTIONS[action](lesson, called)

        async for frame in lesson.doing(session_id, act, limiter=SLOW):
            yield frame

    def now(lesson: Lesson) -> tuple[int, Score | None]:
        return lesson.learner.episodes, lesson.score

    lesson.show(
        shown,
        lambda lesson: snapshots_list(
            now(lesson), lesson.session.snapshots, lesson.chat_template, lesson.run is None
        ),
        lambda lesson: (
            now(lesson),
            lesson.session.snapshots,
            lesson.chat_template,
            lesson.run is None,
        ),
    )
    lesson.enable(
        measure, lambda lesson: lesson.run is None and not lesson.exam.is_whole(lesson.score)
    )
    lesson.act([keep.click, name.submit], keep_it, [name], [name])
    lesson.act(measure.click, Lesson.measure)
    page.events.on(shown.click, choose, [page.browser], [lesson], trigger_mode="multiple")


def snapshots_list(
    now: tuple[int, Score | None],
    snapshots: tuple[Snapshot, ...],
    chat_template: bool,
    enabled: bool,
) -> str:
    """The soft prompt as it is ``now`` (episodes, score), and every snapshot beside it.

    All scores are in the one format, and paired on the problems that both have. ``enabled`` says
    whether it is possible to go back.
    """
    if not snapshots:
        return (
            '<p class="spa-thumbs-note">Keep your soft prompt as it is under a name, go on, and '
            "come back to it when you like.</p>"
        )
    episodes, score = now
    rows = [
        f"<li><div><b>as it is now</b><span>{count(episodes, 'episode')} · {_score(score)}</span>"
        "</div></li>"
    ]
    off = "" if enabled else " disabled"
    for snapshot in snapshots:
        then = snapshot.score(chat_template)
        name = escape(snapshot.name, quote=True)
        buttons = "".join(
            f'<button type="button" data-snapshot="{name}" data-action="{action}" '
            f'aria-label="{words}: {name}"{off if action == "back" else ""}>{words}</button>'
            for action, words in (("back", "Go back"), ("remove", "Remove"))
        )
        learnt = count(snapshot.learner.episodes, "episode")
        rows.append(
            f"<li><div><b>{name}</b><span>{learnt} · {_score(then)}</span>"
            f"{_since(score, then)}</div><div>{buttons}</div></li>"
        )
    return f'<ul class="spa-snapshots">{"".join(rows)}</ul>'


def _score(score: Score | None) -> str:
    if score is None:
        return "not measured"
    return f"{percent(score.accuracy)} of {score.n} ({between(score.interval)})"


def _since(now: Score | None, then: Score | None) -> str:
    change = now.since(then) if now and then else None
    if change is None:
        return ""
    return f"<span>now +{change.gained} −{change.lost} against it, {p_value(change.p_value)}</span>"
