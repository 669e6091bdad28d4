"""From what a model wrote to one final answer, and whether that is the right one.

Reading (``arena.reading``) never looks at the gold answer: one answer, or none, is read off the
completion, and only then compared, exactly. So hedging or listing earns no more than one guess
would, and mostly nothing. Whatever the kind of answer,

1. markup is blanked out position for position, so that spans fit the completion as it was written;
2. a new question, a new speaker or an end token starts a run-on, which is cut off;
3. the first of these that speaks is the answer: an opening that is nothing but an answer, a stated
   answer ("the answer is …"), a conclusion ("so …", "= …"), a statement that answers the question;
4. premises repeated from the question, questions, intentions ("to find …") and answers named as
   equals ("Alice or Bob") are not answers.
"""

from collections.abc import Callable
from dataclasses import dataclass

from arena.problem import Problem
from arena.reading import numbers
from arena.reading.choices import read_choice
from arena.reading.mention import Reading
from arena.reading.passage import prepare
from arena.reading.plain import normalised, read_plain
from arena.reading.sequences import read_sequence, row_of
from arena.reading.sums import read_sum
from arena.reading.yes_no import read_yes_no


@dataclass(frozen=True)
class Grade:
    """The verdict on one completion.

    ``extracted`` is the final answer in canonical form ("1234" for "$1,234.00"), or None where the
    completion gives none; ``reason`` says in plain words what was read, or why nothing was;
    ``span`` is the ``[start, end)`` of the answer within the completion.
    """

    correct: bool
    extracted: str | None
    reason: str
    span: tuple[int, int] | None = None


READERS: dict[str, Callable[[Problem, str], Reading]] = {
    "sum": read_sum,
    "sequence": read_sequence,
    "yes/no": read_yes_no,
    "choice": read_choice,
    "text": read_plain,
}


def grade(problem: Problem, completion: str) -> Grade:
    """Read the one final answer off ``completion`` and compare it with the problem's.

    Where the problem has no gold answer, the answer is read but nothing is correct.
    """
    text = prepare(completion, problem.question)
    if not text.strip():
        return Grade(False, None, _why_nothing(completion))
    reading = READERS[_manner(problem)](problem, text)
    mention = reading.mention
    if mention is None:
        return Grade(False, None, reading.reason)
    if len(mention.values) > 1:
        return Grade(False, None, f"names {' and '.join(mention.values[:3])} as equals")
    extracted = mention.values[0]
    return Grade(_equal(extracted, problem.answer), extracted, reading.reason, mention.span)


def _why_nothing(completion: str) -> str:
    """Why nothing is left of ``completion`` once it is prepared for reading."""
    if not completion.strip():
        return "wrote nothing"
    if not any(character.isalnum() for character in completion):
        return "left a blank"
    return "asks something else instead"


def _manner(problem: Problem) -> str:
    """How to read for the answer: by its kind, or by what a person's own answer looks like."""
    gold = problem.answer.strip()
    if problem.choices and problem.answer_kind not in ("number", "yes/no"):
        return "choice"
    if problem.answer_kind in ("name", "colour"):
        return "choice"
    if problem.answer_kind == "yes/no" or gold.lower() in ("yes", "no"):
        return "yes/no"
    if problem.answer_kind == "number" or numbers.is_number(gold):
        return "sequence" if row_of(problem.question) else "sum"
    return "text"


def _equal(extracted: str, gold: str) -> bool:
    if numbers.is_number(extracted) and numbers.is_number(gold):
        return numbers.find(extracted)[0].values == numbers.find(gold)[0].values
    return bool(gold.strip()) and normalised(extracted) == normalised(gold)
