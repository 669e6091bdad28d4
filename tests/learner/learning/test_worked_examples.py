"""Worked examples are the same for everyone, right, and never held out."""

import pytest

from arena import FAMILIES, grade, stream
from arena.sampling import split_of
from learner.learning.learner import MAX_SHOTS, LearnerConfig
from learner.learning.worked_examples import DIFFICULTY, SEED, worked_examples


def test_fewer_examples_are_the_first_of_more() -> None:
    most = worked_examples(MAX_SHOTS)
    assert len(most) == MAX_SHOTS == len(set(most))
    for shots in range(MAX_SHOTS):
        assert worked_examples(shots) == most[:shots]


def test_examples_are_right_and_of_the_train_split() -> None:
    problems = stream(SEED, "train", difficulty=DIFFICULTY)
    families = []
    for (question, answer), problem in zip(worked_examples(5), problems, strict=False):
        assert problem.question == question
        assert grade(problem, answer).correct
        assert split_of(problem) == "train"
        families.append(problem.family)
    assert sorted(families) == sorted(FAMILIES)


@pytest.mark.parametrize("shots", [-1, MAX_SHOTS + 1])
def test_only_so_many_fit(shots: int) -> None:
    with pytest.raises(ValueError, match="worked examples"):
        LearnerConfig(shots=shots)
