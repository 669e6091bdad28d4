"""Start: until the app's modules are there, with Gradio as the page imports it and as it comes.

Each import is a Python of its own, its files read before. Nothing else takes as long when the app
is started.
"""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from tests.benchmarks.timing import Line, Setting, compared, measure_in_turn, require_equal

COMPONENTS = "import gradio.components as made; print(sorted(vars(made)))"


def run(setting: Setting) -> Iterator[Line | str]:
    cases = ("learner.view",) if setting.small else ("learner.view", "app")
    require_equal(
        "what is imported", _python(f"import learner.view; {COMPONENTS}"), _python(COMPONENTS)
    )
    for module in cases:
        samples = measure_in_turn(
            {
                "as the page does": partial(_python, f"import {module}"),
                "Gradio as it comes": partial(_python, f"import gradio, {module}"),
            },
            setting,
            warm_up=0,
        )
        yield compared(f"import {module}", samples, "as the page does", "Gradio as it comes")


def _python(program: str) -> str:
    """What a new Python prints that runs this. Raises CalledProcessError if it fails."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
