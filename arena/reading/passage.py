"""The text of a completion, prepared for reading: markup, run-ons, sentences, clauses.

Everything is blanked out position for position and cut only at the end, so that a position in a
prepared text is the same position in the completion.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

LONGEST_READ = 2000
"""Characters of a completion that are read; what is further on is a run-on by any measure."""

_STRAIGHT = str.maketrans("‘’“”–−—×·÷：，。？！（）、\xa0", "''\"\"---**/:,.?!(), ")
_SAME_LENGTH = (
    (re.compile(r"\\boxed\{"), "answer:"),  # what LaTeX boxes is the answer
    (re.compile(r"\\(?:times|cdot)\b"), "*"),
    (re.compile(r"\\div\b"), "/"),
)
_MARKUP = re.compile(
    r"\*\*|__|`|~~|^[ \t]*#+ |^[ \t]*[-*•>][ \t]+|\\[()\[\]$,]|\\text[a-z]*\{|[{}]"
    r"|(?<!\S)\*(?=[A-Za-z])|(?<=[A-Za-z.!])\*(?=[\s.,!?]|$)",
    re.MULTILINE,
)
_ENUMERATOR = re.compile(r"^[ \t]*(?:step )?(\d{1,2})[.):](?=[ \t]*(?:[A-Za-z\"$]|$))", re.M | re.I)
_INLINE_NUMBER = re.compile(r"(?<!\S)\([1-9]\)(?=\s)")
_SPEAKER = re.compile(
    r"\s*(?:<\|im_start\|>)?\s*(?:assistant|AI|A|Answer|Response|Solution)[ \t]*[:\n]", re.I
)
_RUN_ON = re.compile(
    r"<\|\w+\|>|</s>|(?:Question|Human|User|Problem|Exercise|Example|\bQ)[ \t]*\d*[ \t]*:"
    r"|\n[ \t]*(?:user|human|system|assistant|Assistant)[ \t]*(?::|\n|$)"
)
_QUESTION_LABEL = re.compile(r"\s*(?:Question|Problem|Q)[ \t]*\d*[ \t]*:", re.I)
_QUOTED_QUESTION = re.compile(r"\"[^\"\n]*\?\"")
_ANSWER_LABEL = re.compile(r"\b(?:Answer|A)[ \t]*:", re.I)
# A question mark after a space or a comma stands for a missing number, unless it ends the line.
_SENTENCE_END = re.compile(r"(?<=[\w\"')%])\?|\?(?=\s*(?:\n|$))|[.!](?=[\s\"')]|$|[A-Z])|\n")
_CLAUSE_BREAK = re.compile(
    r"[,;()]|\s-+\s|\b(?:so|therefore|thus|hence|because|since|but|and|while|whereas|then|which"
    r"|making|meaning|means|conclude(?: that)?)\b",
    re.I,
)
_CONCLUDING = frozenset(
    "so therefore thus hence making meaning means conclude concludethat".split()
)
_FILLER = frozenset(
    "a an the and so now then given that this we know also is are in of to what what's here first "
    "he she they her his their him initially originally let's let us find determine question "
    "asks total".split()
)
_NOT_NAMES = frozenset(
    "A An The If When Whenever Who Whose What Which How Where Why Did Does Do Is Are Was Were Has "
    "Have There Each Every All Both One Two Three Four Five Six Seven Eight Nine Ten It In On At "
    "After Before Then Now They He She Find Given Suppose Today Yesterday No Not Only "
    "Some Most Many From For And Or But By With To Of This That These Those".split()
)


@dataclass(frozen=True)
class Clause:
    """A stretch ``[start, end)`` of a sentence; ``concluding`` where "so" or its like leads it."""

    start: int
    end: int
    sentence_start: int
    concluding: bool


def prepare(completion: str, question: str) -> str:
    """The part of ``completion`` that may answer ``question``, cleaned, every position kept.

    Questions that only repeat ``question`` are blanked out; at any other question the text ends.
    """
    text = _without_repeated_question(clean(completion), question)
    if run_on := _RUN_ON.search(text):
        text = text[: run_on.start()]
    for start, end in sentences(text):
        if not text[start:end].endswith("?"):
            continue
        if not _asks_the_same(text[start:end], question):
            return text[:start]
        text = blank(text, start, end)
    return text


def clean(completion: str) -> str:
    """``completion`` with plain punctuation and without markup, list numbers and speaker label."""
    text = completion[:LONGEST_READ].translate(_STRAIGHT)
    for pattern, plain in _SAME_LENGTH:
        for match in pattern.finditer(text):
            text = text[: match.start()] + plain.ljust(len(match[0])) + text[match.end() :]
    text = _MARKUP.sub(lambda match: " " * len(match[0]), text)
    expected = 1
    for match in _ENUMERATOR.finditer(text):
        stands_alone = text[match.end() :].split("\n", 1)[0].strip() == ""
        if int(match[1]) == expected and not (expected == 1 and stands_alone):
            text = blank(text, *match.span())
            expected += 1
    if len(inline := list(_INLINE_NUMBER.finditer(text))) > 1:
        for match in inline:
            text = blank(text, *match.span())
    if label := _SPEAKER.match(text):
        text = blank(text, *label.span())
    return text


def blank(text: str, start: int, end: int) -> str:
    """``text`` with spaces from ``start`` to ``end``."""
    return text[:start] + " " * (end - start) + text[end:]


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """The ``[start, end)`` of every sentence, its end mark included; a line break ends one too."""
    start = 0
    for match in _SENTENCE_END.finditer(text):
        if text[start : match.end()].strip(" \t\n.?!"):
            yield start, match.end()
            start = match.end()
    if text[start:].strip():
        yield start, len(text)


def clauses(text: str, unbroken: Iterable[tuple[int, int]] = ()) -> Iterator[Clause]:
    """Every sentence cut at commas and connectives, but never within an ``unbroken`` stretch."""
    kept = tuple(unbroken)
    for sentence_start, sentence_end in sentences(text):
        start, concluding = sentence_start, False
        for match in _CLAUSE_BREAK.finditer(text, sentence_start, sentence_end):
            if any(low < match.end() and match.start() < high for low, high in kept):
                continue
            if text[start : match.start()].strip():
                yield Clause(start, match.start(), sentence_start, concluding)
                concluding = False
            concluding |= match[0].lower().replace(" ", "") in _CONCLUDING
            start = match.end()
        if text[start:sentence_end].strip():
            yield Clause(start, sentence_end, sentence_start, concluding)


def words(text: str) -> list[str]:
    """The words and numbers of ``text``, in lower case."""
    return re.findall(r"[a-z0-9]+(?:'[a-z]+)?", text.lower())


def asked(question: str) -> str:
    """The sentence of ``question`` that asks: the last with a question mark, or just the last."""
    told = [question[start:end] for start, end in sentences(question)]
    asking = [sentence for sentence in told if sentence.rstrip().endswith("?")]
    return (asking or told or [""])[-1].strip()


def names_in(text: str) -> frozenset[str]:
    """Words of ``text`` that look like names: always capitalised, and no word of the language."""
    small = {word.capitalize() for word in re.findall(r"\b[a-z]+\b", text)}
    return frozenset(re.findall(r"\b[A-Z][a-z]+\b", text)) - _NOT_NAMES - small


def repeats(stretch: str, question: str) -> bool:
    """Whether ``stretch`` only says again what one sentence of ``question`` says, in its words."""
    said = _content(stretch)
    told = [question[start:end] for start, end in sentences(question)]
    return len(said) > 1 and any(
        said <= _content(sentence) for sentence in told if not sentence.endswith("?")
    )


def _content(text: str) -> frozenset[str]:
    present = {"had": "has", "have": "has"}
    return frozenset(present.get(word, word) for word in words(text)) - _FILLER


def _asks_the_same(sentence: str, question: str) -> bool:
    said = set(words(sentence)) - _FILLER
    strangers = (names_in(sentence) & names_in(question)) - names_in(asked(question))
    return said <= set(words(question)) and not strangers


def _without_repeated_question(text: str, question: str) -> str:
    """Blank out the question where it is repeated at the start or in quotes, with its label."""
    for quoted in _QUOTED_QUESTION.finditer(text):
        text = blank(text, *quoted.span())
    label = _QUESTION_LABEL.match(text)
    answer = _ANSWER_LABEL.search(text, label.end()) if label else None
    if label and answer and _asks_the_same(text[label.end() : answer.start()], question):
        return blank(text, 0, answer.end())
    start = len(text) - len(text.lstrip())
    end = start + len(question.strip())
    return blank(text, start, end) if text[start:end] == clean(question.strip()) else text
