"""Numbers in a text, in digits and in words, and which of them are free to be an answer.

An operand ("7 +"), one of a range or comparison ("7 more than"), or a denied number is not free.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from arena.reading import passage
from arena.reading.mention import LEAD_IN, STATED, Mention, Reading

_TEENS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_WORTH = {word: i for i, word in enumerate(_TEENS)} | {
    word: 10 * i for i, word in enumerate(_TENS, start=2)
}
_WORDED = rf"(?:{'|'.join(_TENS)})(?:[- ](?:{'|'.join(_TEENS[1:10])}))?|{'|'.join(_TEENS)}"
_PLAIN = r"[0-9]+(?:\.[0-9]+)?|(?<!\.)\.[0-9]+"
_GROUPED = r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?"
_NUMBER, _NUMBER_IN_ROW = (
    re.compile(
        rf"(?<![A-Za-z0-9_])(?<![0-9]\.)[$€£]?(?P<digits>{digits})(?![0-9]|\.[0-9]|(?:st|nd|rd|th|n)\b)"
        rf"|\b(?P<words>{_WORDED})\b(?!-)|(?<=has |ave |are )no(?=\s+(?:more\s+)?[a-z]+s\b)",
        re.I,
    )
    for digits in (f"{_GROUPED}|{_PLAIN}", _PLAIN)
)
_MINUS = re.compile(r"(?:^|(?<![\w)%]))(?<![0-9)%] )-$|(?<![0-9])(?:^|\s)(?:negative|minus)\s$")

_UNITS = r"(?:[A-Za-z]+(?:/[A-Za-z]+)?\s+){0,3}?"
_BEFORE_OPERAND = re.compile(
    r"(?:[+*/^]|[0-9)]\s*(?:[A-Za-z]+\s+){0,2}-|[0-9 )]x|\b(?:plus|minus|times|by|adding|add"
    r"|subtract\w*|sum of|multiply\w*)(?:\s+\S+\s+(?:and|to|from))?)\s*\(?\s*$",
    re.I,
)
_AFTER_OPERAND = re.compile(
    rf"%?\)?\s*{_UNITS}(?:[+*/^]\s*(?:[$(0-9]|$)|-\s*(?:[$(0-9]|$)|x\s*[0-9]|(?:plus|minus|times"
    r"|multiplied|divided)\b|(?:more|less|greater|fewer|higher|lower|larger|bigger|smaller)"
    r"\s+(?:[a-z]+\s+)?than\b)",
    re.I,
)
_EQUALS = re.compile(r"(?:=|\bequals?(?:\s+to)?)\s*$", re.I)
_HEDGE_GAP = re.compile(r"\s*(?:[a-z]+\s+)?(?:or|to)\s+", re.I)
_BETWEEN = re.compile(r"\bbetween\s+(?:\S+\s+and\s+)?$", re.I)
_DENIED = re.compile(r"\bnot\s+$|n't\s+$", re.I)
_COUNTS_WORDS = re.compile(
    r"\s*(?:numbers|steps|values|quantities|parts|terms|ways|people)\b", re.I
)
_ROW_GAP = re.compile(r"\s*(?:[,;]|->|and\b|\.\.\.)?\s*(?:and\s+)?")


def find(text: str, grouped: bool = True) -> list[Mention]:
    """Every number in ``text``, in digits or words; ``grouped`` reads "1,234" as one number."""
    found = []
    for match in (_NUMBER if grouped else _NUMBER_IN_ROW).finditer(text):
        digits, words = match["digits"], match["words"]
        value = canonical(digits) if digits else _worth(words) if words else "0"
        minus = _MINUS.search(text[max(0, match.start() - 10) : match.start()])
        if minus and value != "0":
            start = match.start() - len(minus[0].lstrip())
            found.append(Mention((f"-{value}",), start, match.end()))
        else:
            found.append(Mention((value,), match.start(), match.end()))
    return found


def canonical(number: str) -> str:
    """A number in plain form: "$1,234.00" -> "1234", "-0.50" -> "-0.5"."""
    whole, _, fraction = re.sub(r"[^0-9.]", "", number).partition(".")
    plain = ".".join(filter(None, (whole.lstrip("0") or "0", fraction.rstrip("0"))))
    return f"-{plain}" if "-" in number and plain != "0" else plain


def _worth(words: str) -> str:
    return str(sum(_WORTH[word] for word in re.split("[- ]", words.lower())))


def runs(text: str, numbers: Sequence[Mention]) -> list[list[Mention]]:
    """The numbers, split where more than list punctuation stands between two of them."""
    runs: list[list[Mention]] = []
    for number in numbers:
        if runs and _ROW_GAP.fullmatch(text[runs[-1][-1].end : number.start]):
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs


def is_operand(text: str, number: Mention) -> bool:
    """Whether a number is part of something to work out, to compare with, or a hedge."""
    before = text[max(0, number.start - 40) : number.start]
    return bool(
        _BEFORE_OPERAND.search(before)
        or _AFTER_OPERAND.match(text, number.end)
        or _BETWEEN.search(before)
        or _DENIED.search(before)
        or _COUNTS_WORDS.match(text, number.end)
    )


def is_result(text: str, number: Mention) -> bool:
    return bool(_EQUALS.search(text[max(0, number.start - 20) : number.start]))


def stated(text: str, numbers: Sequence[Mention], free: Sequence[Mention]) -> Mention | None:
    """The number after "the answer is", worked out there if need be ("is 7 + 10 = 17")."""
    for cue in STATED.finditer(text):
        first = next((m for m in numbers if m.start >= cue.end()), None)
        if first and LEAD_IN.fullmatch(text[cue.end() : first.start].lstrip("\n")):
            end = next(end for start, end in passage.sentences(text) if first.start < end)
            return next((m for m in free if first.start <= m.start < end), None)
    return None


def taken(text: str, number: Mention, free: Sequence[Mention], reason: str) -> Reading:
    """The number as the answer, unless another stands beside it with "or"."""
    for one, other in pairwise(free):
        if number in (one, other) and _HEDGE_GAP.fullmatch(text[one.end : other.start]):
            return Reading(Mention((*one.values, *other.values), one.start, other.end), "")
    return Reading(number, reason)


def is_number(text: str) -> bool:
    """Whether ``text`` is one number and nothing else."""
    found = find(text.strip())
    return len(found) == 1 and found[0].span == (0, len(text.strip().rstrip(".%")))
