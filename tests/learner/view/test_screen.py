"""What can be pressed, and when."""

import gradio as gr

from learner.view.screen import Events, Screen


def test_nothing_can_be_pressed_before_there_is_somebody_to_do_it_for():
    """Whoever pressed Train while the page still waited for its session was told an error."""
    with gr.Blocks():
        button = gr.Button("Train")
        screen = Screen(Events(), gr.BrowserState(), lambda session_id: None, lambda subject: None)
        screen.enable(button, lambda view: True)
    assert button.get_config()["interactive"] is False
    assert screen.components == [button]
