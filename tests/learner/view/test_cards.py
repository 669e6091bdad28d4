"""The words of the page: what is escaped, what is said, what keeps its room."""

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena import Grade, Problem
from learner.view import cards
from learner.visitors.comparison import GradedCompletion

RIGHT = Grade(True, "17", "read as 17", (2, 4))
WRONG = Grade(False, "8", "read as 8", (0, 1))
SILENT = Grade(False, None, "a blank, not an answer", None)
PROBLEM = Problem("math_word", 2, "How many?", "17", "number", (), "7 + 10 = 17")


def visible(html: str) -> str:
    """The text a person sees."""
    return unescape(re.sub(r"<[^>]*>", "", html))


def grid(**answer) -> str:
    last = GradedCompletion(**{"finished": True, "tokens": 3, **answer})
    return cards.answer_grid([*[GradedCompletion()] * 3, last])


@given(st.text(max_size=80))
def test_what_a_model_wrote_is_shown_and_never_becomes_markup(text):
    html = grid(text=f"<script>{text}</script>")
    assert "<script" not in html
    assert f"<script>{text}</script>" in visible(html)


@given(st.text(max_size=40), st.text(min_size=1, max_size=10), st.text(max_size=40))
def test_highlighting_keeps_every_character(before, answer, after):
    span = (len(before), len(before) + len(answer))
    html = cards.highlighted(before + answer + after, span)
    assert visible(html) == before + answer + after
    assert visible(html.split("<mark>")[1].split("</mark>")[0]) == answer


def test_what_a_person_typed_is_escaped_everywhere():
    nasty = '"><img src=x onerror=alert(1)>'
    html = cards.problem_card(
        Problem("own", 0, nasty, nasty, "text", (), nasty), learnt=False
    ) + cards.hint(nasty)
    assert "<img" not in html
    assert nasty in visible(html)


@pytest.mark.parametrize(
    ("grade", "mark", "word"),
    [(RIGHT, "✓", "correct"), (WRONG, "✗", "wrong"), (SILENT, "–", "no answer")],
)
def test_a_verdict_is_a_mark_and_a_word(grade, mark, word):
    text = visible(grid(text="= 17", grade=grade))
    assert f"{mark} {word}" in text
    assert grade.reason in text


def test_no_verdict_before_the_answer_is_all_there():
    html = grid(text="= 17", grade=RIGHT, finished=False)
    assert "correct" not in visible(html)
    assert "<mark>" not in html


def test_a_card_that_never_gets_an_answer_says_why():
    text = visible(cards.answer_grid([GradedCompletion(absent=True)] * 4))
    assert text.count("This model has no chat template.") == 4
    assert "writing" not in text


def test_a_card_that_could_not_be_answered_does_not_wait():
    text = visible(cards.answer_grid([GradedCompletion(finished=True, failed=True)] * 4))
    assert text.count("– not answered") == text.count("(reload the page to ask again)") == 4


def test_an_own_question_without_an_answer_is_not_graded():
    assert "not graded" in visible(grid(text="perhaps", grade=None))
    assert "nothing is graded" in visible(
        cards.problem_card(Problem("own", 0, "Why?", "", "text"), learnt=False)
    )


def test_the_answer_is_folded_away():
    html = cards.problem_card(PROBLEM, learnt=False)
    folded = html.split("<details")[1].split("</details>")[0]
    assert "17" in folded and "7 + 10 = 17" in folded
    assert "<details open" not in html
    assert "17" not in visible(html.split("<details")[0])


def test_a_problem_that_was_learnt_from_says_so():
    assert "learnt from" in visible(cards.problem_card(PROBLEM, learnt=True))
    assert "learnt from" not in visible(cards.problem_card(PROBLEM, learnt=False))


def test_rows_and_columns_are_named_on_every_card():
    text = visible(cards.answer_grid([GradedCompletion()] * 4))
    for name in ("With the chat template", "Without it", "Model alone", "With your soft prompt"):
        assert name in text
    assert text.count("Soft prompt · ") == text.count("Model alone · ") == 2


@pytest.mark.parametrize("chat_template", [True, False])
def test_only_the_soft_prompt_answer_of_the_format_learnt_in_is_to_be_watched(chat_template):
    html = cards.answer_grid([GradedCompletion()] * 4, focus=chat_template)
    [watched] = [card for card in html.split("<article") if "watch this one" in card]
    corner = "soft-chat" if chat_template else "soft-plain"
    assert f'data-corner="{corner}"' in watched


def test_before_learning_is_shown_under_what_is_said_now():
    text = visible(grid(text="= 17", grade=RIGHT, before=("____", SILENT)))
    assert "before: – no answer · a blank" in text
    html = grid(text="= 17", grade=RIGHT, before=("it is 8", WRONG))
    assert "before: ✗ wrong · it is 8" in visible(html) and "<s>it is 8</s>" in html


def test_an_answer_that_did_not_change_is_not_struck_out():
    html = grid(text="It is 8", grade=WRONG, before=("It is  8 ", WRONG))
    assert "before: the same" in visible(html)
    assert "<s>" not in html


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((24, 80, 31.2, 2.1), "24 of 80 episodes · 31 a second · 2 s left"),
        ((1, 1, 0.51, 0.0), "1 of 1 episode · 0.5 a second · 0 s left"),
        ((4, 2000, 0.5, 3992.0), "4 of 2,000 episodes · 0.5 a second · 67 min left"),
        ((0, 80, None, None), "0 of 80 episodes"),
    ],
)
def test_progress_says_how_many_how_fast_and_how_long_still(arguments, words):
    assert visible(cards.progress(*arguments)) == words


def test_progress_says_what_comes_after_it():
    said = cards.progress(24, 80, 31.0, 2.0, then="then a test")
    assert visible(said) == "24 of 80 episodes · 31 a second · 2 s left, then a test"
    assert 'aria-valuetext="24 of 80 episodes · 31 a second · 2 s left, then a test"' in said


def test_progress_takes_the_same_room_when_nothing_runs():
    def skeleton(html: str) -> list[str]:
        return re.findall(r"<(\w+)", html)

    assert (
        skeleton(cards.progress(0, 0, None, None))
        == skeleton(cards.progress(0, 9, None, None, "x"))[:4]
    )
