"""What the model wrote, a line an answer: whole whatever happens, each exam once, bounded."""

import json
from dataclasses import replace

import pytest

from arena import grade, held_out
from learner.checkpoint.reading import CheckpointError
from learner.experiments import completions
from learner.experiments.completions import (
    COMPLETIONS,
    SOFT_PROMPT,
    add_completions,
    keep_ends,
    lines_of,
    parse_completions,
    read_completions,
)
from learner.experiments.engine import ALONE, advance, start_runs
from learner.experiments.folder import save_run
from learner.measuring import Written
from tests.learner.experiments.scripted_engine import SMALL, ScriptedEngine

PROBLEMS = held_out(4)


def exam(episodes, said="", who=SOFT_PROMPT):
    written = (Written(problem, said, grade(problem, said)) for problem in PROBLEMS)
    return lines_of(written, who, episodes)


def episodes_in(path):
    return [line.episodes for line in read_completions(path)]


def test_a_line_has_the_problem_what_was_said_to_it_and_why_it_counts_as_it_does(tmp_path):
    problem = PROBLEMS[0]
    said = f"Well: the answer is {problem.answer}."
    (line,) = lines_of([Written(problem, said, grade(problem, said))], SOFT_PROMPT, 8)
    add_completions([line], tmp_path / COMPLETIONS)
    (text,) = (tmp_path / COMPLETIONS).read_text().splitlines()
    told = json.loads(text)
    assert told["key"] == problem.key
    assert (told["question"], told["gold"]) == (problem.question, problem.answer)
    assert (told["completion"], told["grade"]) == (said, "right")
    assert told["reason"] and told["episodes"] == 8
    start, end = told["span"]
    assert said[start:end] == problem.answer
    assert read_completions(tmp_path / COMPLETIONS) == (line,)


def test_an_exam_that_is_taken_again_replaces_itself_and_what_came_later(tmp_path):
    path = tmp_path / COMPLETIONS
    for episodes in (0, 4, 8):
        add_completions(exam(episodes), path)
    add_completions(exam(4, "no idea"), path)
    assert episodes_in(path) == [0] * 4 + [4] * 4
    assert {line.completion for line in read_completions(path)[4:]} == {"no idea"}


def test_where_there_is_no_room_the_exams_in_the_middle_go(tmp_path, monkeypatch):
    path = tmp_path / COMPLETIONS
    add_completions([*exam(0), *exam(0, who=ALONE)], path)
    monkeypatch.setattr(completions, "MAX_BYTES", 2 * path.stat().st_size + 100)
    for episodes in (4, 8, 12, 16):
        add_completions(exam(episodes), path)
    assert episodes_in(path) == [0] * 8 + [12] * 4 + [16] * 4
    keep_ends(path)
    assert episodes_in(path) == [0] * 8 + [16] * 4
    keep_ends(tmp_path / "nothing")  # a run that is older than this file


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        (b"{", "line 1"),
        (b"[]", "line 1"),
        (b'{"asked_of": 1}', "line 1"),
        (json.dumps(vars(exam(0)[0]) | {"grade": "fine"}).encode(), "grade"),
    ],
)
def test_what_is_no_such_file_is_refused_in_a_sentence(broken, fault, tmp_path):
    with pytest.raises(CheckpointError, match=fault):
        parse_completions(broken)
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_completions(tmp_path)


def test_a_run_keeps_what_its_scores_count(tmp_path):
    engine = ScriptedEngine().engine
    runs = start_runs(engine, [SMALL, replace(SMALL, validation_problems=0).with_seed(1)])
    folders = [tmp_path / "a", tmp_path / "b"]
    for runs in advance(engine, runs):  # noqa: B020 - as it goes on
        for run, folder in zip(runs, folders, strict=True):
            if run.measured:
                save_run(run, folder, engine.base_model)
    for run, folder in zip(runs, folders, strict=True):
        lines = read_completions(folder / COMPLETIONS)
        for score in run.held_out:
            found = [
                line
                for line in lines
                if (line.asked_of, line.split, line.episodes)
                == (SOFT_PROMPT, "held-out", score.episodes)
            ]
            assert [line.key for line in found] == [p.key for p in run.experiment.problems()]
            assert [line.grade == "right" for line in found] == list(score.right)
        assert sum(line.asked_of == ALONE for line in lines) == 10
        validated = sum(line.split == "validation" for line in lines)
        assert validated == 5 * len(run.validation)
