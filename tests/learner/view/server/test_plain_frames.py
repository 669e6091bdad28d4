"""A page is sent the same, at a part of the cost."""

from copy import deepcopy

import gradio as gr
import pytest
from gradio.state_holder import SessionState

from learner.view.server.plain_frames import PlainFrames
from tests.coroutines import finished


def sent(kind, frame):
    """What each of six parts is sent of a frame, by name."""
    with kind() as blocks:
        parts = {
            "text": gr.HTML(),
            "button": gr.Button(),
            "slider": gr.Slider(),
            "number": gr.Number(),
            "choice": gr.Dropdown(),
            "kept": gr.State(),
        }
        gr.Button().click(lambda: None, outputs=[*parts.values()])
    [function] = blocks.fns.values()
    values = {parts[name]: value for name, value in frame.items()}
    state = SessionState(blocks)
    data = finished(blocks.postprocess_data(function, values, state))
    return dict(zip(parts, data, strict=True)), state.state_data


@pytest.mark.parametrize(
    "frame",
    [
        {"text": "<b>new</b>"},
        {"button": gr.update(interactive=True), "text": "new", "number": 3},
        {"button": gr.update(visible="hidden"), "slider": gr.update(value=2, maximum=7)},
        {"choice": gr.update(choices=["a", ("b", 1)], value="a"), "number": gr.update(value=None)},
        {"kept": "mine", "choice": gr.skip()},
        {"button": gr.update(value="Train 80", interactive=False, variant="primary")},
    ],
)
def test_a_page_is_sent_what_gradio_would_send(frame):
    before = deepcopy(frame)
    ours, kept = sent(PlainFrames, frame)
    assert frame == before
    theirs, also_kept = sent(gr.Blocks, frame)
    if isinstance(theirs["text"], dict):
        theirs["text"].pop("props")  # how Gradio takes an update's mark for a property of its own
    assert ours == theirs and list(kept.values()) == list(also_kept.values())


def test_only_what_is_new_is_made_anew(monkeypatch):
    described = []
    describe = SessionState._update_config  # of a component that was made anew
    monkeypatch.setattr(
        SessionState,
        "_update_config",
        lambda self, part: (described.append(part), describe(self, part))[1],
    )
    frame = {"button": gr.update(interactive=True), "number": gr.update(value=1), "text": "new"}
    ours, _ = sent(PlainFrames, {**frame})
    assert ours["number"] == {"__type__": "update", "value": 1} and ours["text"] == "new"
    few = len(described)
    sent(gr.Blocks, {**frame})  # of all but text, which has a new value, and what is kept
    assert (few, len(described) - few) == (1, 4)


def test_a_frame_that_names_what_is_no_output_is_a_mistake():
    with gr.Blocks():
        stranger = gr.HTML()
    with PlainFrames() as blocks:
        gr.Button().click(lambda: None, outputs=gr.HTML())
    [function] = blocks.fns.values()
    with pytest.raises(ValueError, match="not specified as output"):
        finished(blocks.postprocess_data(function, {stranger: "x"}, SessionState(blocks)))
