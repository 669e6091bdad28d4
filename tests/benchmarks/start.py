"""Start: until the app's modules are there, and until a command has answered and ended.

Gradio as the page imports it stands beside Gradio as it comes; the programs as they start, beside
the same with garbage collected meanwhile. Each is a Python of its own, its files read before.
Nothing else takes as long when the app is started.
"""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from tests.benchmarks.timing import Line, Setting, compared, measure_in_turn, require_equal

COMPONENTS = "import gradio.components as made; print(sorted(vars(made)))"
HELP = {
    "python app.py --help": ("app.py", "--help"),
    "python -m learner --help": ("-m", "learner", "--help"),
}
COLLECTING = {  # the same, imported as a library
    "python app.py --help": "import app; app.main(['--help'])",
    "python -m learner --help": "from learner.__main__ import main; main(['--help'])",
}


def run(setting: Setting) -> Iterator[Line | str]:
    warm_up = 0 if setting.small else 1
    for module in ("learner.view",) if setting.small else ("learner.view", "app"):
        printed: dict[str, str] = {}
        ours, rival = "as the page does", "Gradio as it comes"
        programs = {ours: f"import {module}", rival: f"import gradio, {module}"}
        contenders = {
            name: partial(_keep, printed, name, "-c", f"{program}; {COMPONENTS}")
            for name, program in programs.items()
        }
        samples = measure_in_turn(contenders, setting, warm_up)
        require_equal("what is imported", printed[ours], printed[rival])
        yield compared(f"import {module}", samples, ours, rival)
    if setting.small:
        return
    for command, arguments in HELP.items():
        ours, rival = "as it starts", "garbage collected meanwhile"
        contenders = {
            ours: partial(_python, *arguments),
            rival: partial(_python, "-c", COLLECTING[command]),
        }
        yield compared(command, measure_in_turn(contenders, setting, warm_up), ours, rival)


def _keep(printed: dict[str, str], name: str, *arguments: str) -> None:
    printed[name] = _python(*arguments)


def _python(*arguments: str) -> str:
    """What a new Python prints, given these. Raises CalledProcessError if it fails."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
