"""What holds for every family: how many problems there are, and how they are written."""

import math
import re
from itertools import count, islice

import pytest

from arena.families import FAMILIES
from arena.problem import ANSWER_KINDS
from arena.sampling import DIFFICULTIES, Draw
from arena.words import PEOPLE, THINGS

# The difficulty at which a family is counted: the widest one that is also quick to draw.
WIDEST = {"causal": 5, "comparison": 5, "logic_grid": 3, "math_word": 5, "sequence": 5}
# Where one kind of question at that difficulty is plentiful and another is not: what to count.
COUNTED = {"sequence": "Two rows in turn"}

family = pytest.mark.parametrize("family", FAMILIES)


def test_there_are_five_families() -> None:
    assert list(FAMILIES) == ["causal", "comparison", "logic_grid", "math_word", "sequence"]


@family
def test_there_are_more_than_a_hundred_thousand_questions(family):
    """Shown by how seldom draws repeat, at one difficulty (so all five have at least as many).

    Were there only N questions, then m independent draws would hit at most N(1 − (1 − 1/N)^m)
    different ones on average: that many when all are equally likely, fewer when they are not.
    The number of different ones changes by at most one when one draw changes, so by McDiarmid's
    inequality it exceeds its mean by t with probability at most exp(−2t²/m).
    """
    questions, draws, chance_of_error = 100_000, 10_000, 1e-6
    mean = questions * (1 - (1 - 1 / questions) ** draws)
    bound = mean + math.sqrt(draws * math.log(1 / chance_of_error) / 2)
    assert bound < draws

    level = WIDEST[family]
    drawn = (FAMILIES[family](Draw(f"count/{i}"), level) for i in count())
    counted = (problem for problem in drawn if COUNTED.get(family, "") in problem.explanation)
    assert len({problem.key for problem in islice(counted, draws)}) > bound


@family
def test_a_problem_is_well_formed(drawn, family):
    for level, problems in drawn(family).items():
        for problem in problems:
            assert (problem.family, problem.difficulty) == (family, level)
            assert problem.answer_kind in ANSWER_KINDS
            if problem.choices:
                assert problem.answer in problem.choices
                assert len(set(problem.choices)) == len(problem.choices)
            else:
                assert problem.answer_kind == "number"
                assert str(int(problem.answer)) == problem.answer
                assert 0 <= int(problem.answer) <= 999


@family
def test_a_question_is_clean_prose_that_ends_by_asking(drawn, family):
    unclean = re.compile(
        r"\s\s|\n|\s[.,:]|^\s|\s$"  # stray spaces
        r"|[.,:][.,:]|[{}_]|None"  # stray punctuation, unfilled templates
        r"|\b1 (?:more |fewer )?\w+s\b"  # "1 apples"
        r"|(?:^|\. )[a-z]"  # a sentence that starts small
    )
    for problems in drawn(family).values():
        for problem in problems:
            assert not unclean.search(problem.question), problem.question
            assert problem.question.count("?") == 1 and problem.question.endswith("?")


@family
def test_the_explanation_is_one_line_whose_last_sentence_gives_the_answer(drawn, family):
    for problems in drawn(family).values():
        for problem in problems:
            assert re.fullmatch(r"\S(?: ?\S)*\.", problem.explanation), problem.explanation
            if problem.answer_kind != "yes/no":  # test_causal says what holds for those
                last = problem.explanation.rstrip(".").split(". ")[-1]
                assert re.search(rf"\b{problem.answer}\b", last), problem.explanation


@family
@pytest.mark.parametrize("level", DIFFICULTIES)
def test_all_chance_comes_from_the_draw_and_only_through_random(family, level):
    """So a seed gives the same problem on every Python version (see ``Draw``)."""

    class OnlyRandom(Draw):
        def getrandbits(self, k: int, /) -> int:
            raise AssertionError("only random() is stable across Python versions")

    for name in ("a", "b", "c"):
        generate = FAMILIES[family]
        assert generate(OnlyRandom(name), level) == generate(Draw(name), level)


@pytest.mark.parametrize("family", sorted({*FAMILIES} - {"sequence"}))
def test_questions_are_varied_in_people_and_things(drawn, family):
    text = " ".join(problem.question for level in drawn(family).values() for problem in level)
    words = set(re.findall(r"\w+", text))
    assert words >= set(PEOPLE)
    if family == "math_word":
        assert words >= set(THINGS)
