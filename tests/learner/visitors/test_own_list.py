"""A visitor's own questions: read as a person writes them, refused by the line, kept, counted."""

import pytest

from arena import Problem, grade
from learner.measuring import Written, score_of
from learner.visitors.checked_input import LessonError
from learner.visitors.own_list import (
    MAX_CHARACTERS,
    MAX_QUESTIONS,
    OwnList,
    as_lines,
    from_json,
    read_list,
)

PAIRS = [("What do we call our cat?", "Tiger"), ("How many of us are there?", "4")]
PROBLEMS = read_list("\n".join(f"{question} | {answer}" for question, answer in PAIRS))


@pytest.mark.parametrize(
    ("line", "question", "answer"),
    [
        ("Who is it? | Emma", "Who is it?", "Emma"),
        ("Who is it?\tEmma", "Who is it?", "Emma"),
        ("Who is it? Emma", "Who is it?", "Emma"),
        ("Is it big, or small?,big", "Is it big, or small?", "big"),
        ("Is it big, or small? -4", "Is it big, or small?", "-4"),
        ('"Is it ""big"", or small?","big, they say"', 'Is it "big", or small?', "big, they say"),
        ("Our cat's name,Tiger", "Our cat's name", "Tiger"),
        ("Our cat's name;Tiger", "Our cat's name", "Tiger"),
        ("1, 2, 3 and then | 4", "1, 2, 3 and then", "4"),
    ],
)
def test_a_line_is_read_as_people_and_spreadsheets_write_it(line, question, answer):
    (problem,) = read_list(f"\n{line}\n")
    assert (problem.family, problem.question, problem.answer) == ("own", question, answer)


def test_empty_lines_and_a_header_are_no_questions():
    assert len(read_list("Question,Answer\n\nWho?,Emma\n\nWhere?,here\n")) == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "lines of text"),
        ("", "at least one question"),
        ("question,answer", "at least one question"),
        ("Who?|Emma\n\nWhere is it?", "Line 3: there is no answer"),
        ("Who?|Emma\nno mark in here", "Line 2: there is no answer"),
        ('Who?|Emma\n"Where?","here","there"', "Line 2: there is no answer"),
        ("Who?|Emma\n|Emma", "Line 2: Type a question first"),
        (f"Who?|Emma\n{'x' * 601}|Emma", "Line 2: A question may have 600 characters"),
        (f"Who?|{'x' * 61}", "Line 1: An answer may have 60 characters"),
        ("Who?|Emma\nWhere?|here\nwho? |Noah", "Line 3: it asks what line 1 asks"),
        ("\n".join(f"{i}?|{i}" for i in range(MAX_QUESTIONS + 1)), "Line 51: a list has at most"),
        (
            "\n".join(f"{i} {'x' * 500}|1" for i in range(MAX_CHARACTERS // 500)),
            "Line 24: a list has at most 12,000 characters",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_line_in_one_sentence(text, sentence):
    with pytest.raises(LessonError, match=sentence) as refused:
        read_list(text)
    assert "\n" not in str(refused.value)


def test_a_list_can_be_written_down_and_read_again():
    assert read_list(as_lines(PROBLEMS)) == PROBLEMS
    assert [(problem.question, problem.answer) for problem in PROBLEMS] == PAIRS


def test_it_is_gone_through_so_often_each_time_in_full():
    own = OwnList(read_list("\n".join(f"{i}?|{i}" for i in range(8))))
    taught = list(own.passes(3, seed=1))
    turns = [taught[start : start + 8] for start in (0, 8, 16)]
    assert all(set(turn) == set(own.problems) for turn in turns)
    assert len({tuple(turn) for turn in turns}) == 3
    assert taught == list(own.passes(3, seed=1)) != list(own.passes(3, seed=2))


def written(*said: str) -> list[Written]:
    return [Written(p, text, grade(p, text)) for p, text in zip(PROBLEMS, said, strict=True)]


def test_how_it_is_answered_is_known_before_and_now_and_after_a_restart():
    own = OwnList(PROBLEMS)
    assert own.scores == (None, None)
    own = own.asked_before(written("Tiger", ""), True, 8).asked_now(written("Tiger", "4"), 28)
    assert own.scores == (score_of("1-", True, 8), score_of("11", True, 28))
    assert own.said == ("Tiger", "4")
    again = from_json(own.to_json())
    assert (again.problems, again.scores, again.said) == (own.problems, own.scores, ())
    assert own.forgotten() == OwnList(PROBLEMS)
    assert from_json({}) == from_json(OwnList().to_json()) == OwnList()
    assert isinstance(again.problems[0], Problem)
