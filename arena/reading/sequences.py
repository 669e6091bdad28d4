"""What comes next: the first number by which a text continues the row of the question.

The row itself, repeated, and the working of steps within it ("6 - 1 = 5") are no answer.
"""

import re
from collections.abc import Sequence
from itertools import pairwise, takewhile

from arena.problem import Problem
from arena.reading import passage
from arena.reading.mention import LEAD_IN, Mention, Reading, no_answer, pick_option
from arena.reading.numbers import find, is_operand, is_result, runs, stated, taken

_ROW_OPENING_END = re.compile(r"[\"')\]%]*\s*(?:$|[.,;:!\n()=]|[0-9]|(?:and|because|since|as)\b)")
_ASKS_FOR_NEXT = re.compile(r"\b(?:next|sequence|row|series|pattern|continues?|missing)\b", re.I)
_ROW_END = re.compile(r"[,\s]*(?:\?|\.\.\.|_+)?")
_NEXT_BEFORE = re.compile(
    r"(?:\bcontinues?\s+with|\b(?:next|missing|following|answer|continues?|last|\w+th)\b([^.\n]{0,90}?)"
    r"(?:\b(?:is|be|was|are|continues? with)\b|(?<!sequence)(?<!row)(?<!pattern)(?<!numbers)[:=]))"
    r"(?:[\s:=\"'(]|\b(?:likely|probably|therefore|thus|then|also|simply|the number|equal to"
    r"|going to be)\b)*$",
    re.I,
)
_NEXT_AFTER = re.compile(
    r"[\"')]*\s+(?:comes|follows|continues|is|will be|would be|should be|will come|would come)\s+"
    r"(?:the\s+)?(?:next|row|sequence|missing|number that|answer)",
    re.I,
)
_GIVES = re.compile(
    r"\b(?:gives?|get|equals?|makes?|becomes?|obtain|results? in|yields?)(?:\s+(?:us|you|me))?\s*$",
    re.I,
)
_CONCLUDES = re.compile(
    r"\b(?:so|therefore|thus|hence|which)\b([^.\n]{0,60}?)\b(?:is|be)\s*$", re.I
)
_TALKS_OF_THE_RULE = re.compile(
    r"\b(?:each|every|differ\w*|pattern|rule|ratio|increas\w+|decreas\w+|add\w*|subtract\w*|multipl\w+"
    r"|alternat\w+|divid\w+)\b",
    re.I,
)


def read_sequence(problem: Problem, text: str) -> Reading:
    """The number with which ``text`` continues the row of the question."""
    row = row_of(problem.question)
    grouped = any(len(value) > 3 for value in row)
    text, picked, several = pick_option(text, find(text, grouped))
    if picked:
        return Reading(picked, f"picks the letter of {picked.values[0]} among the options")
    text, continues_at = _without_row(text, row, find(text, grouped))
    numbers = find(text, grouped)
    free = [m for m in numbers if not is_operand(text, m)]
    if not free and several:
        return Reading(None, "lists the options without choosing one")
    if free and free[0] == numbers[0] and _opens(text, free[0]):
        return taken(text, free[0], free, f"opens with {free[0].values[0]}")
    if said := stated(text, numbers, free):
        return taken(text, said, free, f"says that the answer is {said.values[0]}")
    for reason, holds in (
        ("says that {} is next", lambda m: _is_next(text, m)),
        ("continues the row with {}", lambda m: m.start == continues_at),
        ("read {} after an equals sign", lambda m: _is_new_result(text, m, row, numbers)),
        ("arrives at {}", lambda m: bool(_GIVES.search(text[max(0, m.start - 40) : m.start]))),
        ("concludes with {}", lambda m: _is_concluded(text, m)),
        ("read {} on its own", lambda m: _stands_alone(text, m)),
    ):
        if found := next((m for m in free if holds(m)), None):
            return taken(text, found, free, reason.format(found.values[0]))
    return no_answer(text)


def row_of(question: str) -> tuple[str, ...]:
    """The numbers that the question asks to continue; empty where it asks for something else."""
    if _ASKS_FOR_NEXT.search(question):
        for grouped in (True, False):
            longest = max(runs(question, find(question, grouped)), key=len, default=[])
            if len(longest) > 1:
                return tuple(mention.values[0] for mention in longest)
    return ()


def _without_row(
    text: str, row: Sequence[str], numbers: Sequence[Mention]
) -> tuple[str, int | None]:
    """Blank out where two or more numbers of the row, or the last to begin with, are repeated.

    Also returns where the first number stands that goes on after the last one of the row.
    """
    continues_at = None
    for run in runs(text, numbers):
        values = [m.values[0] for m in run]
        length, start = max((_shared(values, row[start:]), start) for start in range(len(row)))
        begins = start == len(row) - 1 and len(run) > 1 and _leads(text, run[0])
        if length == 0 or (length == 1 and not begins):
            continue
        end = run[length].start if length < len(run) else run[-1].end
        if length == len(run) and (placeholder := _ROW_END.match(text, end)):
            end = placeholder.end()
        if length < len(run) and start + length == len(row) and continues_at is None:
            continues_at = end
        text = passage.blank(text, run[0].start, end)
    return text, continues_at


def _shared(values: Sequence[str], row: Sequence[str]) -> int:
    """How many values two lists share from their beginning."""
    alike = (one == other for one, other in zip(values, row, strict=False))
    return sum(1 for _ in takewhile(bool, alike))


def _opens(text: str, first: Mention) -> bool:
    ends = _ROW_OPENING_END.match(text, first.end) or _NEXT_AFTER.match(text, first.end)
    return bool(ends and _leads(text, first))


def _leads(text: str, first: Mention) -> bool:
    return bool(LEAD_IN.fullmatch(text[: first.start].lstrip(" \t\n.")))


def _is_next(text: str, number: Mention) -> bool:
    said = _NEXT_BEFORE.search(text[max(0, number.start - 160) : number.start])
    if said and not _TALKS_OF_THE_RULE.search(said[1] or ""):
        return True
    return bool(_NEXT_AFTER.match(text, number.end))


def _is_new_result(
    text: str, number: Mention, row: Sequence[str], numbers: Sequence[Mention]
) -> bool:
    """Whether this is the result of a step beyond the row, not of one within it (6 - 1 = 5)."""
    if not is_result(text, number):
        return False
    before = [m for m in numbers if m.start < number.start]
    if len(before) < 2:
        return True
    (left, right), result = (m.values[0] for m in before[-2:]), number.values[0]
    operator = text[before[-2].end : before[-1].start].strip()
    neighbours = {*pairwise(row), *pairwise(reversed(row))}
    if operator in ("-", "/") and (left, right) in neighbours:
        return False
    return result not in row or row[-1] in (left, right)


def _stands_alone(text: str, number: Mention) -> bool:
    spans = (
        text[start:end] for start, end in passage.sentences(text) if start <= number.start < end
    )
    return any(sentence.strip(" .!\n") == text[slice(*number.span)] for sentence in spans)


def _is_concluded(text: str, number: Mention) -> bool:
    said = _CONCLUDES.search(text[max(0, number.start - 100) : number.start])
    return bool(said and not _TALKS_OF_THE_RULE.search(said[1] or ""))
