"""Marks keep, letter by letter, what an evaluation found."""

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from arena import stream
from arena.grading import Grade
from learner.evaluation import Evaluation, Outcome
from learner.marks import Marks, marks_of, tallies, tally
from learner.model.completion import Completion

PROBLEMS = tuple(islice(stream(7), 12))
GRADES = {
    "1": Grade(True, "4", "says so"),
    "0": Grade(False, "5", "says so"),
    "-": Grade(False, None, "wrote nothing"),
}
letters = st.text("10-", min_size=len(PROBLEMS), max_size=len(PROBLEMS))


def evaluation(outcomes: str) -> Evaluation:
    completion = Completion("", 1, True, 0.0)
    rows = zip(PROBLEMS, outcomes, strict=True)
    return Evaluation(tuple(Outcome(p, completion, GRADES[o]) for p, o in rows), True)


@given(letters, st.integers(0, 500))
def test_marks_say_what_the_evaluation_says(outcomes: str, episodes: int) -> None:
    result = evaluation(outcomes)
    marks = marks_of(result, episodes)
    assert marks == Marks(outcomes, True, episodes)
    assert marks.tally == result.tally
    assert marks.right == tuple(outcome.grade.correct for outcome in result.outcomes)
    assert marks.by_family(PROBLEMS) == result.by_family()


@given(letters)
def test_tallies_by_any_key_add_up(outcomes: str) -> None:
    difficulties = [problem.difficulty for problem in PROBLEMS]
    groups = tallies(difficulties, outcomes)
    assert list(groups) == sorted(set(difficulties))
    whole = tally(outcomes)
    for part in ("correct", "n", "no_answer"):
        assert sum(getattr(group, part) for group in groups.values()) == getattr(whole, part)
    assert whole.no_answer == outcomes.count("-")
