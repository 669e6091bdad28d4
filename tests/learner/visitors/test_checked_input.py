"""What a browser or the API may send: everything else is answered with one sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena import DIFFICULTIES, FAMILIES
from learner.learning.signals import SIGNALS
from learner.visitors import checked_input
from learner.visitors.checked_input import LessonError

anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=700),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@pytest.mark.parametrize(
    "check",
    [
        checked_input.checked_families,
        checked_input.checked_difficulty,
        checked_input.checked_episodes,
        checked_input.checked_format,
        checked_input.checked_signal,
        checked_input.checked_thumb,
        checked_input.checked_thumbs,
        checked_input.checked_name,
        checked_input.checked_snapshot,
        checked_input.checked_learning_rate,
        checked_input.checked_step_size,
        checked_input.checked_vectors,
        lambda value: checked_input.own_problem(value, value),
        lambda value: checked_input.own_problem("Why?", value),
    ],
)
@given(value=anything)
def test_nonsense_is_refused_in_a_short_sentence_and_raises_nothing_else(check, value):
    try:
        check(value)
    except LessonError as error:
        assert str(error).endswith(".")
        assert len(str(error)) < 200


def test_what_the_page_offers_is_accepted():
    assert checked_input.checked_families("any") is None
    assert all(checked_input.checked_families(name) == [name] for name in FAMILIES)
    assert checked_input.checked_difficulty(0) is None
    assert all(checked_input.checked_difficulty(level) == level for level in DIFFICULTIES)
    assert checked_input.checked_episodes(80.0) == 80
    assert checked_input.checked_format(True) is True
    assert all(checked_input.checked_signal(signal) == signal for signal in SIGNALS)
    assert checked_input.checked_thumb({"number": 3, "index": 0.0, "mark": -1}) == (3, 0, -1)
    assert checked_input.checked_name("  my\x00 first ") == "my first"
    assert checked_input.checked_snapshot({"name": "a", "action": "back"}) == ("a", "back")
    assert checked_input.checked_learning_rate(1) == 1.0
    assert (checked_input.checked_step_size(64.0), checked_input.checked_vectors(24)) == (64, 24)
    assert checked_input.checked_thumbs([1, -1.0, 0, 1]) == [1, -1, 0, 1]


@pytest.mark.parametrize(
    "marks", [None, "up", [2], [True], [0.5], [1, None], {"0": 1}, [float("nan")]]
)
def test_marks_are_a_list_of_plus_and_minus_one_and_none(marks):
    with pytest.raises(LessonError, match="marks are a list"):
        checked_input.checked_thumbs(marks)


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "80", 2001, float("nan"), float("inf"), None])
def test_episodes_must_be_a_whole_number_in_bounds(value):
    with pytest.raises(LessonError, match="1 to 2000"):
        checked_input.checked_episodes(value)


@pytest.mark.parametrize("value", [6, -1, 1.5, True, "1", [1]])
def test_difficulty_must_be_one_of_the_offered(value):
    with pytest.raises(LessonError, match="from 1"):
        checked_input.checked_difficulty(value)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("17", "number"),
        ("-3.5", "number"),
        ("$1,234.00", "number"),
        ("Yes", "yes/no"),
        ("no.", "yes/no"),
        ("Diana", "text"),
        ("7 apples", "text"),
        ("", "text"),
    ],
)
def test_the_kind_of_an_own_answer_is_read_off_its_looks(answer, kind):
    assert checked_input.own_problem("What?", answer).answer_kind == kind


def test_an_own_question_is_tidied():
    problem = checked_input.own_problem("  What\x00 is\ud800\n\n2 + 2? ", " 4\n")
    assert (problem.family, problem.difficulty) == ("own", 0)
    assert problem.question == "What is 2 + 2?"
    assert problem.answer == "4"


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("", "4", "Type a question"),
        (" ?!… ", "4", "Type a question"),
        ("x" * 601, "", "600 characters"),
        ("Why?", "y" * 61, "60 characters"),
    ],
)
def test_an_own_question_that_cannot_be_asked_says_why(question, answer, reason):
    with pytest.raises(LessonError, match=reason):
        checked_input.own_problem(question, answer)
