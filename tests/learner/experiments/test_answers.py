"""Answers side by side: what changed comes first, and whatever is asked for is found."""

from dataclasses import replace

from arena import Problem, grade
from learner.experiments.answers import (
    ALL,
    CHANGED,
    GAINED,
    LOST,
    REWORDED,
    SAME,
    chosen,
    pairs_of,
)
from learner.experiments.completions import SOFT_PROMPT, lines_of
from learner.experiments.engine import ALONE
from learner.measuring import Written, score_of
from tests.learner.experiments.runs import made_up

PROBLEMS = [
    Problem("causal" if i % 2 else "sequence", 1, f"What is {i} and {i}?", str(2 * i), "number")
    for i in range(1, 6)
]
BEFORE = ["2", "0", "6", "nothing", "0 apples"]
AFTER = ["2", "4", "0", "nothing", "no, 1 apple"]


def exam(said, episodes, who=SOFT_PROMPT, split="held-out"):
    pairs = zip(PROBLEMS, said, strict=True)
    written = [Written(problem, words, grade(problem, words)) for problem, words in pairs]
    return lines_of(written, who, episodes, split)


LINES = [
    *exam(BEFORE, 0),
    *exam(["2"] * 5, 0, ALONE),
    *exam(["2"] * 5, 0, split="validation"),
    *exam(["4"] * 5, 4),
    *exam(["2"] * 5, 8, split="validation"),
    *exam(AFTER, 8),
]


def test_what_changed_comes_first_and_the_rest_in_its_own_order():
    pairs = pairs_of(LINES)
    assert [pair.change for pair in pairs] == [GAINED, LOST, REWORDED, SAME, SAME]
    assert [pair.after.completion for pair in pairs] == ["4", "0", "no, 1 apple", "2", "nothing"]
    assert [pair.before.completion for pair in pairs] == ["0", "6", "0 apples", "2", "nothing"]
    assert all(pair.before.key == pair.after.key for pair in pairs)


def test_they_can_stand_beside_the_model_alone():
    pairs = pairs_of(LINES, ALONE)
    assert {pair.before.completion for pair in pairs} == {"2"}
    assert pairs_of(LINES, "nobody") == []


def test_before_anything_was_learnt_there_is_nothing_to_compare():
    assert pairs_of([]) == pairs_of(exam(BEFORE, 0)) == []


def test_they_are_chosen_by_grade_by_change_and_by_family():
    pairs = pairs_of(LINES)
    assert chosen(pairs, ALL, None) == pairs
    assert chosen(pairs, CHANGED, None) == pairs[:3]
    assert chosen(pairs, LOST, None) == pairs[1:2]
    assert chosen(pairs, "right", None) == [pairs[0], pairs[3]]
    assert chosen(pairs, "wrong", None) == [pairs[1], pairs[2]]
    assert chosen(pairs, "no answer", None) == [pairs[4]]
    assert chosen(pairs, "right", "sequence") == [pairs[0]]


def test_the_results_tell_since_when_an_answer_is_right():
    outcomes = {0: "10100", 4: "01000", 8: "11000"}
    curve = tuple(score_of(letters, False, episodes) for episodes, letters in outcomes.items())
    results = replace(made_up(), curve=curve, problems=tuple(p.key for p in PROBLEMS))
    since = {pair.after.question: pair.right_since for pair in pairs_of(LINES, results=results)}
    assert [since[problem.question] for problem in PROBLEMS] == [8, 4, None, None, None]
