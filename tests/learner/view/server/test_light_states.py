"""A client's state costs next to nothing, and remembers what the client did."""

import gradio as gr
from gradio.state_holder import SessionState

from learner.view.server.light_states import LightStates


def test_a_state_begins_empty_and_remembers_what_was_changed():
    with gr.Blocks() as blocks:
        kept, choices = gr.State([]), gr.Radio(["a", "b"])
    states = LightStates()
    states.set_blocks(blocks)
    mine = states["me"]
    assert isinstance(mine, SessionState)
    assert not [*mine.components]
    mine[kept._id] = ["something"]
    mine[choices._id] = gr.Radio(["c"], render=False)
    mine._update_value_in_config(choices._id, "c")
    assert states["me"] is mine
    assert states["me"][kept._id] == ["something"]
    assert states["me"][choices._id].choices == [("c", "c")]
    assert states["you"][kept._id] == []
    assert states["you"][choices._id].choices == [("a", "a"), ("b", "b")]
