"""The line at the foot of the page that says how busy the model is.

It looks every few seconds, past Gradio's queue, so that nobody's click waits behind it.
"""

from html import escape

import gradio as gr

from learner.service.protocol import ModelService, ServiceStatus
from learner.view.parts import html

LOOK_SECONDS = 5.0


def build_service_line(service: ModelService) -> None:
    """Add the line, and keep it true; call inside ``with gr.Blocks()``."""

    def look() -> str:
        return service_line(service.status())

    shown = html("spa-service", look())
    gr.Timer(LOOK_SECONDS).tick(
        look, None, shown, queue=False, show_progress="hidden", api_visibility="private"
    )


def service_line(status: ServiceStatus) -> str:
    """Plain words: idle, or how many requests wait, and what the latest pass held and took.

    Or, where it cannot run anything, why.
    """
    if status.trouble:
        return f'<p class="spa-service" role="status">{escape(status.trouble)}</p>'
    doing = "working" if status.busy else "idle"
    if status.waiting:
        doing = f"{status.waiting} waiting"
    if doing != "idle" and status.rows:
        rows = f"{status.rows} row{'s' * (status.rows != 1)}"
        doing += f" · last pass {rows} in {_duration(status.seconds)}"
    return f'<p class="spa-service">Model: {doing}</p>'


def _duration(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"
