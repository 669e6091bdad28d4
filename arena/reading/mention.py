"""What in a text may be an answer, and which of these stand side by side as equals."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from arena.reading.passage import blank

STATED = re.compile(
    r"\banswer\b(?:\s+to\s[^.\n]{0,120}?)?(?:\s+(?:is|was|would be|must be)\b|\s*[:=])", re.I
)
# Words that may stand between the start, or "the answer is", and the answer itself.
LEAD_IN = re.compile(
    r"(?:[^\w\n.]|\b(?:that|the|an?|his|her|their|it|it's|is|was|must|would|should|will|be|name|number|colou?r|option|most"
    r"|likely|probably|definitely|therefore|so|i|think)\b)*",
    re.I,
)

_LONGEST_GAP = 40  # characters between two items of one list
_LIST_GAP = re.compile(
    r"[\s,;/|&.-]*(?:\b(?:and|or|nor)\b)?[\s,/]*(?:\b(?:either|both|the|an?)\s+)*"
    r"(?:\(?[A-Ea-e1-9][.):]\s*)?"
)
_LIST_WORD = re.compile(r"\b(?:and|or|nor)\b|[/&|]")
_ALTERNATIVE = re.compile(r"\bn?or\b|/")
# "taller than Bob and Carol is …": Carol begins something new, she is not listed with Bob.
_NEW_SUBJECT = re.compile(
    r"'s\b|\s+(?:is|was|has|had|does|did|likes|wants|eats|owns|must|can|cannot|can't|could|would"
    r"|will|should|doesn't|isn't|didn't)\b"
)
# "taller than Bob", "of Alice and Bob": what follows is only compared with, or chosen from.
BESIDE = re.compile(r"\b(?:than|among|amongst|between|as\s+\w+\s+as)\s+(?:\w+\s+)?$", re.I)
OUT_OF = re.compile(r"\b(?:of|from)\s+(?:either\s+|both\s+)?$", re.I)
_BARE_END = re.compile(r"[\"')\]]*\s*(?:[.\n]|$)")
_LABEL = re.compile(r"(?:^|(?<=[\s(]))\(?([A-Ea-e])\s?[.):]\s*$")
_CHOSEN_LABEL = re.compile(r"\b(?:answer|option|choice)\b(?:\s+is)?[\s:]*\(?([A-E])\b", re.I)
_IS = re.compile(r"\b(?:is|are)\s+(?:either\s+)?(?:the\s+|an?\s+)?$", re.I)
_ARTICLE = re.compile(r"\b(?:the|an?|either|both)$", re.I)

_UNTOLD = re.compile(
    r"\b(?:not possible|impossible|cannot be|can't be|(?:cannot|can't|can not|unable to) (?:be )?"
    r"(?:determine|say|know|tell|conclude|infer|answer)|not enough|insufficient|unclear|unknown"
    r"|uncertain|depends on|no (?:information|evidence|mention|way)|(?:not|n't) (?:specify"
    r"|specified|mention|mentioned|state|stated|given|provide|provided|clear|sure|certain|know"
    r"|necessarily))\b",
    re.I,
)


@dataclass(frozen=True)
class Mention:
    """A possible answer at ``[start, end)``; several ``values`` are named as equals."""

    values: tuple[str, ...]
    start: int
    end: int

    @property
    def span(self) -> tuple[int, int]:
        return self.start, self.end


@dataclass(frozen=True)
class Reading:
    """The mention taken for the answer and why, or None and why not."""

    mention: Mention | None
    reason: str


def grouped(text: str, mentions: Sequence[Mention]) -> list[Mention]:
    """``mentions`` in order, those that the text lists side by side joined into one."""
    chains: list[list[Mention]] = []
    for mention in mentions:
        if chains and _joins(text, chains[-1], mention):
            chains[-1].append(mention)
        else:
            chains.append([mention])
    return [mention for chain in chains for mention in _joined(text, chain)]


def pick_option(text: str, mentions: Sequence[Mention]) -> tuple[str, Mention | None, bool]:
    """Resolve "A) … B) … Answer: B".

    Returns the text without the options (a single one loses only its letter), the option that a
    letter picks further on, if any, and whether there were several options.
    """
    labelled = [(label, m) for m in mentions if (label := _LABEL.search(text[: m.start]))]
    options: dict[str, Mention] = {}
    repeated: tuple[str, int] | None = None
    for label, mention in labelled:
        if label[1].upper() in options:
            repeated = label[1].upper(), label.start(1)
            break
        options[label[1].upper()] = mention
    if len(options) < 2:
        for label, _ in labelled:
            text = blank(text, *label.span())
        return text, None, False
    end = max(mention.end for mention in options.values())
    if chosen := _CHOSEN_LABEL.search(text, end):
        repeated = chosen[1].upper(), chosen.start(1)
    picked = None
    if repeated and repeated[0] in options:
        letter, start = repeated
        picked = Mention(options[letter].values, start, start + 1)
    return blank(text, labelled[0][0].start(), end), picked, True


def _joins(text: str, chain: Sequence[Mention], mention: Mention) -> bool:
    gap = text[chain[-1].end : mention.start]
    if len(gap) > _LONGEST_GAP or not _LIST_GAP.fullmatch(gap):
        return False
    across_sentences = "." in gap or "\n" in gap
    return not across_sentences or _bare(text, chain[0].start, mention.end)


def _joined(text: str, chain: Sequence[Mention]) -> list[Mention]:
    """One mention of all values of the chain, or its parts where they are not listed as equals."""
    if len(chain) == 1:
        return list(chain)
    gaps = [text[one.end : other.start] for one, other in pairwise(chain)]
    restarts = _NEW_SUBJECT.match(text, chain[-1].end) and not _ALTERNATIVE.search(gaps[-1])
    if restarts and not (len(chain) > 2 and BESIDE.search(text[: chain[0].start])):
        return [*_joined(text, chain[:-1]), chain[-1]]
    values = tuple(dict.fromkeys(value for mention in chain for value in mention.values))
    listed = (
        len(chain) > 2 or _LIST_WORD.search(gaps[0]) or _bare(text, chain[0].start, chain[-1].end)
    )
    stated = _IS.search(text[: chain[0].start]) and _BARE_END.match(text, chain[-1].end)
    if len(values) == 1 or not (listed or stated):
        return list(chain)
    return [Mention(values, chain[0].start, chain[-1].end)]


def _bare(text: str, start: int, end: int) -> bool:
    """Whether ``[start, end)`` stands alone: a line, a sentence, or what follows a colon."""
    before = _ARTICLE.sub("", text[:start].rstrip(" \"'(")).rstrip(" ")
    return (not before.strip() or before[-1] in ".\n:") and bool(_BARE_END.match(text, end))


def untold(text: str) -> bool:
    """Whether ``text`` says that the question cannot be answered."""
    return bool(_UNTOLD.search(text))


def no_answer(text: str) -> Reading:
    """No answer was read; the reason is guessed from how the text ends."""
    if untold(text):
        return Reading(None, "says that it cannot be told")
    if text.rstrip()[-1:] in (".", "!", "?"):
        return Reading(None, "does not answer the question")
    return Reading(None, "cut off before an answer")
