"""Answers out of a closed set: names, colours, things.

Which mention counts depends on what is asked. "Who has the dog?" is answered by the name in a
clause about the dog; "Which pet does Bob have?" by the pet in a clause about Bob; "Who is the
tallest?" by the name in a clause that says "tallest", or that says taller than all the others.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from arena.problem import Problem
from arena.reading import passage
from arena.reading.mention import (
    BESIDE,
    LEAD_IN,
    OUT_OF,
    STATED,
    Mention,
    Reading,
    grouped,
    no_answer,
    pick_option,
)
from arena.reading.passage import Clause

COLOURS = tuple(
    "red orange yellow green blue purple violet indigo pink brown black white grey gray gold "
    "silver turquoise teal cyan magenta beige maroon navy".split()
)

_OPENING_END = re.compile(
    r"[\"')\]]*\s*(?:$|[.,!;\n(]|-\s|(?:because|since|as|is the answer|is correct)\b)", re.I
)
_NEGATION = re.compile(
    r"\b(?:not|never|neither|nor|cannot|rather than|instead of|except|without|other than"
    r"|hates?|dislikes?)\b|n't\b",
    re.I,
)
_UNDECIDED = re.compile(
    r"\b(?:if|when|whenever|suppose|assum\w+|unless|whether|comparing)\b"
    r"|\b(?:determine|find|figure out|solve|identify|compare|calculate)\b(?!\s+that)",
    re.I,
)
_POINTING = re.compile(
    r"(?:^|\b(?:it|that|this|answer))(?:\s+(?:is|was|would be|must be)|'s)\s*$",
    re.I,
)
_CARRIED_ON = re.compile(
    r"\s*(?:who\s+|he\s+|she\s+|it\s+)?(?:is|was|has|must|likes|wants|eats)\b", re.I
)
_PRONOUN = re.compile(r"\b(?:he|she|they|his|her|their)\b", re.I)
_RANK = re.compile(
    r"\b(?:[a-z]{2,}est|most|least|first|second|third|fourth|fifth|last|middle)\b(?!,)", re.I
)
_ORDINALS = frozenset("first second third fourth fifth last middle".split())
_ORDER = re.compile(r"\bfrom\s+(?:the\s+)?([a-z]+est)\s+to\s+(?:the\s+)?([a-z]+est)\b", re.I)
_MORE_THAN = re.compile(r"\b([a-z]+?)er\s+than\s+(.*)", re.I | re.S)
_IN_ALTERNATIVE = r"\bor\s+(?:the\s+|an?\s+)?{0}\b|\b{0}\s+or\b"
_ALL_OTHERS = re.compile(r"\b(?:every|any|all\b|both\b|the others?\b)", re.I)
_UNASKED = frozenset(
    "who whose which what is are was were does do did has have had the a an of person people one "
    "each likes like wants want eats eat owns own favorite favourite color colour".split()
)


@dataclass(frozen=True)
class Asked:
    """What a question asks: ranks ("second", "oldest"), key words ("dog"), about whom ("Bob")."""

    ranks: frozenset[str]
    keys: frozenset[str]
    subjects: frozenset[str]
    people: frozenset[str]
    choices: tuple[str, ...]


def read_choice(problem: Problem, text: str) -> Reading:
    """The one choice that ``text`` settles on."""
    choices = choices_of(problem)
    text, picked, several = pick_option(text, find(choices, text))
    if picked:
        return Reading(picked, f"picks the letter of {picked.values[0]} among the options")
    mentions = grouped(text, find(choices, text))
    if not mentions and several:
        return Reading(None, "lists the options without choosing one")
    if opening := opens_with(text, mentions):
        return Reading(opening, f"opens with {opening.values[0]}")
    if stated := states(text, mentions):
        return Reading(stated, f"says that the answer is {stated.values[0]}")
    return _read_clauses(problem, choices, text, mentions)


def choices_of(problem: Problem) -> tuple[str, ...]:
    """The closed set; any colour may be named, and unlisted people are those of the question."""
    if problem.answer_kind == "colour":
        known = {choice.lower() for choice in problem.choices}
        return *problem.choices, *(colour for colour in COLOURS if colour not in known)
    return problem.choices or tuple(sorted(passage.names_in(problem.question)))


def find(choices: tuple[str, ...], text: str) -> list[Mention]:
    """Every whole-word mention of a choice, in order; a longer choice wins over a part of it."""
    pattern, canonical = _spellings(choices)
    return [
        Mention((canonical[found],), *match.span())
        for match in pattern.finditer(text)
        if (found := match[0].lower()) in canonical
    ]


@lru_cache(maxsize=1024)
def _spellings(choices: tuple[str, ...]) -> tuple[re.Pattern[str], dict[str, str]]:
    """A pattern for every way to write one of the choices, and which choice each way means."""
    means = {form: choice for choice in reversed(choices) for form in _forms(choice.strip())}
    longest_first = sorted(filter(None, means), key=len, reverse=True)
    either = "|".join(map(re.escape, longest_first)) or "(?!)"
    return re.compile(rf"(?<![\w-])(?:{either})(?![\w-])", re.I), means


def _forms(choice: str) -> tuple[str, ...]:
    """A choice in lower case and, of a thing, its plurals."""
    lower = choice.lower()
    if choice != lower:
        return (lower,)
    return f"{lower}s", f"{lower}es", f"{lower.removesuffix('y')}ies", lower


def opens_with(text: str, mentions: Sequence[Mention]) -> Mention | None:
    """The first mention where the text begins with it as with a complete answer."""
    if not mentions:
        return None
    first = mentions[0]
    leads = LEAD_IN.fullmatch(text[: first.start].lstrip(" \t\n."))
    return first if leads and _OPENING_END.match(text, first.end) else None


def states(text: str, mentions: Sequence[Mention]) -> Mention | None:
    """The mention that follows "the answer is"."""
    for cue in STATED.finditer(text):
        following = next((m for m in mentions if m.start >= cue.end()), None)
        if following and LEAD_IN.fullmatch(text[cue.end() : following.start]):
            return following
    return None


def _read_clauses(
    problem: Problem, choices: tuple[str, ...], text: str, mentions: Sequence[Mention]
) -> Reading:
    asked = _asked(problem, choices)
    among = problem.answer_kind == "name" or (asked.ranks and not asked.subjects)
    answers = _name_answers if among else _subject_answers
    if ranked := _ranked(asked, text, mentions):
        return Reading(ranked, f"puts {ranked.values[0]} there in the order it gives")
    asserted: list[tuple[Mention, bool]] = []
    undecided: Mention | None = None
    for clause in passage.clauses(text, [m.span for m in mentions if len(m.values) > 1]):
        inside = [m for m in mentions if clause.start <= m.start < clause.end]
        lead = text[clause.start : inside[0].start if inside else clause.end]
        if _UNDECIDED.search(lead):
            continue
        said = [m for m in _affirmed(text, clause, inside) if answers(asked, text, clause, m)]
        if not said and among and not inside:
            said = _carried_on(asked, text, clause, mentions)
        values = dict.fromkeys(value for m in said for value in m.values)
        if len(values) == 1:
            asserted.append((said[0], clause.concluding))
        elif values:
            undecided = Mention(tuple(values), said[0].start, said[-1].end)
    if concluded := [mention for mention, concluding in asserted if concluding]:
        return Reading(concluded[-1], f"concludes with {concluded[-1].values[0]}")
    if asserted:
        return Reading(asserted[0][0], f"says {asserted[0][0].values[0]} in answer to the question")
    return Reading(undecided, "") if undecided else no_answer(text)


def _affirmed(text: str, clause: Clause, inside: Sequence[Mention]) -> list[Mention]:
    """The mentions of a clause without those denied ("not red") or beside it ("than Bob")."""
    kept = []
    for mention in inside:
        before = text[clause.start : mention.start]
        beside = BESIDE.search(before) or (len(mention.values) > 1 and OUT_OF.search(before))
        if not beside:
            kept.append(mention)
    for negation in _NEGATION.finditer(text, clause.start, clause.end):
        after = [m for m in kept if m.start >= negation.start()]
        before_it = [m for m in kept if m.start < negation.start()]
        for denied in after[:1] or before_it[-1:]:
            kept.remove(denied)
    return kept


def _asked(problem: Problem, choices: tuple[str, ...]) -> Asked:
    question = passage.asked(problem.question)
    names = passage.names_in(problem.question)
    people = names - set(problem.choices)
    keys = frozenset(passage.words(question)) - _UNASKED - {name.lower() for name in names}
    return Asked(_ranks(question), keys, passage.names_in(question) & people, people, choices)


def _ranks(text: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _RANK.findall(text))


def _name_answers(asked: Asked, text: str, clause: Clause, mention: Mention) -> bool:
    """Whether a clause with this name in it says that it is the one asked for."""
    before, after = text[clause.start : mention.start], text[mention.end : clause.end]
    alone = not (before + after).strip(" .\n")
    if after.startswith("'s"):
        return _is_about(asked, after)
    if _POINTING.search(before) or (clause.concluding and alone):
        return True
    return _is_about(asked, text[clause.start : clause.end]) or _exceeds_all_others(
        asked, mention, after
    )


def _ranked(asked: Asked, text: str, mentions: Sequence[Mention]) -> Mention | None:
    """The one asked for in "from oldest to youngest: Emma, Liam, Noah"."""
    order = _ORDER.search(text)
    listed = [m for m in mentions if order and len(m.values) == len(asked.choices)]
    place = {frozenset(): 0, frozenset({"second"}): 1}.get(asked.ranks & _ORDINALS)
    if not order or not listed or listed[0].start < order.end() or place is None:
        return None
    ranked = find(asked.choices, text[: listed[0].end])[-len(asked.choices) :]
    if order[1].lower() in asked.ranks:
        return ranked[place]
    return ranked[-1 - place] if order[2].lower() in asked.ranks else None


def _is_about(asked: Asked, said: str) -> bool:
    if asked.ranks:
        ranks = _ranks(said)
        return bool(ranks) and ranks <= asked.ranks and asked.ranks & _ORDINALS <= ranks
    keys = asked.keys & set(passage.words(said))
    return not asked.keys or any(
        not re.search(_IN_ALTERNATIVE.format(key), said, re.I) for key in keys
    )


def _exceeds_all_others(asked: Asked, mention: Mention, after: str) -> bool:
    """Whether ``after`` goes on "… is taller than both Bob and Carol" where "tallest" is asked."""
    compared = _MORE_THAN.search(after)
    if not compared or frozenset({f"{compared[1]}est".lower()}) != asked.ranks:
        return False
    others = {m.values[0] for m in find(asked.choices, compared[2])}
    return bool(_ALL_OTHERS.match(compared[2])) or others >= {*asked.choices} - {*mention.values}


def _carried_on(
    asked: Asked, text: str, clause: Clause, mentions: Sequence[Mention]
) -> list[Mention]:
    """The name that a clause without one is about: "Alice, who …, is the tallest"."""
    said = text[clause.start : clause.end]
    earlier = [m for m in mentions if clause.sentence_start <= m.start < clause.start]
    if not earlier or not _CARRIED_ON.match(said) or not _is_about(asked, said):
        return []
    if _PRONOUN.match(said.lstrip()):
        return earlier[:1]
    if not said.lower().lstrip().startswith("who"):
        earlier = [m for m in earlier if not BESIDE.search(text[: m.start])] or earlier
    return earlier[-1:]


def _subject_answers(asked: Asked, text: str, clause: Clause, mention: Mention) -> bool:
    """Whether this mention is said of the person the question is about, or of nobody."""
    if not asked.subjects:
        return True
    before = text[clause.start : mention.start]
    named = _named(asked.people, before)
    if not named and _PRONOUN.search(before):
        earlier = _named(asked.people, text[: clause.start])
        return not earlier or not asked.subjects.isdisjoint(earlier)
    named = named[-1:] or _named(asked.people, text[mention.end : clause.end])[:1]
    if not named and _CARRIED_ON.match(before):
        named = _named(asked.people, text[clause.sentence_start : clause.start])[-1:]
    return not named or named[0] in asked.subjects


def _named(people: frozenset[str], text: str) -> list[str]:
    return [word for word in re.findall(r"[A-Z][a-z]+", text) if word in people]
