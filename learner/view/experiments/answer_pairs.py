"""What was written before and after, side by side: which of it is looked at, and its cards."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from arena import FAMILIES
from learner.experiments.answers import (
    ALL,
    CHANGES,
    GAINED,
    LOST,
    REWORDED,
    SAME,
    SHOWN,
    Pair,
    chosen,
)
from learner.experiments.completions import GRADES, SOFT_PROMPT, Line
from learner.experiments.engine import ALONE
from learner.experiments.plan import ANY_FAMILY
from learner.view.cards import VERDICTS, highlighted
from learner.visitors.session import Session
from learner.wording import count

ON_A_PAGE = 10
SHOWN_CHOICES = [(f"{name} now" if name in GRADES.values() else name, name) for name in SHOWN]
BESIDE_CHOICES = [("before learning", SOFT_PROMPT), ("the model alone", ALONE)]
_MARKS = {GRADES[outcome]: (kind, mark) for outcome, (kind, mark, _) in VERDICTS.items()}
_CHANGE_WORDS = {
    GAINED: "gained: not right before",
    LOST: "lost: right before",
    REWORDED: "in other words",
    SAME: "unchanged",
}


@dataclass(frozen=True)
class Looking:
    """Which answers a visitor looks at: those of a run, and of one of its seeds.

    ``of`` says which run; ``seed`` counts from 0, as ``page`` does. What cannot be is what
    it is at first.
    """

    of: str = ""
    seed: int = 0
    shown: str = ALL
    family: str = ANY_FAMILY
    beside: str = SOFT_PROMPT
    page: int = 0

    def __post_init__(self) -> None:
        for name, known in (
            ("shown", SHOWN),
            ("family", FAMILIES),
            ("beside", [value for _, value in BESIDE_CHOICES]),
        ):
            value = getattr(self, name)
            if not isinstance(value, str) or value not in known:
                object.__setattr__(self, name, getattr(type(self), name))
        for name in ("seed", "page"):
            value = getattr(self, name)
            object.__setattr__(self, name, value if isinstance(value, int) and value > 0 else 0)

    def wanted(self, pairs: Sequence[Pair]) -> list[Pair]:
        """Those of them that are looked at, on all pages."""
        return chosen(pairs, self.shown, None if self.family == ANY_FAMILY else self.family)

    def on(self, of: str) -> "Looking":
        """What is looked at of this run: its first page, if it was another until now."""
        return self if self.of == of else Looking(of, 0, self.shown, self.family, self.beside)

    def pages(self, pairs: Sequence[Pair]) -> int:
        """How many pages these are."""
        return max(1, -(-len(self.wanted(pairs)) // ON_A_PAGE))


@dataclass(frozen=True)
class AnswersSource:
    """Where answers come from: ``read`` gives those looked at, or a sentence why there are none.

    ``cause`` changes whenever what is read may have changed. ``session`` is that of the visitor,
    ``of`` tells one run of theirs from another, and ``seeds`` are those there are.
    """

    cause: object
    read: Callable[[Looking], Sequence[Pair] | str]
    session: Session | None = None
    of: str = ""
    seeds: tuple[int, ...] = ()


def answers_page(pairs: Sequence[Pair] | str, looking: Looking) -> str:
    """One page of answers, and what all of them come to; or the sentence why there are none."""
    if isinstance(pairs, str):
        return f'<p class="spa-power" role="status">{escape(pairs)}</p>'
    counts = Counter(pair.change for pair in pairs)
    summed = ", ".join(f"<b>{counts[change]}</b> {change}" for change in CHANGES)
    wanted = looking.wanted(pairs)
    page = min(looking.page, looking.pages(pairs) - 1)
    shown = wanted[page * ON_A_PAGE : (page + 1) * ON_A_PAGE]
    where = "none of them is like that"
    if shown:
        first = page * ON_A_PAGE + 1
        where = f"{first}–{first + len(shown) - 1} of {len(wanted)}"
    episodes = pairs[0].after.episodes
    names = {value: name for name, value in BESIDE_CHOICES}
    columns = (names[looking.beside], f"after {count(episodes, 'episode')}")
    return (
        f'<p class="spa-pairs-sum" role="status">{count(len(pairs), "problem")}: {summed}. '
        f"Shown: {where}.</p>"
        f'<ol class="spa-pairs" start="{page * ON_A_PAGE + 1}">'
        f"{''.join(_pair(pair, columns) for pair in shown)}</ol>"
    )


def _pair(pair: Pair, columns: tuple[str, str]) -> str:
    line = pair.after
    since = ""
    if pair.right_since is not None:
        since = f" · right from {count(pair.right_since, 'episode')} on"
        since = " · right from the start" if pair.right_since == 0 else since
    chips = f"{line.family.replace('_', ' ')} · difficulty {line.difficulty}"
    sides = zip(columns, (pair.before, pair.after), strict=True)
    return (
        f'<li class="spa-pair"><p class="spa-pair-head"><span class="spa-chip">{escape(chips)}'
        f'</span><span class="spa-pair-change">{_CHANGE_WORDS[pair.change]}{since}</span></p>'
        f'<p class="spa-pair-question">{escape(line.question)} '
        f"<span>(answer: <b>{escape(line.gold)}</b>)</span></p>"
        f'<div class="spa-pair-sides">{"".join(_side(*side) for side in sides)}</div></li>'
    )


def _side(column: str, line: Line) -> str:
    kind, mark = _MARKS[line.grade]
    text = highlighted(line.completion, line.span)
    if not line.completion.strip():
        text = '<span class="spa-empty">(it wrote nothing)</span>'
    return (
        f'<div class="spa-pair-side spa-{kind}"><p class="spa-answer-head">'
        f'<span class="spa-pair-who">{escape(column)}</span><span class="spa-verdict">'
        f'<i aria-hidden="true">{mark}</i> {line.grade}</span></p>'
        f'<p class="spa-pair-said">{text}</p>'
        f'<p class="spa-pair-why">{escape(line.reason)}</p></div>'
    )
