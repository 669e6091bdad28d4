"""Grading against hand-labelled completions, and laws that hold for any completion.

``completions.json`` holds completions in the manner of small instruction-tuned models, with and
without a chat template, cut off after 20 to 30 tokens. Each was labelled by reading it, before the
grader saw it: ``[completion, answer]``, where null means that it gives no answer.
"""

import json
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arena.grading import Grade, grade
from arena.problem import Problem
from arena.reading.passage import LONGEST_READ
from arena.sampling import held_out

CORPUS = json.loads((Path(__file__).parent / "completions.json").read_text(encoding="utf-8"))


def asking(question, answer, kind, choices=()):
    return Problem("own", 0, question, answer, kind, tuple(choices))


APPLES = asking(
    "Alice has 7 apples. Bob gives Alice 10 more apples. How many apples does Alice have?",
    "17",
    "number",
)
SEQUENCE = asking("What is the next number in the sequence: 1, 6, 5, 10, 9, ?", "14", "number")
COLOUR = asking(
    "Alice, Bob, and Charlie each have a favorite color (red, blue, green). Alice doesn't like red."
    " Bob likes green. What is Alice's favorite color?",
    "blue",
    "colour",
    ("red", "blue", "green"),
)
RAIN = asking(
    "It rained yesterday. When it rains, the ground gets wet. Did the ground get wet?",
    "Yes",
    "yes/no",
    ("Yes", "No"),
)
OLDEST = asking(
    "Diana is older than Erik. Erik is older than Farah. Who is the oldest?",
    "Diana",
    "name",
    ("Diana", "Erik", "Farah"),
)
OWN = asking("What is the capital of France?", "Paris", "text")


@pytest.mark.parametrize(
    ("problem", "completion", "extracted"),
    [
        (APPLES, "18", "18"),
        (RAIN, "I know", None),
        (APPLES, "Alice now has 7 + 10 = 17 apples.", "17"),
        (APPLES, "There are 5 boxes * 8 items/box = 40 items total.", "40"),
        (APPLES, "$1,234.00", "1234"),
        (SEQUENCE, "The next number in the sequence 1, 6, 5, 10,", None),
        (COLOUR, "red, blue, green", None),
        (RAIN, "Yes. It rained yesterday", "Yes"),
        (COLOUR, "Blue. \nQuestion: Does Bob like green?", "blue"),
        (RAIN, "No. They did not.\nYes, they did.", "No"),
        (OLDEST, "The answer is **Diana**", "Diana"),
        (OLDEST, "Diana and Erik are the oldest.", None),
        (OLDEST, "Diana or Erik", None),
    ],
)
def test_examples_of_the_specification(problem, completion, extracted):
    assert grade(problem, completion).extracted == extracted


GIFTS = "Alice has 8 marbles. Alice gives 4 marbles to Bob. Carol gives 4 marbles to Alice."
NOW_GIFTS = "Alice has 8 marbles now. She gives 4 to Bob, and Carol gives her 4."


@pytest.mark.parametrize(
    ("told", "completion", "extracted"),
    [
        (GIFTS, "Alice has 8 marbles now.", "8"),
        (GIFTS, "Alice now has 8 marbles.", "8"),
        (GIFTS, "She has 8 marbles now.", "8"),
        (GIFTS, "Alice has 8 marbles.", None),  # a premise, in its own words
        (GIFTS, "Now Alice has 8 marbles.", None),
        (GIFTS, "Bob has 8 marbles now.", None),
        (NOW_GIFTS, "Alice has 8 marbles now.", None),
    ],
)
def test_a_premise_that_is_true_now_is_an_answer(told, completion, extracted):
    problem = asking(f"{told} How many marbles does Alice have now?", "8", "number")
    assert grade(problem, completion).extracted == extracted


def test_eighteen_is_not_eight_and_know_is_not_no():
    assert not grade(asking("How many?", "8", "number"), "18").correct
    assert not grade(asking("Did it rain?", "No", "yes/no"), "I know").correct


@pytest.mark.parametrize(
    ("problem", "completion", "extracted"),
    [
        pytest.param(
            asking(told["question"], told["answer"], told["kind"], told["choices"]),
            completion,
            extracted,
            id=f"{told['answer']}-{completion[:40]!r}",
        )
        for told in CORPUS
        for completion, extracted in told["completions"]
    ],
)
def test_reads_what_a_careful_person_reads(problem, completion, extracted):
    read = grade(problem, completion)
    assert (read.extracted, read.correct) == (
        extracted,
        extracted is not None and same(extracted, problem),
    )


def same(extracted: str, problem: Problem) -> bool:
    return extracted.casefold() == problem.answer.casefold()


@pytest.mark.parametrize("told", CORPUS, ids=lambda told: told["question"][:40])
def test_every_question_of_the_corpus_has_right_wrong_and_missing_answers(told):
    labels = [label for _, label in told["completions"]]
    assert told["answer"].casefold() in {label.casefold() for label in labels if label}
    assert len({completion for completion, _ in told["completions"]}) == len(labels)


# --- Reasons and spans ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "completion", "highlighted", "reason"),
    [
        (APPLES, "Alice has 7 + 10 = 17 apples.", "17", "read 17 after the last equals sign"),
        (APPLES, "It costs **$17.00** now", "$17.00", "states 17"),
        (COLOUR, "I think it is **Blue**.", "Blue", "opens with blue"),
        (OLDEST, "So Diana is the oldest.", "Diana", "concludes with Diana"),
        (
            RAIN,
            "The ground got wet.",
            "The ground got wet",
            "states that what was asked about did happen",
        ),
        (OLDEST, "A) Erik B) Diana\nAnswer: B", "B", "picks the letter of Diana among the options"),
    ],
)
def test_says_what_was_read_and_where(problem, completion, highlighted, reason):
    read = grade(problem, completion)
    assert read.span is not None
    assert completion[slice(*read.span)] == highlighted
    assert read.reason == reason


@pytest.mark.parametrize(
    ("problem", "completion", "reason"),
    [
        (APPLES, "", "wrote nothing"),
        (APPLES, "____", "left a blank"),
        (APPLES, "Question: How many apples does Bob have?", "asks something else instead"),
        (APPLES, "To find out how many apples Alice has, we", "cut off before an answer"),
        (OLDEST, "Either Diana or Erik is the oldest.", "names Diana and Erik as equals"),
        (
            OLDEST,
            "It is not possible to determine who is the oldest.",
            "says that it cannot be told",
        ),
        (OLDEST, "A) Diana B) Erik C) Farah", "lists the options without choosing one"),
        (OLDEST, "Diana is older than Erik.", "does not answer the question"),
    ],
)
def test_says_why_nothing_was_read(problem, completion, reason):
    assert grade(problem, completion) == Grade(False, None, reason, None)


# --- Answers of a person's own --------------------------------------------------------------------


@pytest.mark.parametrize(
    "completion", ["Paris", "paris.", "The answer is Paris", '"Paris"\n\nLyon']
)
def test_own_answers_are_compared_by_the_whole_first_line(completion):
    assert grade(OWN, completion).correct


@pytest.mark.parametrize("completion", ["Not Paris", "Paris or Lyon", "Lyon\nParis", "Pari"])
def test_own_answers_are_compared_exactly(completion):
    assert not grade(OWN, completion).correct


def test_own_answers_that_are_numbers_or_yes_and_no_are_read_as_such():
    assert grade(asking("What is 6 times 7?", "42", "text"), "6 * 7 = 42").correct
    assert grade(asking("Is 7 a prime?", "yes", "text"), "Yes, 7 is a prime.").correct
    assert not grade(asking("Is 7 a prime?", "yes", "text"), "No, it isn't.").correct


@pytest.mark.parametrize("kind", ["number", "yes/no", "name", "colour", "thing", "text"])
def test_without_a_gold_answer_nothing_is_correct(kind):
    problem = asking("Who or what is it?", "", kind)
    assert not any(grade(problem, text).correct for text in ("", "7", "Yes", "red", "Alice", "it"))


# --- Laws -----------------------------------------------------------------------------------------

PROBLEMS = held_out(250)
problems = st.sampled_from([*PROBLEMS, APPLES, SEQUENCE, COLOUR, RAIN, OLDEST, OWN])
closed = st.sampled_from([problem for problem in PROBLEMS if problem.choices])
fragments = st.sampled_from(
    "Alice Bob Diana 7 17 1,000 twenty = + - $ , . ? ! ( ) ** \\boxed{ } Yes No or and not so the "
    "answer is Answer: A) B) Question: than taller oldest if red blue doesn't <|im_end|>".split()
)
texts = st.one_of(st.text(), st.lists(fragments, max_size=30).map(" ".join))
law = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@law
@given(problems, texts)
def test_any_text_gets_a_consistent_verdict(problem, text):
    read = grade(problem, text)
    assert read.reason
    if read.extracted is None:
        assert not read.correct
        assert read.span is None
    else:
        assert read.span is not None
        start, end = read.span
        assert 0 <= start < end <= len(text)


@law
@given(problems, texts)
def test_reading_does_not_depend_on_the_gold_answer(problem, text):
    other = Problem(
        problem.family,
        problem.difficulty,
        problem.question,
        "7",
        problem.answer_kind,
        problem.choices,
    )
    if problem.answer_kind != "text":
        assert grade(other, text).extracted == grade(problem, text).extracted


@law
@given(
    problems,
    st.sampled_from(["", " ", "\n", "**", "The answer is ", "Answer: ", "assistant\n"]),
    st.sampled_from(["", ".", "\n", "**", ".\nQuestion: Is it?", "<|im_end|>", "\nHuman: Hello"]),
)
def test_the_bare_gold_answer_is_right(problem, before, after):
    assert grade(problem, before + problem.answer + after).correct


@law
@given(closed, st.data())
def test_another_choice_is_wrong(problem, data):
    wrong = data.draw(st.sampled_from([c for c in problem.choices if c != problem.answer]))
    read = grade(problem, f"{wrong}.")
    assert (read.extracted, read.correct) == (wrong, False)


@law
@given(
    closed,
    st.data(),
    st.sampled_from(
        [", ", " or ", " and ", "/", "\n", "; ", " | ", " & ", ". ", ", or ", "\n- ", " "]
    ),
    st.sampled_from(["", "Answer: ", "**"]),
    st.sampled_from(["", ".", "\n"]),
)
def test_listing_several_choices_earns_nothing(problem, data, separator, before, after):
    listed = data.draw(
        st.lists(st.sampled_from(problem.choices), min_size=2, unique=True).map(separator.join)
    )
    assert grade(problem, before + listed + after).extracted is None


@law
@given(closed, st.data(), st.sampled_from([", ", " or ", " and ", "/", "; ", " & ", ", or "]))
def test_hedging_earns_nothing(problem, data, separator):
    several = st.lists(st.sampled_from(problem.choices), min_size=2, unique=True)
    hedged = separator.join(data.draw(several))
    for before in ("The answer is ", "It is either ", "I think it is ", "So it is "):
        assert grade(problem, f"{before}{hedged}.").extracted is None


@law
@given(st.sampled_from(PROBLEMS))
def test_repeating_the_question_is_no_answer(problem):
    assert grade(problem, problem.question).extracted is None


@pytest.mark.parametrize(
    "pattern",
    ["1 ", "7 + ", "2, 4, 6, ", "Diana or ", "A) Diana ", "answer is ", "yes ", "\n", "a", "é🙂"],
)
@pytest.mark.parametrize("problem", [APPLES, SEQUENCE, COLOUR, RAIN, OLDEST, OWN])
def test_endless_completions_cost_no_more_than_their_beginning(problem, pattern):
    endless = pattern * (100_000 // len(pattern))
    started = time.process_time()
    read = grade(problem, endless)
    assert time.process_time() - started < 2
    assert read == grade(problem, endless[:LONGEST_READ])
