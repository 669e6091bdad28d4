"""Page frames: what the app's page makes of a run for one browser, against plain `gr.Blocks`.

A visitor trains on the real page, whose button is pressed as the server would; its frames are what
that browser is to be shown. Then both make of the same frames what is sent: this is done on the one
thread that serves everybody, once for each page that looks on. Both must send the same.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
from gradio.blocks import BlockFunction
from gradio.state_holder import SessionState

from learner.experiments.background import BackgroundExperiments
from learner.experiments.engine import direct
from learner.model.loading import load_base_model
from learner.model.progress import Tell
from learner.model.source import POCKET, locate
from learner.service.in_process import Service
from learner.view.build import build
from learner.view.server.login import Login
from learner.view.server.whole_updates import WholeUpdates
from learner.visitors.audience import Rooms
from learner.visitors.models import Models, Opening
from learner.visitors.open_lessons import OpenLessons
from learner.visitors.sessions import Sessions
from tests.benchmarks.timing import Line, Setting, Target, compared, measure_in_turn, require_equal
from tests.coroutines import finished

EPISODES, HELD_OUT = 80, 40

Frame = dict[Any, Any]
Pressed = tuple[gr.Blocks, BlockFunction, list[Frame]]


def run(setting: Setting) -> Iterator[Line | str]:
    episodes = 8 if setting.small else EPISODES
    with TemporaryDirectory(prefix="page-frames-") as folder, opened(Path(folder)) as page:
        demo, lessons = page
        lesson = lessons.open("")
        (press,) = [
            fn
            for fn in demo.fns.values()
            for block, event in fn.targets
            if event == "click" and demo.blocks[block].elem_id == "spa-train"
        ]
        frames = finished(_pressed(press, lesson.session.id, episodes))
    pressed = demo, press, frames
    ours, theirs = (_sent(kind, pressed) for kind in (WholeUpdates, gr.Blocks))
    require_equal("what the page is sent", ours, [[*map(_unmarked, frame)] for frame in theirs])
    samples = measure_in_turn(
        {
            "the app's page": partial(_sent, WholeUpdates, pressed),
            "gr.Blocks": partial(_sent, gr.Blocks, pressed),
        },
        setting,
    )
    case = f"a frame of {len(press.outputs)} parts, of a run of {episodes} episodes"
    yield compared(
        case, samples, "the app's page", "gr.Blocks", Target("≥", 5.0), per=float(len(frames))
    )
    named = sum(map(len, frames)) / len(frames)
    yield f"{len(frames)} frames, which name {named:.1f} parts in the mean."


@contextmanager
def opened(folder: Path) -> Iterator[tuple[gr.Blocks, OpenLessons]]:
    """The page on the embedded model, not served, and its visitors."""
    base_model = load_base_model()

    def load(tell: Tell) -> Service:
        return Service(base_model)

    models = Models([locate(POCKET).source])
    with Opening(models, [load], HELD_OUT, folder) as opening:
        taught = opening.open(0)
        models.add(0, taught)
        sessions = Sessions(folder, base_model, taught.service.new_learner)
        lessons = OpenLessons(models, sessions)
        with BackgroundExperiments(lambda *_: direct(base_model), sessions) as background:
            yield build(lessons, background, Rooms(), Login(True, False)), lessons
        sessions.close()


async def _pressed(press: BlockFunction, session_id: str, episodes: int) -> list[Frame]:
    """The frames of a press of the button, as its handler makes them."""
    assert press.fn is not None
    _, *inputs = press.inputs  # the first is where a browser keeps the session's id
    values = [episodes if one.elem_id == "spa-episodes" else one.value for one in inputs]
    return [_copied(frame) async for frame in press.fn(session_id, *values)]


def _copied(frame: Frame) -> Frame:
    """A frame of its own for the same parts."""
    return {part: deepcopy(value) for part, value in frame.items()}


def _sent(kind: type[gr.Blocks], pressed: Pressed) -> list[list[Any]]:
    """What is sent of all frames, by this kind of Blocks."""
    demo, press, frames = pressed

    async def all_frames() -> list[list[Any]]:
        state = SessionState(demo)
        return [await kind.postprocess_data(demo, press, _copied(frame), state) for frame in frames]

    return finished(all_frames())


def _unmarked(value: Any) -> Any:
    """Without a mark that Gradio takes for a property of an HTML part."""
    if isinstance(value, dict) and value.get("props") == {"__type__": "update"}:
        return {key: one for key, one in value.items() if key != "props"}
    return value
