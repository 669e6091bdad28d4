"""A command whose reader has gone ends quietly, whether or not it had much left to say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from arena.command_line import NOBODY_READS, run_command

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "arguments",
    [
        ["-n", "1"],  # found out at the end, when what was printed is written
        ["-n", "3000"],  # in the middle
        ["--help"],  # where the parser ends the program
    ],
)
def test_nobody_reads(arguments, monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        command = [sys.executable, "-m", "arena", *arguments]
        run = subprocess.run(command, cwd=ROOT, stdout=pipe, stderr=subprocess.PIPE, check=False)
    assert (run.returncode, run.stderr) == (NOBODY_READS, b"")


def test_a_reader_that_takes_the_first_line():
    shell = f"set -o pipefail; '{sys.executable}' -m arena -n 5000 | head -n 1"
    run = subprocess.run(
        ["bash", "-c", shell], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (NOBODY_READS, "")
    assert "difficulty" in run.stdout


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0, 0), (2, 2)])
def test_who_is_read_to_the_end_ends_as_it_says(returned, status):
    assert run_command(lambda: returned) == status


def test_other_errors_are_not_hidden():
    def broken():
        raise OSError("The disk is full.")

    with pytest.raises(OSError, match="disk is full"):
        run_command(broken)
