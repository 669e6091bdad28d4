"""What the map of the held-out set says of every problem, in signs and in words."""

import re
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from arena import stream
from learner.measuring import NO_ANSWER, RIGHT, WRONG
from learner.view.teach.problem_map import problem_map

PROBLEMS = list(islice(stream(0, "held-out"), 25))
LETTERS = st.text(f"{RIGHT}{WRONG}{NO_ANSWER}", max_size=len(PROBLEMS))


def squares(drawn):
    """The classes and the words of each problem's square, by the problem's number."""
    found = re.findall(r'<i class="([^"]+)" data-problem="(\d+)" data-words="([^"]+)">', drawn)
    return {int(number): (kinds.split(), words) for kinds, number, words in found}


@given(before=LETTERS, after=LETTERS)
def test_every_problem_has_a_square_that_says_what_became_of_it(before, after):
    drawn = squares(problem_map(PROBLEMS, before, after))
    assert sorted(drawn) == list(range(len(PROBLEMS)))
    for number, problem in enumerate(PROBLEMS):
        kinds, words = drawn[number]
        was, now = before[number:][:1], after[number:][:1]
        assert f"difficulty {problem.difficulty}:" in words
        assert ("not asked yet" in words) == (not was and not now)
        assert ("spa-right" in kinds) == ((now or was) == RIGHT)
        assert ("spa-now-right" in kinds) == (now == RIGHT and was not in ("", RIGHT))
        assert ("spa-now-wrong" in kinds) == (was == RIGHT and now not in ("", RIGHT))


def test_the_easiest_of_a_family_come_first():
    for row in problem_map(PROBLEMS, "", "").split("spa-map-row")[1:]:
        levels = [int(level) for level in re.findall(r"difficulty (\d)", row)]
        assert levels == sorted(levels)


def test_it_says_whose_answers_they_are_and_how_many_are_right():
    before, after = RIGHT * 5 + WRONG * 20, RIGHT * 25
    alone, learnt = problem_map(PROBLEMS, before, ""), problem_map(PROBLEMS, before, after)
    assert 'aria-label="The model alone: ' in alone
    assert 'aria-label="With your soft prompt: ' in learnt
    told = re.search(r'aria-label="([^"]+)"', alone)[1]
    assert sum(int(n) for n in re.findall(r"(\d+) of", told)) == 5
    assert 'aria-label="Not measured."' in problem_map(PROBLEMS, "", "")
