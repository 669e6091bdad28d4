"""The Look inside tab: switch vectors off, turn the soft prompt up and down, and see what it is."""

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path

import gradio as gr

from learner import wording
from learner.checkpoint.files import save_zip
from learner.inspection.inside import Inside, Insides
from learner.inspection.size import Size, smallest_of
from learner.inspection.strength import STRONGEST
from learner.learning.learner import Learner
from learner.view import cards
from learner.view.inside.charts import (
    SWITCHING,
    path_chart,
    strength_chart,
    switchboard,
    watched_answer,
)
from learner.view.inside.charts import cards as part_cards
from learner.view.page import Page, follow, html
from learner.view.screen import Frame, Screen, said
from learner.view.share.tab import file_name
from learner.view.strip import scale
from learner.visitors.checked_input import (
    MAX_TEXT,
    LessonError,
    checked_moment,
    checked_slide,
    checked_switch,
    checked_text,
)

LEFT, RIGHT = ("changes", "likeness", "words", "nearest"), ("vectors", "size", "listening")
_WORDS = (
    "Look inside draws pictures of it. Each says in bold what was found, and below that how sure "
    "it is: from how many problems, and beside a control that learnt nothing. How often each "
    "method finds the truth, where that is known, is in this app's README, under Measured."
)

# What was clicked before the tab was opened may be done after it: an undo, a load. One more look
# shows its soft prompt then, if the tab is open; nothing is asked of the server otherwise.
CATCH_UP = """() => {
    if (document.querySelector("#spa-look-inside")?.offsetParent)
        document.querySelector("#spa-inside-again").click();
}"""


def inside_tab(page: Page, tab: gr.Tab) -> None:
    """Lay out the tab and say what its controls do."""
    insides = Insides()
    screen: Screen[Inside, Inside] = Screen(
        page.events,
        page.browser,
        lambda session_id: insides.of(page.lessons.get(session_id)),
        lambda inside: inside,
    )
    with gr.Column(elem_classes="spa-panel"):
        html("spa-inside-words", cards.explanation("What did it learn?", _WORDS))
        _look(screen)
    with gr.Row(elem_classes="spa-lab", equal_height=False):
        with gr.Column(scale=6, min_width=320, elem_classes="spa-panel"):
            _alter(page, screen)
        with gr.Column(scale=5, min_width=320, elem_classes="spa-lab-side"):
            strength = html("spa-strength", strength_chart(None, 1.0, False))
            path = html("spa-path")
    with gr.Row(elem_classes="spa-lab", equal_height=False):
        for side, names in (("left", LEFT), ("right", RIGHT)):
            with gr.Column(scale=1, min_width=320):
                column = html(f"spa-inside-{side}")
                if side == "right":
                    _save_smallest(page, screen)
            screen.show(column, partial(part_cards, kinds=names), lambda inside: inside.parts)
    screen.show(
        strength,
        lambda inside: strength_chart(
            inside.parts.get("strength"), inside.watched.place, inside.working
        ),
        lambda inside: (inside.parts.get("strength"), inside.watched.place, inside.working),
    )
    screen.show(
        path,
        lambda inside: path_chart(inside.parts.get("path"), _episodes(inside)),
        lambda inside: (inside.parts.get("path"), inside.watched.moment),
    )

    async def arrive(session_id: object) -> AsyncIterator[Frame]:
        async for frame in screen.doing(session_id, Inside.arrive):
            yield frame

    again = gr.Button(visible="hidden", elem_id="spa-inside-again")
    page.events.on([tab.select, page.at.change, again.click], arrive, [page.browser], [screen])
    page.events.on(page.strip.change, None, js=CATCH_UP)


def _alter(page: Page, screen: Screen[Inside, Inside]) -> None:
    """Switches, strength, timeline, and the answer that they change."""
    html("spa-apart", cards.title("Take it apart"))
    switches = html("spa-switches", "", SWITCHING)
    strength = gr.Slider(
        0,
        STRONGEST,
        value=1,
        step=0.05,
        label="Strength: 0 is untrained, 1 trained",
        buttons=[],
        elem_id="spa-strength-slider",
    )
    moment = gr.Slider(
        0,
        1,
        value=0,
        step=1,
        label="Moment of training: 0 is the first, the last is now",
        buttons=[],
        elem_id="spa-moment",
    )
    answer = html("spa-watched")
    again = gr.Button("All of it again", size="md", elem_id="spa-whole")

    async def switch(session_id: object, event: gr.EventData) -> AsyncIterator[Frame]:
        async for frame in screen.doing(
            session_id,
            lambda inside: inside.switch(checked_switch(event._data)),
            _answering,
        ):
            yield frame

    screen.show(
        switches,
        lambda inside: switchboard(inside, scale(inside.base_model)),
        lambda inside: (_altered(inside), inside.parts.get("vectors")),
    )
    screen.show(
        answer,
        lambda inside: watched_answer(
            inside.watched, [moment.episodes for moment in inside.moments]
        ),
        lambda inside: inside.watched,
    )
    # Whoever slides is ahead of what comes back: a slider is set only by what others do to it.
    screen.show(
        strength,
        lambda inside: gr.update(value=inside.watched.place),
        lambda inside: inside.put_back,
    )
    screen.show(
        moment,
        lambda inside: gr.update(
            value=inside.watched.moment,
            maximum=max(1, len(inside.moments) - 1),
            interactive=len(inside.moments) > 1,
        ),
        lambda inside: inside.put_back,
    )
    screen.enable(again, lambda inside: not inside.watched.is_whole or not _is_now(inside))
    page.events.on(switches.click, switch, [page.browser], [screen], trigger_mode="multiple")
    _slide(page, screen, strength, lambda inside, place, at: inside.turn(checked_slide(place), at))
    _slide(
        page, screen, moment, lambda inside, number, at: inside.scrub(checked_moment(number), at)
    )
    screen.act(again.click, Inside.whole, busy=_answering)


def _slide(
    page: Page,
    screen: Screen[Inside, Inside],
    slider: gr.Slider,
    action: Callable[[Inside, object, float], None],
) -> None:
    """Let a slider do something with where it was moved and when, and leave it where it stands.

    Of two moves that follow each other at once the page may send the later one first.
    """
    moved = gr.Number(visible="hidden")

    async def slide(session_id: object, value: object, at: object) -> AsyncIterator[Frame]:
        async for frame in screen.doing(
            session_id, lambda inside: action(inside, value, checked_slide(at)), _answering
        ):
            frame.pop(slider, None)
            if frame:
                yield frame

    page.events.on(
        slider.input,
        slide,
        [page.browser, slider, moved],
        [screen],
        trigger_mode="always_last",
        js="(browser, value) => [browser, value, performance.timeOrigin + performance.now()]",
    )


def _save_smallest(page: Page, screen: Screen[Inside, Inside]) -> None:
    """The smallest prompt that loses nothing, as a file."""
    save = gr.Button(
        "Save the smallest that loses nothing", size="md", visible=False, elem_id="spa-save-small"
    )
    file = gr.DownloadButton("Smallest soft prompt", visible="hidden", elem_id="spa-smallest")

    def save_file(session_id: object) -> Iterator[Frame]:
        with said(), tempfile.TemporaryDirectory() as folder:
            inside = screen.find(session_id)
            smaller = _smallest(inside)
            if smaller is None:
                raise LessonError("Nothing smaller is known yet that is sure to do as well.")
            path = Path(folder) / f"smallest-{file_name(smaller)}"
            yield {file: str(save_zip(smaller, path, inside.base_model))}

    screen.show(save, lambda inside: gr.update(visible=_smallest(inside) is not None))
    page.events.on(
        save.click, save_file, [page.browser], [file], then={"js": follow("spa-smallest")}
    )


def _look(screen: Screen[Inside, Inside]) -> None:
    """The button that finds everything out, and a text of one's own to compare."""
    with gr.Row(elem_classes="spa-choosers"):
        own = gr.Textbox(
            label="Does it act like … (a text of yours, optional)",
            max_length=MAX_TEXT,
            max_lines=1,
            scale=4,
            min_width=200,
            elem_id="spa-own-text",
        )
        look = gr.Button(
            "Look inside", variant="primary", scale=2, min_width=130, elem_id="spa-look-inside"
        )
        stop = gr.Button(
            "Stop looking", interactive=False, scale=1, min_width=120, elem_id="spa-stop-looking"
        )
    status = html("spa-inside-status")
    progress = html("spa-inside-progress")
    screen.show(
        status, lambda inside: cards.status(_status(inside)), lambda inside: _status(inside)
    )
    screen.show(progress, _progress)
    screen.enable(
        look,
        lambda inside: not inside.is_current or (inside.is_trained and not inside.working),
    )
    screen.enable(stop, lambda inside: inside.working)
    screen.act(
        [look.click, own.submit], lambda inside, text: inside.look(checked_text(text)), [own]
    )
    screen.act(stop.click, Inside.stop, always=True)


def _smallest(inside: Inside) -> Learner | None:
    part = inside.parts.get("size")
    return smallest_of(inside.learner, part) if isinstance(part, Size) else None


def _status(inside: Inside) -> str:
    if not inside.is_current:
        return (
            f"This is your soft prompt as it was after {_learnt(inside.learner.episodes)}. It has "
            "changed since: press Look inside to look again."
        )
    if inside.gone is not None:
        then = "Press Look inside to look again." if inside.is_trained else "Train it, then look."
        return (
            "Your soft prompt has changed, so the pictures of how it was after "
            f"{_learnt(inside.gone)} are gone. {then}"
        )
    if not inside.is_trained:
        return "There is nothing to look into yet: train the soft prompt first."
    done, of = len(inside.parts), inside.all_parts
    over = f" over {wording.count(inside.asked, 'problem')}" if inside.asked else ""
    if inside.working:
        if not inside.asked:
            return "The first picture is coming, of few problems. You can go on meanwhile."
        return (
            f"{done} of {of} pictures{over}, as many as this machine's pace allows. You can go on "
            "meanwhile."
        )
    if done == of:
        return f"Looked into in {inside.seconds:.0f} seconds{over}."
    if inside.answers:
        return f"Stopped after {inside.seconds:.0f} seconds: {done} of {of} pictures{over}."
    return "Press Look inside for pictures; or take it apart below."


def _progress(inside: Inside) -> str:
    if not inside.working:
        return cards.progress(0, 0, None, None)
    done, of = inside.answers, inside.all_answers
    left = inside.seconds_left
    return cards.progress(done, of, inside.pace, left, "", "answer", "Looking inside")


def _answering(inside: Inside) -> bool:
    """What is followed after a click here: whoever looks inside follows the rest already."""
    return inside.answering


def _altered(inside: Inside) -> tuple[object, ...]:
    """What the prompt that is watched follows from."""
    watched = inside.watched
    return inside.learner, watched.kept, watched.place, watched.moment


def _learnt(episodes: int) -> str:
    return wording.count(episodes, "episode")


def _episodes(inside: Inside) -> int:
    return inside.moments[inside.watched.moment].episodes


def _is_now(inside: Inside) -> bool:
    return inside.watched.moment == len(inside.moments) - 1
