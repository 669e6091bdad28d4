"""The real app on the embedded model, in a process of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
_LOOP_AT_EXIT = re.compile(
    r"Exception ignored in: <function BaseEventLoop\.__del__"
    r".*?ValueError: Invalid file descriptor: -1",
    re.DOTALL,
)


@contextmanager
def open_app(
    folder: Path, known: str = "", program: Sequence[str] = ("app.py",), **environment: str
) -> Iterator[str]:
    """As `open_by_link`; the bare address, as of somebody who has not seen the printed link."""
    with open_by_link(folder, known, program, **environment) as link:
        yield link.partition("?")[0]


@contextmanager
def open_by_link(
    folder: Path, known: str = "", program: Sequence[str] = ("app.py",), **environment: str
) -> Iterator[str]:
    """Start the app, keeping its files in ``folder``; the link that it prints.

    Afterwards its log must hold no traceback but one that says ``known``.
    """
    with _started(folder, program, **environment) as (found, process):
        try:
            yield found
        finally:
            process.terminate()
            status = process.wait(30)
    # What Python says of an event loop that it meets while it exits is nobody's fault here.
    said = _LOOP_AT_EXIT.sub("", (folder / "log.txt").read_text())
    assert status == 0 or program[0] != "app.py", said
    assert said.count("Traceback") == (known != "" and known in said), said


@contextmanager
def app_process(
    folder: Path, program: Sequence[str] = ("app.py",), **environment: str
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """The same without a look at its log: the address, and the process, which is killed."""
    with _started(folder, program, **environment) as (link, process):
        yield link.partition("?")[0], process


@contextmanager
def _started(
    folder: Path, program: Sequence[str], **environment: str
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """The link that an app prints, and its process, which is killed in the end."""
    log = folder / "log.txt"
    command = [sys.executable, *program]
    if "--sessions" not in program:
        command += ["--sessions", str(folder / "sessions")]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"GRADIO_TEMP_DIR": str(folder / "gradio"), **environment},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        opened = re.compile(r"open on (\S+)")
        found = next((match[1] for line in process.stdout if (match := opened.search(line))), None)
        assert found, log.read_text()
        try:
            yield found, process
        finally:
            process.kill()
