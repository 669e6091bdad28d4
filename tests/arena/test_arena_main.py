"""``python -m arena`` prints problems to look at."""

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from arena.__main__ import main
from arena.problem import Problem
from arena.sampling import stream

ROOT = Path(__file__).parents[2]


def test_it_prints_the_stream_that_was_asked_for(capsys):
    main("--family causal --difficulty 3 --split held-out --seed 5 -n 4".split())
    shown = capsys.readouterr().out
    for problem in islice(stream(5, "held-out", ["causal"], 3), 4):
        assert problem.question in shown
        assert f"→ {problem.answer}   ({problem.explanation})" in shown
    assert shown.count("causal, difficulty 3") == 4


def test_it_prints_json_lines_that_are_the_problems(capsys):
    main(["--json", "-n", "6"])
    read = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    problems = [Problem(**{**each, "choices": tuple(each["choices"])}) for each in read]
    assert problems == list(islice(stream(0), 6))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("--family riddles", "comparison"),
        ("--difficulty 9", "choose 1, 2, 3, 4, 5"),
        ("--split test", "held-out"),
        ("-n -1", "not a whole number"),
        ("-n 99999999999999999999", "not a whole number from 0 to 1000000000"),
        ("--famly causal", "There is no --famly; did you mean --family?"),
        ("--family casual", "did you mean causal?"),
        ("causal", "“causal” is one word too many"),
    ],
)
def test_a_wrong_argument_ends_with_what_can_be_chosen(arguments, told, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments.split())
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


def test_it_runs_as_a_module():
    command = [sys.executable, "-m", "arena", "-n", "2"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.count("→") == 2
