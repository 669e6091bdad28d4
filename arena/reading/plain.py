"""Answers of no particular kind, to questions that people ask themselves: the whole first line."""

import re

from arena.problem import Problem
from arena.reading import passage
from arena.reading.mention import STATED, Mention, Reading, no_answer

_EDGES = " \t\n.,;:!?\"'()*-"
_ARTICLE = re.compile(r"^(?:the|an?)\s+", re.I)
_COPULA = re.compile(r"\s(?:is|are|was|were)\s", re.I)


def read_plain(problem: Problem, text: str) -> Reading:
    """The first line of ``text``, without "the answer is" or the question's own words before it."""
    written = re.search(r"\w", text)
    if written is None:
        return no_answer(text)
    start = text.rfind("\n", 0, written.start()) + 1
    end = (text + "\n").find("\n", start)
    if cue := STATED.search(text, start, end):
        start = cue.end()
    elif copula := _COPULA.search(text, start, end):
        restated = set(passage.words(text[start : copula.end()]))
        if restated <= set(passage.words(problem.question)):
            start = copula.end()
    answer = text[start:end]
    start += len(answer) - len(answer.lstrip(_EDGES))
    end -= len(answer) - len(answer.rstrip(_EDGES))
    if start >= end:
        return Reading(None, "cut off before an answer")
    return Reading(Mention((text[start:end],), start, end), "compared the whole first line")


def normalised(answer: str) -> str:
    """``answer`` without case, punctuation at its edges, spacing and a leading article."""
    return " ".join(_ARTICLE.sub("", answer.strip(_EDGES)).casefold().split())
