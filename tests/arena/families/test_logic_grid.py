"""Logic grids against every way of matching people with things, read off the text alone."""

import re
from collections import Counter
from itertools import permutations

import pytest

from arena.problem import Problem

Clue = tuple[str, str, set[str]]  # form, person, the things that the person may have
VERB = r"(?:like|have|want|eat)"


def read(question: str) -> tuple[list[str], list[str], list[Clue], str]:
    """The people, the things, the clues, and the sentence that asks."""
    opening, *said = re.split(r"(?<=\.) ", question)
    found = re.fullmatch(rf"(.+) and (\w+) each {VERB} a different \w+: (.+)\.", opening)
    assert found, opening
    people, things = [*found[1].split(", "), found[2]], found[3].split(", ")
    clues: list[Clue] = []
    for sentence in said[:-1]:
        if found := re.fullmatch(rf"(\w+) does not {VERB} (?:the )?(\w+)\.", sentence):
            clues.append(("not", found[1], set(things) - {found[2]}))
            continue
        found = re.fullmatch(
            r"(\w+) (?:likes|has|wants|eats) (?:the )?(\w+)(?: or (?:the )?(\w+))?\.", sentence
        )
        assert found, sentence
        clues.append(("either" if found[3] else "is", found[1], {found[2], found[3]} - {None}))
    for _, person, possible in clues:
        assert person in people and possible < set(things)
    return people, things, clues, said[-1]


def matchings(people: list[str], things: list[str], clues: list[Clue]) -> list[dict[str, str]]:
    ways = (dict(zip(people, way, strict=True)) for way in permutations(things))
    return [way for way in ways if all(way[person] in possible for _, person, possible in clues)]


def solve(question: str) -> set[str]:
    """What is asked for, in every matching that fits the clues."""
    people, things, clues, asked = read(question)
    fitting = matchings(people, things, clues)
    if found := re.fullmatch(r"Who (?:likes|has|wants|eats) (?:the )?(\w+)\?", asked):
        return {person for way in fitting for person in people if way[person] == found[1]}
    found = re.fullmatch(rf"Which \w+ does (\w+) {VERB}\?", asked)
    assert found, asked
    return {way[found[1]] for way in fitting}


def test_every_matching_that_fits_gives_the_answer(drawn):
    for problems in drawn("logic_grid").values():
        for problem in problems:
            assert solve(problem.question) == {problem.answer}, problem.question


def test_the_solver_sees_an_open_question():
    opening = "Ann, Bea and Cy each have a different pet: cat, dog, fish. Ann has the cat."
    assert solve(f"{opening} Who has the dog?") == {"Bea", "Cy"}
    assert solve(f"{opening} Bea has the fish or the cat. Which pet does Cy have?") == {"dog"}
    assert not solve(f"{opening} Bea has the cat. Who has the fish?")


def test_one_matching_fits_and_no_clue_can_be_left_out(drawn):
    for problems in drawn("logic_grid").values():
        for problem in problems:
            people, things, clues, _ = read(problem.question)
            assert len(matchings(people, things, clues)) == 1
            for left_out in clues:
                rest = [clue for clue in clues if clue is not left_out]
                assert len(matchings(people, things, rest)) > 1


def test_the_answer_is_never_stated_outright(drawn):
    for problems in drawn("logic_grid").values():
        for problem in problems:
            _, _, clues, asked = read(problem.question)
            for form, person, possible in clues:
                if form == "is":
                    assert person != problem.answer and problem.answer not in possible
                    assert person not in asked


def test_the_choices_and_the_kind_are_what_is_asked_for(drawn):
    for problems in drawn("logic_grid").values():
        for problem in problems:
            people, things, _, asked = read(problem.question)
            assert set(problem.choices) == set(people if asked.startswith("Who") else things)
            by_noun = {"Who": "name", "Which colour": "colour"}
            starts = " ".join(asked.split()[: 1 if asked.startswith("Who") else 2])
            assert problem.answer_kind == by_noun.get(starts, "thing")


def test_difficulty_leaves_more_to_work_out(drawn):
    """Matchings left open by what is stated outright, then words to read: neither ever falls."""

    def open_matchings(problem: Problem) -> int:
        people, things, clues, _ = read(problem.question)
        return len(matchings(people, things, [clue for clue in clues if clue[0] == "is"]))

    levels = drawn("logic_grid").values()
    assert [{open_matchings(p) for p in problems} for problems in levels] == [
        {1},
        {2},
        {6},
        {6},
        {24},
    ]
    words = [sum(len(p.question.split()) for p in problems) for problems in levels]
    assert words == sorted(words)


def test_all_kinds_of_clues_are_used_where_they_belong(drawn):
    forms = {
        level: {form for p in problems for form, _, _ in read(p.question)[2]}
        for level, problems in drawn("logic_grid").items()
    }
    assert forms == {
        1: {"is"},
        2: {"is", "not"},
        3: {"not"},
        4: {"is", "not"},
        5: {"not", "either"},
    }


@pytest.mark.parametrize("level", [1, 2, 3, 4, 5])
def test_no_place_in_the_opening_and_no_word_gives_the_answer_away(drawn, level):
    problems = drawn("logic_grid")[level]
    places: Counter[int] = Counter()
    for problem in problems:
        people, things, _, asked = read(problem.question)
        places[(people if asked.startswith("Who") else things).index(problem.answer)] += 1
    assert max(places.values()) / len(problems) < 1 / len(places) + 0.05
    ((_, most_common),) = Counter(problem.answer for problem in problems).most_common(1)
    assert most_common / len(problems) < 0.06
