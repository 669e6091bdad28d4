"""The cards of what was written: escaped, paged, and noted down what is looked at."""

from dataclasses import replace

import pytest

from arena import Problem, grade
from learner.experiments.answers import ALL, pairs_of
from learner.experiments.completions import SOFT_PROMPT, lines_of
from learner.measuring import Written
from learner.view.experiments.answer_pairs import ON_A_PAGE, Looking, answers_page

COUNT = 2 * ON_A_PAGE + 1
PROBLEMS = [Problem("causal", 2, f"Is it {i} <b>?", str(i), "number") for i in range(COUNT)]


def exam(said, episodes):
    written = [Written(one, said(one), grade(one, said(one))) for one in PROBLEMS]
    return lines_of(written, SOFT_PROMPT, episodes)


PAIRS = pairs_of(
    [*exam(lambda one: "<i>", 0), *exam(lambda one: f"The answer is {one.answer}. <i>", 8)]
)


def test_a_page_says_what_all_come_to_and_shows_its_part():
    first = answers_page(PAIRS, Looking())
    assert f"<b>{COUNT}</b> gained, <b>0</b> lost" in first
    assert f"Shown: 1–{ON_A_PAGE} of {COUNT}." in first
    assert first.count('<li class="spa-pair">') == ON_A_PAGE
    assert "after 8 episodes" in first and "gained: not right before" in first
    last = answers_page(PAIRS, Looking(page=9))
    assert f"Shown: {COUNT}–{COUNT} of {COUNT}." in last
    assert "none of them" in answers_page(PAIRS, Looking(shown="lost"))


def test_whatever_was_written_is_escaped():
    page = answers_page(PAIRS, Looking())
    assert "<i>" not in page and "&lt;i&gt;" in page
    assert "Is it 0 &lt;b&gt;?" in page


@pytest.mark.parametrize(
    "told",
    [
        {"shown": "everything"},
        {"shown": ["all"]},
        {"family": "nobody's"},
        {"family": ["causal"], "beside": None},
        {"page": -1, "seed": -2},
        {"page": "2", "seed": 1.5},
    ],
)
def test_what_cannot_be_looked_at_is_as_at_first(told):
    assert Looking(**told) == Looking()
    assert Looking(shown="lost", family="causal").pages(PAIRS) == 1
    assert Looking(shown=ALL).pages(PAIRS) == 3
    assert replace(Looking(), page=2).page == 2
