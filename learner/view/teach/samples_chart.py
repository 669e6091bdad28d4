"""The picture of a learner that tries: problems × samples of the latest step, each with its mark.

Right ones are lit; every mark is a sign as well as a colour, and the words that a screen reader
gets say the same.
"""

from collections import Counter
from collections.abc import Sequence
from html import escape

from learner import wording
from learner.learning.step_report import Group, Sample, SampleSummary, summarise
from learner.view import cards

ROWS, COLUMNS = 6, 16  # drawn at most; a learner that was made elsewhere may have more


def samples_chart(groups: Sequence[Group], episodes: int, tries: int, problems: int) -> str:
    """The groups of the latest step, after so many episodes.

    Before there are any, an empty grid of ``problems`` × ``tries``.
    """
    if not groups:
        row = _row("·", "<i></i>" * min(tries, COLUMNS), "")
        body = f'<div class="spa-grid-rows">{row * min(problems, ROWS)}</div>'
        note = f"it tries {tries} times at each problem, and is told right or wrong"
        return _frame("no step yet", body, note, "No tries yet.")
    drawn = summarise(groups)
    rows = "".join(_group_row(group) for group in groups[:ROWS])
    body = f'<div class="spa-grid-rows">{rows}</div>'
    right = f"<b>{drawn.correct} of {drawn.samples}</b> right"
    title = f"after {wording.count(episodes, 'episode')} · {right}"
    words = f"{drawn.correct} of {drawn.samples} tries right in the latest step: " + "; ".join(
        f"{_name(group)}: {_right(group)} of {len(group.samples)} right" for group in groups
    )
    return _frame(title, body, _note(drawn), f"{words}. {_note(drawn)}.")


def _frame(title: str, body: str, note: str, words: str) -> str:
    return (
        '<div class="spa-chart spa-samples"><div class="spa-chart-head"><h2>Its own tries, graded'
        f'</h2><p>{title}</p></div><div role="img" aria-label="{escape(words, quote=True)}">{body}'
        f'</div><p class="spa-grid-note">{escape(note)}</p></div>'
    )


def _group_row(group: Group) -> str:
    cells = "".join(_cell(sample) for sample in group.samples[:COLUMNS])
    texts = Counter(" ".join(s.completion.text.split()) for s in group.samples)
    most, times = texts.most_common(1)[0]
    right = any(
        s.grade.correct and s.completion.text.split() == most.split() for s in group.samples
    )
    said = f"“{escape(most)}” ×{times}" if most else f"nothing ×{times}"
    kind = "spa-said spa-said-right" if right else "spa-said"
    return _row(_name(group), cells, f'<span class="{kind}">{said}</span>')


def _row(name: str, cells: str, said: str) -> str:
    return (
        f'<div class="spa-grid-row"><span class="spa-grid-name">{escape(name)}</span>'
        f'<span class="spa-cells">{cells}</span>{said}</div>'
    )


def _cell(sample: Sample) -> str:
    kind, sign, _ = cards.verdict(sample.grade)
    text = escape(" ".join(sample.completion.text.split())[:60], quote=True)
    return f'<i class="spa-cell-{kind}" title="{text}">{sign}</i>'


def _name(group: Group) -> str:
    family = group.problem.family
    return "your own" if family == "own" else family.replace("_", " ")


def _right(group: Group) -> int:
    return sum(sample.grade.correct for sample in group.samples)


def _note(drawn: SampleSummary) -> str:
    """What else must be watched where a reward is learnt from: silence, length, variety, signal."""
    return (
        f"no answer: {drawn.no_answer} · {drawn.length:.1f} tokens a try · "
        f"entropy {drawn.entropy:.2f} nats · {drawn.with_signal} of "
        f"{wording.count(drawn.problems, 'problem')} had both right and wrong tries"
    )
