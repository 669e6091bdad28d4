"""A visitor's own questions as HTML: how many are right, and what is right beside them."""

import json
import re
from functools import cache
from html import escape

from learner.measuring import NO_ANSWER, RIGHT, WRONG, Score
from learner.model.base_model import ModelFacts
from learner.model.source import POCKET_FOLDER
from learner.visitors.own_list import OwnList
from learner.wording import accuracy, count

VERDICTS = {
    RIGHT: ("right", "✓", "right"),
    WRONG: ("wrong", "✗", "wrong"),
    NO_ANSWER: ("none", "–", "no answer"),
}


def own_list_card(own: OwnList, held_out: tuple[Score | None, Score | None]) -> str:
    """The list, with its accuracy and that on the held-out set side by side: before, and now."""
    if not own.problems:
        return ""
    before, now = own.scores
    rows = [
        (f"Your {count(len(own.problems), 'question')}, learnt from", (before, now)),
        ("Held-out problems, never learnt from", held_out),
    ]
    asked = f"after {count(own.episodes[1], 'episode')}" if now else "now"
    head = f'<tr><th scope="col"></th><th scope="col">before</th><th scope="col">{asked}</th></tr>'
    table = (
        f"<table><thead>{head}</thead><tbody>"
        + "".join(
            f'<tr><th scope="row">{name}</th>{"".join(map(_share, scores))}</tr>'
            for name, scores in rows
        )
        + "</tbody></table>"
        '<p class="spa-power">Where only the first row rises, it learns the answers by heart.</p>'
    )
    questions = "".join(_question(own, place) for place in range(len(own.problems)))
    return (
        f'<div class="spa-own">{table if before else ""}'
        f'<ol class="spa-own-questions">{questions}</ol></div>'
    )


def counted(question: str) -> str:
    """How long a question is; the page's own script writes the same (`COUNTED`)."""
    return f'<p class="spa-power spa-counted">{len(question)} of 600 characters</p>'


def unknown_note(text: str, base_model: ModelFacts) -> str:
    """A warning where the embedded model cannot know what questions of one's own are about."""
    unknown = unknown_words(text) if base_model.source.is_embedded else []
    if not unknown:
        return ""
    words = ", ".join(f"“{escape(word)}”" for word in unknown[:3])
    more = " and others" if len(unknown) > 3 else ""
    return (
        f'<p class="spa-power" role="status">The embedded model has read nothing but puzzles of '
        f"five kinds, and never {words}{more}: it cannot know, and will hardly learn it even by "
        "heart.</p>"
    )


def unknown_words(text: str) -> list[str]:
    """The words of a text that the embedded model never read often enough to have in one piece."""
    words = dict.fromkeys(re.findall(r"[^\W\d_]{3,}", text))
    return [word for word in words if word.casefold() not in _known_words()]


@cache
def _known_words() -> frozenset[str]:
    vocabulary = json.loads((POCKET_FOLDER / "tokenizer.json").read_text(encoding="utf-8"))
    return frozenset(
        token.removeprefix("\u0120").casefold() for token in vocabulary["model"]["vocab"]
    )


def _share(score: Score | None) -> str:
    if score is None:
        return "<td>–</td>"
    return (
        f"<td><b>{score.correct}</b> of {score.n}: {accuracy(score.accuracy, score.interval)}</td>"
    )


def _question(own: OwnList, place: int) -> str:
    problem = own.problems[place]
    verdicts = [VERDICTS[letters[place]] for letters in (own.before, own.now) if letters]
    kind = verdicts[-1][0] if verdicts else "ungraded"
    went = " → ".join(f'<i aria-hidden="true">{mark}</i> {word}' for _, mark, word in verdicts)
    said = f"<span>it says: {escape(own.said[place]) or '(nothing)'}</span>" if own.said else ""
    return (
        f'<li class="spa-{kind}"><span>{escape(problem.question)} <b>{escape(problem.answer)}</b>'
        f'</span>{said}<span class="spa-verdict">{went or "not asked yet"}</span></li>'
    )
