"""Yes or No: said outright, or by stating that what was asked about did or did not happen."""

import re

from arena.problem import Problem
from arena.reading import passage
from arena.reading.choices import find
from arena.reading.mention import (
    STATED,
    Mention,
    Reading,
    grouped,
    no_answer,
    pick_option,
    untold,
)

_MEANING = dict.fromkeys("yes yeah yep true".split(), "Yes") | dict.fromkeys(
    "no nope false".split(), "No"
)
_SAID_AT = re.compile(
    r"(?:^|[.,;:!?\n(\"']|\b(?:so|therefore|thus|hence|and|then|but|is))[\s\"'(]*$", re.I
)
# "No information is given" and "no one knows" deny something, but not what was asked.
_SAID_OUTRIGHT = re.compile(
    r"[\"')]*\s*(?:$|[^\w\s]|\n|(?:it|they|he|she|the|that|because|since|as|if|when|did|was|is|not)\b"
    r"|[A-Z])"
)
_CONDITIONAL = re.compile(r"\b(?:if|whenever|unless|whether|order to)\b", re.I)
_GENERAL = re.compile(r"\b(?:when|needs?|requires?)\b", re.I)
_PAST = re.compile(r"\b(?:did|was|were|had)\b|n't\b|[a-z]{2}ed\b", re.I)
_UNSURE = re.compile(r"\b(?:may|might|could|perhaps|maybe|possibly|possible)\b", re.I)
_NEGATION = re.compile(r"\b(?:not|never|neither|cannot|unable|failed)\b|n't\b", re.I)
_PRONOUN = re.compile(r"\s*(?:it|they|he|she)\b", re.I)
_SHORT = re.compile(
    r"\s*(?:it|they|he|she)\s+(?:did|does|do|is|was|are|were|has|have|had|will|would)"
    r"(?:n't|\s+not)?\s*[.!\n]?\s*",
    re.I,
)
_AUXILIARIES = frozenset(
    "did does do is are was were has have had will would can could should the a an any "
    "get got gotten gets become becomes became".split()
)
_BASES = {
    form: base
    for base, *forms in map(
        str.split,
        (
            "get got gotten",
            "wake woke woken",
            "leave left",
            "sing sang sung",
            "ring rang rung",
            "fall fell fallen",
            "blow blew blown",
            "rise rose risen",
            "run ran",
            "grow grew grown",
            "go went gone",
            "come came",
            "break broke broken",
            "burn burnt",
        ),
    )
    for form in forms
}


def read_yes_no(problem: Problem, text: str) -> Reading:
    """Yes or No, as far as ``text`` settles on one."""
    text, picked, several = pick_option(text, _find(text))
    if picked:
        return Reading(picked, f"picks the letter of {picked.values[0]} among the options")
    for mention in grouped(text, _find(text)):
        if _answers(text, mention):
            return Reading(mention, f"says {mention.values[0]}")
    if several:
        return Reading(None, "lists the options without choosing one")
    return _read_statements(problem.question, text)


def _find(text: str) -> list[Mention]:
    found = find(tuple(_MEANING), text)
    return [Mention((_MEANING[m.values[0]],), m.start, m.end) for m in found]


def _answers(text: str, mention: Mention) -> bool:
    """Whether this is an answer, not a "no" or "true" in passing, nor "no, it cannot be told"."""
    before = text[text.rfind("\n", 0, mention.start) + 1 : mention.start]
    if untold(re.split(r"[.\n]", text[mention.end :], maxsplit=1)[0]):
        return False
    if _CONDITIONAL.search(before):
        return False
    said = _SAID_AT.search(before) or STATED.search(before)
    return bool(said and _SAID_OUTRIGHT.match(text, mention.end))


def _read_statements(question: str, text: str) -> Reading:
    asked = [_base(word) for word in passage.words(passage.asked(question))]
    content = [word for word in asked if word not in _AUXILIARIES]
    stated: list[tuple[Mention, bool]] = []
    for clause in passage.clauses(text):
        said = text[clause.start : clause.end]
        led = text[clause.sentence_start : clause.end]
        if _CONDITIONAL.search(led) or _UNSURE.search(said) or untold(led):
            continue
        general = _GENERAL.search(said)
        if general and _base(general[0].lower()) not in content and not _PAST.search(said):
            continue
        if _SHORT.fullmatch(said) or (
            _states(said, content) and (clause.concluding or not passage.repeats(said, question))
        ):
            value = "No" if _NEGATION.search(said) else "Yes"
            start = clause.start + len(said) - len(said.lstrip())
            end = clause.start + len(said.rstrip(" \n.!"))
            stated.append((Mention((value,), start, end), clause.concluding))
    if not stated:
        return no_answer(text)
    concluded = [mention for mention, concluding in stated if concluding]
    mention = concluded[-1] if concluded else stated[0][0]
    did = "did" if mention.values == ("Yes",) else "did not"
    return Reading(mention, f"states that what was asked about {did} happen")


def _states(said: str, content: list[str]) -> bool:
    """Whether a clause has every word of what was asked, or a pronoun and the last of them."""
    bases = {_base(word) for word in passage.words(said)}
    if not content:
        return False
    return bases.issuperset(content) or bool(
        _PRONOUN.match(said) and bases.intersection((content[-1], *content[1:2]))
    )


def _base(word: str) -> str:
    """A verb's or noun's base form, roughly: "cries", "cried" -> "cry"; "stopped" -> "stop"."""
    if word in _AUXILIARIES:
        return word
    word = _BASES.get(word, word)
    for ending, base in (
        ("ies", "y"),
        ("ied", "y"),
        ("ing", ""),
        ("ed", ""),
        ("es", ""),
        ("s", ""),
    ):
        if word.endswith(ending) and len(word) - len(ending) + len(base) > 2:
            word = word[: -len(ending)] + base
            break
    word = word.removesuffix("e")
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word
