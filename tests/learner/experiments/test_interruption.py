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
    "train --no-chat-template --episodes 160 --eval-interval 40 --eval-problems 10 "
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


def interrupted(folder: Path, by: signal.Signals) -> tuple[int, str]:
    """Start a run and interrupt it just after its second milestone; status and standard error."""
    process = started(*RUN, str(folder))
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("   40 episodes"):
            process.send_signal(by)
            break
    _, errors = process.communicate(timeout=120)
    return process.returncode, errors


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    process = started(*RUN, str(folder))
    _, errors = process.communicate(timeout=170)
    assert process.returncode == 0, errors
    return folder


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
def test_what_goes_on_after_an_interruption_ends_the_same_to_the_bit(uninterrupted, tmp_path, by):
    folder = tmp_path / "stopped"
    status, errors = interrupted(folder, by)
    records = [json.loads(path.read_text()) for path in folder.glob("seed-*/results.json")]
    assert len(records) == 2
    assert all(len(record["training"]) >= 40 and not record["finished"] for record in records)
    if by == signal.SIGINT:
        assert status == 130
        assert f"python -m learner train --resume {folder}" in errors
        assert "Traceback" not in errors
    resumed = started("train", "--resume", str(folder))
    output, errors = resumed.communicate(timeout=170)
    assert resumed.returncode == 0, errors
    assert "160 episodes" in output
    assert contents(folder) == contents(uninterrupted)
