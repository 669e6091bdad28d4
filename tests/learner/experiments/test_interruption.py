"""A real process, interrupted: by Ctrl-C it says how to go on, by kill -9 it loses one interval."""

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.learner.experiments.test_folder import contents

ROOT = Path(__file__).resolve().parents[3]
RUN = (
    "train --no-chat-template --episodes 80 --eval-interval 20 --eval-problems 10 "
    "--validation-problems 5 --seeds 2 --dtype float32 --output-dir"
).split()


def started(*arguments: str) -> subprocess.Popen:
    """``python -m learner`` on one thread, so that no sum depends on how threads share it."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "learner", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # nohup has it ignored
    )


def interrupted(arguments: list[str], at: int, by: signal.Signals) -> tuple[int, str]:
    """Start a command and interrupt it just after a milestone; status and standard error."""
    process = started(*arguments)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(f"{at:5} episodes"):
            process.send_signal(by)
            break
    _, errors = process.communicate(timeout=120)
    return process.returncode, errors


def finished(*arguments: str) -> str:
    """What a command prints; it must succeed."""
    process = started(*arguments)
    output, errors = process.communicate(timeout=170)
    assert process.returncode == 0, errors
    return output


def kept(folder: Path) -> list[int]:
    """After how many episodes each seed of a run can be gone on with; none has finished."""
    records = [json.loads(path.read_text()) for path in folder.glob("seed-*/results.json")]
    assert not any(record["finished"] for record in records)
    return [len(record["training"]) for record in records]


@pytest.mark.timeout(400)  # four processes
def test_what_goes_on_after_interruptions_ends_the_same_to_the_bit(tmp_path):
    whole, folder = tmp_path / "whole", tmp_path / "stopped"
    resume = ["train", "--resume", str(folder)]
    finished(*RUN, str(whole))
    status, errors = interrupted([*RUN, str(folder)], 20, signal.SIGINT)
    assert status == 130
    assert f"python -m learner train --resume {folder}" in errors
    assert "Traceback" not in errors
    one, other = kept(folder)
    assert min(one, other) >= 20
    interrupted(resume, 40, signal.SIGKILL)
    one, other = kept(folder)
    assert min(one, other) >= 40
    assert "80 episodes" in finished(*resume)
    assert contents(folder) == contents(whole)
