"""The line at the foot of the page that says how busy the model is.

It looks every few seconds, past Gradio's queue, so that nobody's click waits behind it.
"""

from collections.abc import Sequence
from html import escape

import gradio as gr

from learner.service.protocol import ServiceStatus
from learner.view.page import html
from learner.view.screen import PRIVATE
from learner.visitors.models import Models

LOOK_SECONDS = 5.0


def build_service_line(models: Models) -> None:
    """Add the line, and keep it true; call inside ``with gr.Blocks()``."""

    def look() -> str:
        return service_line(
            [(one.base_model.source.short_name, one.service.status()) for one in models.all_taught]
        )

    shown = html("spa-service", look())
    gr.Timer(LOOK_SECONDS).tick(look, None, shown, queue=False, **PRIVATE)


def service_line(statuses: Sequence[tuple[str, ServiceStatus]]) -> str:
    """Plain words for each model: idle, or how many requests wait, and what the latest pass was.

    Or, where one cannot run anything, why. One that is alone need not be named.
    """
    models = [(f"Model {name}" if len(statuses) > 1 else "Model", one) for name, one in statuses]
    line = " · ".join(f"{escape(name)}: {_doing(status)}" for name, status in models)
    role = ' role="status"' if any(status.trouble for _, status in statuses) else ""
    return f'<p class="spa-service"{role}>{line}</p>'


def _doing(status: ServiceStatus) -> str:
    if status.trouble:
        return escape(status.trouble)
    doing = "working" if status.busy else "idle"
    if status.waiting:
        doing = f"{status.waiting} waiting"
    if doing != "idle" and status.rows:
        rows = f"{status.rows} row{'s' * (status.rows != 1)}"
        doing += f" · last pass {rows} in {_duration(status.seconds)}"
    return doing


def _duration(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"
