"""The table of experiments: a row for each run and for each that the original published."""

from collections.abc import Sequence

from learner import wording
from learner.experiments.estimates import Arm, Estimate, alone, final, initial, rate
from learner.experiments.plan import TECHNIQUES
from learner.report.tables import NOBODY

COLUMNS = (
    "Run",
    "What",
    "Format",
    "Seeds × n",
    "Model alone",
    "Before",
    "After",
    "Change (points)",
    "p",
    "Episodes/s",
    "State",
)
COLUMN_WIDTHS = (150, 126, 96, 92, 116, 116, 116, 134, 76, 84, 78)  # pixels
Row = tuple[str, ...]


def row_of(arm: Arm, technique: str, state: str) -> Row:
    """An experiment that has been measured; ``technique`` is a key of ``TECHNIQUES``."""
    run = arm.runs[0]
    after, before = arm.estimate(final), arm.estimate(initial)
    measured_alone = all(one.alone is not None for one in arm.runs)
    if final(run).episodes == initial(run).episodes:  # nothing but the start is known yet
        change, p_value = NOBODY, NOBODY
        shown_after = NOBODY
    else:
        effect = arm.effect(final, initial)
        change = _in_two(effect.points)
        p_value = wording.p_value(effect.p_value).removeprefix("p = ").removeprefix("p ")
        shown_after = _accuracy(after)
    speed = rate(arm)
    return (
        arm.name,
        TECHNIQUES[technique].name,
        _format(run.chat_template),
        _asked(after, before),
        _accuracy(Arm("", arm.runs[:1]).estimate(alone)) if measured_alone else NOBODY,
        _accuracy(before),
        shown_after,
        change,
        p_value,
        f"{speed:.1f}" if speed > 0 else NOBODY,
        state,
    )


def row_without(name: str, technique: str, chat_template: bool, state: str) -> Row:
    """An experiment that nothing is known of yet."""
    words = TECHNIQUES[technique].name
    return (name, words, _format(chat_template), *[NOBODY] * (len(COLUMNS) - 4), state)


def table_of(rows: Sequence[Row]) -> dict[str, list]:
    """The rows under their headings, as Gradio's table takes them."""
    return {"headers": list(COLUMNS), "data": [list(row) for row in rows]}


def _asked(after: Estimate, before: Estimate) -> str:
    problems = str(after.problems)
    if before.problems != after.problems:
        problems += f" ({before.problems} before)"
    return f"{after.seeds} × {problems}"


def _accuracy(estimate: Estimate) -> str:
    return _in_two(estimate.words)


def _in_two(words: str) -> str:
    """A number with its interval, which breaks between the two and nowhere else."""
    return words.replace(" ", "\u00a0").replace("\u00a0[", " [")


def _format(chat_template: bool) -> str:
    return f"{'with' if chat_template else 'without'} template"
