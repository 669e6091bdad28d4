"""Word problems against a reader who keeps count of what everyone has, from the text alone."""

import re
from collections import Counter
from dataclasses import dataclass, field

import pytest

from arena.problem import Problem

Owned = tuple[str, str]  # person, thing


@dataclass
class Story:
    """What everyone is known to have so far, sentence by sentence."""

    has: dict[Owned, int] = field(default_factory=dict)
    each_friend: dict[str, int] = field(default_factory=dict)
    sums: int = 0
    mentioned: list[Owned] = field(default_factory=list)

    def start(self, owned: Owned, n: int) -> None:
        assert owned not in self.has, f"{owned} counted twice"
        self.has[owned] = n
        self.mentioned.append(owned)

    def change(self, owned: Owned, by: int) -> None:
        """What somebody has whose count was never told stays untold."""
        if owned in self.has:
            self.has[owned] += by
            assert self.has[owned] >= 0, f"{owned} gave away more than they had"

    def tell(self, sentence: str) -> None:
        if found := re.fullmatch(r"(\w+) has (\d+) boxes with (\d+) (\w+) in each\.", sentence):
            self.start((found[1], found[4]), int(found[2]) * int(found[3]))
            self.sums += 1
        elif found := re.fullmatch(r"(\w+) has (\d+) (more|fewer) (\w+) than (\w+)\.", sentence):
            n = int(found[2]) * (1 if found[3] == "more" else -1)
            self.start((found[1], found[4]), self.has[found[5], found[4]] + n)
            assert self.has[found[1], found[4]] >= 0
            self.sums += 1
        elif found := re.fullmatch(r"(\w+) has (\d+) (\w+)\.", sentence):
            self.start((found[1], found[3]), int(found[2]))
        elif found := re.fullmatch(r"(\w+) gives (\w+) (\d+) more (\w+)\.", sentence):
            self.change((found[1], found[4]), -int(found[3]))
            self.change((found[2], found[4]), int(found[3]))
            self.sums += 1
        elif found := re.fullmatch(r"(\w+) gives (\d+) (\w+) to (\w+)\.", sentence):
            self.change((found[1], found[3]), -int(found[2]))
            self.change((found[4], found[3]), int(found[2]))
            self.sums += 1
        elif found := re.fullmatch(r"(\w+) (buys|finds) (\d+) (?:more )?(\w+)\.", sentence):
            self.change((found[1], found[4]), int(found[3]))
            self.sums += 1
        elif found := re.fullmatch(r"(\w+) (sells|loses) (\d+) (\w+)\.", sentence):
            self.change((found[1], found[4]), -int(found[3]))
            self.sums += 1
        else:
            shares = r"(\w+) shares all the (\w+) equally among (\d+) friends\."
            found = re.fullmatch(shares, sentence)
            assert found, sentence
            self.each_friend[found[2]], rest = divmod(self.has[found[1], found[2]], int(found[3]))
            assert not rest, sentence
            self.has[found[1], found[2]] = 0
            self.sums += 1

    def answer(self, asked: str) -> int:
        if found := re.fullmatch(r"How many (\w+) does each friend get\?", asked):
            return self.each_friend[found[1]]
        found = re.fullmatch(r"How many (\w+) does (\w+) have(?: now)?\?", asked)
        assert found, asked
        return self.has[found[2], found[1]]


def tell(question: str) -> tuple[Story, str]:
    *said, asked = re.split(r"(?<=\.) ", question)
    story = Story()
    for sentence in said:
        story.tell(sentence)
    return story, asked


def solve(question: str) -> int:
    story, asked = tell(question)
    return story.answer(asked)


def test_keeping_count_gives_the_answer(drawn):
    for problems in drawn("math_word").values():
        for problem in problems:
            assert solve(problem.question) == int(problem.answer), problem.question


def test_the_reader_keeps_count():
    said = "Ann has 3 boxes with 4 pens in each. Bo has 9 cups. Ann gives 2 pens to Bo."
    assert solve(f"{said} How many pens does Ann have now?") == 10
    assert solve(f"{said} Bo loses 9 cups. How many cups does Bo have now?") == 0
    shares = "Ann shares all the pens equally among 5 friends."
    assert solve(f"{said} {shares} How many pens does each friend get?") == 2
    with pytest.raises(AssertionError):
        solve("Ann has 3 pens. Ann sells 4 pens. How many pens does Ann have now?")
    with pytest.raises(KeyError):
        solve("Ann has 3 pens. How many pens does Bo have?")


def test_the_explanation_is_right_sums_that_lead_from_one_to_the_next(drawn):
    signs = {"+": int.__add__, "−": int.__sub__, "×": int.__mul__, "÷": int.__floordiv__}
    for problems in drawn("math_word").values():
        for problem in problems:
            running = None
            for each in problem.explanation.removesuffix(".").split(", then "):
                found = re.fullmatch(r"(\d+) ([+−×÷]) (\d+) = (\d+)", each)
                assert found, problem.explanation
                left, right, result = int(found[1]), int(found[3]), int(found[4])
                assert signs[found[2]](left, right) == result
                assert running in (None, left)
                running = result
            assert running == int(problem.answer)


def test_difficulty_adds_sums_larger_numbers_and_something_to_ignore(drawn):
    def ignored(problem: Problem) -> int:
        story, asked = tell(problem.question)
        return sum(thing not in asked.split() for _, thing in story.mentioned)

    def largest(problem: Problem) -> int:
        return max(map(int, re.findall(r"\d+", problem.question)))

    def mean(values: list[int]) -> float:
        return sum(values) / len(values)

    levels = drawn("math_word").values()
    sums = [mean([tell(p.question)[0].sums for p in problems]) for problems in levels]
    assert sums == sorted(sums) and sums[0] == 1 and sums[-1] > 3
    assert [{ignored(p) for p in problems} for problems in levels] == [{0}, {0}, {0}, {1}, {1}]
    assert mean([largest(p) for p in drawn("math_word")[2]]) > 2 * mean(
        [largest(p) for p in drawn("math_word")[1]]
    )


def test_every_kind_of_sentence_is_told(drawn):
    text = " ".join(p.question for problems in drawn("math_word").values() for p in problems)
    for words in "buys gives loses boxes fewer shares".split():
        assert f" {words} " in text


@pytest.mark.parametrize("level", [2, 3, 4, 5])
def test_no_number_is_the_answer_often(drawn, level):
    problems = drawn("math_word")[level]
    ((_, most_common),) = Counter(problem.answer for problem in problems).most_common(1)
    assert most_common / len(problems) < 0.1


def test_no_number_is_the_answer_often_overall_and_at_the_easiest(drawn):
    """The easiest answers lie between 0 and 20, so each is common; still no guess pays."""
    levels = drawn("math_word")
    easiest = Counter(problem.answer for problem in levels[1])
    assert easiest.most_common(1)[0][1] / len(levels[1]) < 0.1
    overall = Counter(problem.answer for problems in levels.values() for problem in problems)
    assert overall.most_common(1)[0][1] / overall.total() < 0.1


def test_the_answer_kind(drawn):
    for problems in drawn("math_word").values():
        for problem in problems:
            assert (problem.answer_kind, problem.choices) == ("number", ())
