"""Sequences against every rule of a stated hypothesis space, read off the text alone.

The space, each rule given by its first terms and whole-number parameters: equal steps; two steps
in turn; steps that grow by a constant; each term the sum of the two before; times r plus c (r from
2 to 5, any c); two rows in turn, each of equal steps. Every rule with every parameter that can
produce the first terms is run forwards and kept if it produces all that is shown.
"""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import count, cycle, islice

import pytest


def read(question: str) -> list[int]:
    phrasings = (
        "What comes next:",
        "What is the next number in the sequence:",
        "Which number continues the row",
        "Find the next number:",
    )
    found = re.fullmatch(rf"(?:{'|'.join(phrasings)}) (\d+(?:, \d+)+), \?", question)
    assert found, question
    return [int(term) for term in found[1].split(", ")]


def equal_steps(first: int, step: int) -> Iterator[int]:
    return count(first, step)


def steps_in_turn(first: int, steps: tuple[int, int]) -> Iterator[int]:
    for step in cycle(steps):
        yield first
        first += step


def growing_steps(first: int, step: int, growth: int) -> Iterator[int]:
    for step_now in count(step, growth):
        yield first
        first += step_now


def sums(first: int, second: int) -> Iterator[int]:
    while True:
        yield first
        first, second = second, first + second


def times_and_plus(first: int, ratio: int, constant: int) -> Iterator[int]:
    while True:
        yield first
        first = ratio * first + constant


def rows_in_turn(one: Iterator[int], other: Iterator[int]) -> Iterator[int]:
    while True:
        yield next(one)
        yield next(other)


def candidates(terms: list[int]) -> dict[str, list[Iterator[int]]]:
    """In the order in which a person tries them."""
    a, b, c, d = terms[:4]
    return {
        "equal steps": [equal_steps(a, b - a)],
        "steps in turn": [steps_in_turn(a, (b - a, c - b))],
        "times and plus": [times_and_plus(a, r, b - r * a) for r in (2, 3, 4, 5)],
        "growing steps": [growing_steps(a, b - a, (c - b) - (b - a))],
        "sums": [sums(a, b)],
        "rows in turn": [rows_in_turn(equal_steps(a, c - a), equal_steps(b, d - b))],
    }


def readings(question: str) -> list[tuple[str, int]]:
    """(rule, next number) for every rule that produces the terms shown."""
    terms = read(question)
    found = []
    for name, rows in candidates(terms).items():
        for row in rows:
            *shown, following = islice(row, len(terms) + 1)
            if shown == terms:
                found.append((name, following))
    return found


def test_every_rule_that_fits_gives_the_answer(drawn):
    for problems in drawn("sequence").values():
        for problem in problems:
            answers = {following for _, following in readings(problem.question)}
            assert answers == {int(problem.answer)}, problem.question


def test_the_solver_sees_an_open_question():
    assert readings("What comes next: 1, 2, 4, 8, ?") == [
        ("times and plus", 16),
        ("rows in turn", 7),
    ]
    assert readings("What comes next: 1, 2, 4, 8, 16, ?") == [("times and plus", 32)]
    assert readings("What comes next: 1, 2, 4, 7, 11, ?") == [("growing steps", 16)]
    assert not readings("What comes next: 1, 5, 2, 9, 9, 1, ?")


def test_difficulty_takes_more_rules_tried_and_larger_numbers(drawn):
    """The place of the first rule that fits, in the order in which a person tries them."""
    tried, largest = [], []
    for problems in drawn("sequence").values():
        places = []
        for problem in problems:
            names = list(candidates(read(problem.question)))
            places.append(1 + names.index(readings(problem.question)[0][0]))
        tried.append(sum(places) / len(places))
        largest.append(sum(max(read(p.question)) for p in problems) / len(problems))
    assert tried == sorted(tried)
    assert tried[0] == tried[1] == 1 and tried[2] < tried[3] < tried[4]
    assert largest[1] > 2 * largest[0]


def test_at_least_five_terms_are_shown_and_not_all_the_same(drawn):
    for problems in drawn("sequence").values():
        for problem in problems:
            terms = read(problem.question)
            assert len(terms) >= 5 and len(set(terms)) > 2
            assert all(0 <= term <= 999 for term in terms)


def test_a_row_is_asked_about_in_one_wording_only(drawn):
    wording: dict[str, str] = {}
    for problems in drawn("sequence").values():
        for problem in problems:
            row = str(read(problem.question))
            assert wording.setdefault(row, problem.question) == problem.question
    openings = {re.match(r"\D+", question) for question in wording.values()}
    assert len({opening[0] for opening in openings if opening}) == 3


def test_multiplying_is_drawn_where_the_family_says_so(drawn):
    for level in (3, 5):
        rules = {readings(problem.question)[0][0] for problem in drawn("sequence")[level]}
        assert "times and plus" in rules


@pytest.mark.parametrize("level", [1, 2, 3, 4, 5])
def test_no_number_is_the_answer_often(drawn, level):
    problems = drawn("sequence")[level]
    ((_, most_common),) = Counter(problem.answer for problem in problems).most_common(1)
    assert most_common / len(problems) < 0.1


def test_the_answer_kind(drawn):
    for problems in drawn("sequence").values():
        for problem in problems:
            assert (problem.answer_kind, problem.choices) == ("number", ())
