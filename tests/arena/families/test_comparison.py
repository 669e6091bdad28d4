"""Comparison problems against every ordering of the people, read off the text alone."""

import re
from collections import Counter
from itertools import permutations

import pytest

from arena.families.comparison import generate
from arena.problem import Problem
from arena.sampling import Draw

# adjective -> (dimension, +1 for its upper end); comparatives and superlatives add -er and -est
ENDS = {
    "tall": ("height", 1),
    "short": ("height", -1),
    "old": ("age", 1),
    "young": ("age", -1),
    "fast": ("speed", 1),
    "slow": ("speed", -1),
    "heavi": ("weight", 1),
    "heavy": ("weight", 1),
    "light": ("weight", -1),
    "strong": ("strength", 1),
    "weak": ("strength", -1),
    "rich": ("wealth", 1),
    "poor": ("wealth", -1),
    "loud": ("sound", 1),
    "quiet": ("sound", -1),
}


def read(question: str) -> tuple[dict[str, list[tuple[str, str]]], set[str], str, int, int]:
    """(dimension -> pairs (upper, lower)), people, and what is asked: dimension, end, place."""
    *said, asked = re.split(r"(?<=\.) ", question)
    pairs: dict[str, list[tuple[str, str]]] = {}
    people: set[str] = set()
    for sentence in said:
        if found := re.fullmatch(r"(\w+) is (\w+?)e?r than (\w+)\.", sentence):
            first, adjective, second = found.groups()
            dimension, end = ENDS[adjective]
        else:
            found = re.fullmatch(r"(\w+) is not as (\w+) as (\w+)\.", sentence)
            assert found, sentence
            first, adjective, second = found.groups()
            dimension, end = ENDS[adjective]
            end = -end
        pairs.setdefault(dimension, []).append((first, second) if end == 1 else (second, first))
        people |= {first, second}
    found = re.fullmatch(r"Who is the (second )?(\w+)est\?", asked)
    assert found, asked
    return pairs, people, *ENDS[found[2]], 1 if found[1] else 0


def solve(question: str) -> set[str]:
    """Whoever may hold the place that is asked for, over all orderings that fit the text."""
    pairs, people, dimension, end, place = read(question)
    answers = set()
    for order in permutations(people):
        rank = {person: i for i, person in enumerate(order)}
        if all(rank[upper] < rank[lower] for upper, lower in pairs[dimension]):
            answers.add(order[place] if end == 1 else order[-1 - place])
    return answers


def test_every_ordering_that_fits_gives_the_answer(drawn):
    for problems in drawn("comparison").values():
        for problem in problems:
            assert solve(problem.question) == {problem.answer}, problem.question


def test_the_solver_sees_an_open_question():
    assert solve("Ann is taller than Bea. Ann is taller than Cy. Who is the shortest?") == {
        "Bea",
        "Cy",
    }
    assert solve("Ann is lighter than Bea. Cy is not as light as Bea. Who is the heaviest?") == {
        "Cy"
    }
    assert not solve("Ann is older than Bea. Bea is older than Ann. Who is the oldest?")


def test_the_choices_are_the_people(drawn):
    for problems in drawn("comparison").values():
        for problem in problems:
            assert problem.answer_kind == "name"
            assert set(problem.choices) == read(problem.question)[1]


def test_difficulty_adds_people_orderings_and_distractors(drawn):
    def features(problem: Problem) -> tuple[int, int, int, int]:
        pairs, people, _, _, place = read(problem.question)
        return len(people), len(pairs) - 1, problem.question.count(" not as "), place

    measured = {
        level: [max(column) for column in zip(*map(features, problems), strict=True)]
        for level, problems in drawn("comparison").items()
    }
    people, other_dimensions, negations, places = zip(*measured.values(), strict=True)
    assert people == (3, 3, 4, 5, 6)
    assert other_dimensions == (0, 0, 0, 0, 1)
    assert [n > 0 for n in negations] == [False, False, False, True, True]
    assert places == (0, 0, 0, 1, 1)


def test_the_first_level_is_said_in_order_and_the_second_is_not():
    def in_order(level: int) -> float:
        questions = [generate(Draw(f"order/{i}"), level).question for i in range(500)]
        mentions = [re.findall(r"\w+(?= is )|(?<=than )\w+", question) for question in questions]
        return sum(names[1] == names[2] for names in mentions) / len(mentions)

    assert in_order(1) == 1
    assert in_order(2) < 0.5


@pytest.mark.parametrize("level", [2, 3, 4, 5])
def test_no_place_in_the_text_gives_the_answer_away(drawn, level):
    """The first and the last person mentioned are right about as often as anyone else is."""
    first = last = 0
    problems = drawn("comparison")[level]
    for problem in problems:
        mentioned = [word for word in re.findall(r"\w+", problem.question) if word[0].isupper()]
        names = [word for word in mentioned if word in problem.choices]
        first += names[0] == problem.answer
        last += names[-1] == problem.answer
    chance = 1 / len(problems[0].choices)
    assert first / len(problems) < chance + 0.05
    assert last / len(problems) < chance + 0.05


def test_no_name_is_the_answer_more_often_than_its_share(drawn):
    for problems in drawn("comparison").values():
        ((_, most_common),) = Counter(problem.answer for problem in problems).most_common(1)
        assert most_common / len(problems) < 0.08  # 20 names
