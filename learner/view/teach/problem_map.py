"""The map of the held-out set: a square a problem, to see where it is right, and to look at one.

Families stand below each other, and in each the easiest problems come first. A square says by a
sign as well as by its colour what became of its problem: those that are right only since it learnt
have the soft prompt's colour. Whoever presses one sees that problem, and what is written to it now.
"""

from collections.abc import Sequence
from html import escape

from arena import Problem
from learner.measuring import RIGHT
from learner.view.cards import VERDICTS
from learner.view.chart_parts import frame

CHOOSING = """
element.addEventListener("click", (event) => {
    const square = event.target.closest("[data-problem]");
    if (!square) return;
    trigger("click", { problem: Number(square.dataset.problem) });
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const problem = document.getElementById("spa-problem");
    problem.scrollIntoView({ block: "nearest", behavior: still ? "auto" : "smooth" });
});
"""
"""Sends a click on a square as its event's data, and brings the problem into view."""

_KEY = "".join(
    f'<span><i class="spa-square spa-{kind}">{mark}</i> {word}</span>'
    for kind, mark, word in (
        ("right spa-now-right", "✓", "right since it learnt"),
        ("right", "✓", "right before too"),
        ("wrong", "✗", "wrong"),
        ("wrong spa-now-wrong", "✗", "wrong since"),
        ("none", "–", "no answer"),
    )
)


def problem_map(problems: Sequence[Problem], before: str, after: str) -> str:
    """What became of each problem, as far as it was asked.

    ``before`` and ``after`` have a letter for each, as in `Score`: of the model alone, and of what
    has learnt; ``after`` is empty where nothing has been learnt yet.
    """
    families: dict[str, list[int]] = {}
    for number in sorted(range(len(problems)), key=lambda one: problems[one].difficulty):
        families.setdefault(problems[number].family, []).append(number)
    now = after or before
    rows = "".join(
        f'<div class="spa-map-row"><span class="spa-row-name">{escape(_words(family))}</span>'
        f"<div>{''.join(_square(n, problems[n], before[n:][:1], after[n:][:1]) for n in members)}"
        "</div></div>"
        for family, members in sorted(families.items())
    )
    told = "; ".join(
        f"{_words(family)}: {sum(now[n:][:1] == RIGHT for n in members)} of {len(members)} right"
        for family, members in sorted(families.items())
    )
    who = "with your soft prompt" if after else "the model alone"
    note = f"{who}, easy ones first · press one to see what is written to it"
    body = f'<div class="spa-map-rows">{rows}</div><p class="spa-map-key">{_KEY}</p>'
    words = f"{who.capitalize()}: {told}." if now else "Not measured."
    keys = "Arrow keys tell its values, Enter shows the problem."
    return frame("Every held-out problem", note, body, words, "spa-map", by_keys=keys)


def _square(number: int, problem: Problem, before: str, after: str) -> str:
    kind, mark, word = VERDICTS.get(after or before, ("unasked", "", "not asked yet"))
    told = f"{_words(problem.family)}, difficulty {problem.difficulty}: {word}"
    if before and after:
        told += f" now, {VERDICTS[before][2]} before" if before != after else ", as before"
        if (before == RIGHT) != (after == RIGHT):
            kind += " spa-now-right" if after == RIGHT else " spa-now-wrong"
    return (
        f'<i class="spa-hover spa-square spa-{kind}" data-problem="{number}" '
        f'data-words="{escape(told, quote=True)}">{mark}</i>'
    )


def _words(family: str) -> str:
    return family.replace("_", " ")
