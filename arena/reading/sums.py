"""Word problems: the number that a text gives as the total, or where its calculation ends.

A number of the question is an answer only where the text says so ("16 - 8 = 8", "now has 8"). A
calculation of several steps ends in its last result; one that breaks off before that has none.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from arena.problem import Problem
from arena.reading import passage
from arena.reading.mention import LEAD_IN, Mention, Reading, no_answer, pick_option
from arena.reading.numbers import find, is_operand, is_result, stated, taken

_OPENING_END = re.compile(
    r"[\"')\]%]*(?:\s+(?!(?:is|are|was|were|and|or|from|with|to|gives?|gave|has|have|had)\b)"
    r"[A-Za-z]+){0,4}[\"')\]]*\s*(?:$|[.,;!\n(=])"
)
_LIST_GAP = re.compile(r"\s*[,;/|\n]?\s*(?:(?:and|or)\s+)?")

_TOLD_BEFORE = re.compile(
    r"\b(?:so|therefore|thus|hence|total|altogether|now|left|remain\w*|in all|makes?|leav\w+)\b",
    re.I,
)
_TOLD_AFTER = re.compile(
    r"[^.\n,]{0,30}?\b(?:in total|total|altogether|left|remain\w*|now|in all)\b", re.I
)
_GIVEN = re.compile(
    r"\b(?:if|when|after|start\w*|initial\w*|original\w*|beg[ai]n\w*|had|gives?|gave)\b", re.I
)
_FIRST_STEP = re.compile(r"(?:^|[.\n])\s*(?:first|step)\b|\b(?:initially|starts?|started)\b", re.I)
_HAS = re.compile(
    r"\b(?:has|have|is|are|be|total of|equals?|makes?|leav\w+|with|gets?)\s+(?:only\s+|just\s+)?$",
    re.I,
)
_HOW_MANY = re.compile(r"\bhow (?:many|much) ([a-z]+)", re.I)
_MORE = re.compile(r"\s+more\b", re.I)
_CUT_OFF = re.compile(r"(?:^|[.\n])\s*(?:after|then|next|finally)\b[^.]*$", re.I)
_FINAL = re.compile(r"\b(?:now|left|remain\w*)\b", re.I)
_NOW = re.compile(r"\w\s+now\b", re.I)
_OWNS = re.compile(r"\b(?:has|have)\s+(?:only\s+|just\s+)?$", re.I)
_OWNER = re.compile(r"\b([A-Z][a-z]+)(?:'s\s+[a-z]+)?\s+(?:(?:now|then|also|will)\s+)?[a-z]+\s+$")


@dataclass(frozen=True)
class Telling:
    """A text that tells how something is worked out, and the numbers that the question gave.

    ``needed`` are those it gave of the thing it asks for: without them the total is not reached.
    """

    question: str
    given: frozenset[str]
    needed: frozenset[str]
    text: str
    numbers: tuple[Mention, ...]
    sentences: tuple[tuple[int, int], ...]
    clauses: tuple[tuple[int, int], ...]

    def sentence(self, number: Mention) -> tuple[int, int]:
        return next(span for span in self.sentences if number.start < span[1])

    def clause(self, number: Mention) -> tuple[int, int]:
        return next((s for s in self.clauses if number.start < s[1]), self.sentence(number))


def read_sum(problem: Problem, text: str) -> Reading:
    """The number that ``text`` gives as the total."""
    text, picked, several = pick_option(text, find(text))
    if picked:
        return Reading(picked, f"picks the letter of {picked.values[0]} among the options")
    numbers = find(text)
    free = [m for m in numbers if not is_operand(text, m)]
    if not free and several:
        return Reading(None, "lists the options without choosing one")
    telling = Telling(
        problem.question,
        frozenset(m.values[0] for m in find(problem.question)),
        _needed(problem.question),
        text,
        tuple(numbers),
        tuple(passage.sentences(text)),
        tuple((clause.start, clause.end) for clause in passage.clauses(text)),
    )
    candidates = [m for m in free if _may_be_total(telling, m)]
    if free and free[0] == numbers[0] and LEAD_IN.fullmatch(text[: free[0].start].lstrip(" \t\n.")):
        if listed := _listed(text, free):
            return Reading(listed, "")
        superseded = free[0].values[0] in telling.given and candidates not in ([], free[:1])
        if _OPENING_END.match(text, free[0].end) and not superseded:
            return taken(text, free[0], free, f"opens with {free[0].values[0]}")
    if said := stated(text, numbers, free):
        return taken(text, said, free, f"says that the answer is {said.values[0]}")
    return _last_step(telling, candidates, free)


def _needed(question: str) -> frozenset[str]:
    asked = _HOW_MANY.search(question)
    told = [question[start:end] for start, end in passage.sentences(question)]
    of_it = [sentence for sentence in told if asked and asked[1] in sentence.lower()] or told
    return frozenset(m.values[0] for sentence in of_it for m in find(sentence))


def _listed(text: str, free: Sequence[Mention]) -> Mention | None:
    """The first two numbers, where the text lists them as equals."""
    for first, second in pairwise(free[:2]):
        listed = _LIST_GAP.fullmatch(text[first.end : second.start])
        ends = _OPENING_END.match(text, second.end) or text[second.end :].lstrip()[:1].isdigit()
        if listed and ends and first.values != second.values:
            return Mention((*first.values, *second.values), first.start, second.end)
    return None


def _may_be_total(telling: Telling, number: Mention) -> bool:
    """Whether a number is worked out, new, or said to be what there is now or what is left."""
    text, value = telling.text, number.values[0]
    start, _ = telling.sentence(number)
    before = text[start : number.start]
    worked_out = any(start <= m.start < number.start for m in telling.numbers)
    if is_result(text, number) and (worked_out or value not in telling.given):
        return True
    if _is_anothers(telling.question, before):
        return False
    if value not in telling.given:
        asked = _HOW_MANY.search(telling.question)
        return bool(
            not text[number.start].isalpha()  # in words, "one" or "two" may well be no count
            or _HAS.search(before)
            or _TOLD_AFTER.match(text, number.end)
            or (asked and text.startswith(f" {asked[1]}", number.end))
        )
    low, high = telling.clause(number)
    clause = text[low:high]
    told = (
        _TOLD_BEFORE.search(before)
        or _TOLD_AFTER.match(text, number.end)
        or (_OWNS.search(before) and not _MORE.match(text, number.end))
    )
    alone = sum(low <= m.start < high for m in telling.numbers) == 1
    return bool(
        told
        and alone
        and not _GIVEN.search(clause)
        and (not passage.repeats(clause, telling.question) or _tells_of_now(telling, clause))
    )


def _tells_of_now(telling: Telling, clause: str) -> bool:
    """Whether a clause says how it is "now" in the words of a premise, which does not say so.

    "Now" at its beginning is no more than "next".
    """
    premises = telling.question.removesuffix(passage.asked(telling.question))
    return bool(_NOW.search(clause) and not _NOW.search(premises))


def _is_anothers(question: str, before: str) -> bool:
    """Whether a number is said of somebody whom the question does not ask about."""
    owner = _OWNER.search(before)
    asked = passage.names_in(passage.asked(question))
    return bool(owner and asked and owner[1] in passage.names_in(before) - asked)


def _last_step(telling: Telling, candidates: Sequence[Mention], free: Sequence[Mention]) -> Reading:
    """The candidate in which the calculation ends; one that starts afresh is a run-on."""
    if not candidates:
        return no_answer(telling.text)
    text, answer = telling.text, candidates[0]
    for later in candidates[1:]:
        start, end = telling.sentence(answer)
        if not is_result(text, answer) and _FINAL.search(text[start:end]):
            break
        if later.values[0] in telling.given and not is_result(text, later):
            continue
        since = max(answer.end, telling.sentence(later)[0])
        if (
            later.values == answer.values
            or _TOLD_BEFORE.search(text[since : later.start])
            or _goes_on(telling, answer, later.end)
        ):
            answer = later
    if not is_result(text, answer):
        return taken(text, answer, free, f"states {answer.values[0]}")
    unused = telling.needed - {m.values[0] for m in telling.numbers}
    on_the_way = unused and _FIRST_STEP.search(text[: answer.start])
    if on_the_way or _CUT_OFF.search(text[answer.end :]) or _goes_on(telling, answer, len(text)):
        return Reading(None, "breaks off in the middle of the calculation")
    return taken(text, answer, free, f"read {answer.values[0]} after the last equals sign")


def _goes_on(telling: Telling, answer: Mention, end: int) -> bool:
    """Whether, up to ``end``, the text calculates on: with the answer or an unused given number."""
    used = {m.values[0] for m in telling.numbers if m.start <= answer.start}
    later = {m.values[0] for m in telling.numbers if answer.end <= m.start < end}
    return answer.values[0] in later or not later.isdisjoint(telling.needed - used)
