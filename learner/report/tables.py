"""Experiments in words: one in a few lines, or several side by side in a table.

The table is like the original's *Qwen vs TinyLlama*, told honestly.

A winner is named only where it is significantly better than each of the others, at 5 % after Holm's
correction for asking that of all of them. Where two arms share only some seeds these are judged by,
and may say the opposite of the means: then nobody wins. The size of a model wins nothing.
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from arena.statistics import SIGNIFICANT, holm
from arena.unpaired import welch
from learner import wording
from learner.experiments.estimates import (
    Arm,
    Effect,
    Estimate,
    alone,
    examples_alone,
    final,
    initial,
    kept,
    rate,
    step_rates,
    versus,
    versus_change,
)
from learner.experiments.results import Share

NOBODY = "–"


@dataclass(frozen=True)
class Metric:
    """A row of the table: how it is shown for an arm, what it is worth, and how two arms differ.

    ``ahead`` is how far the first of two is ahead in what was compared, and the p-value of that;
    None where they cannot be compared in it.
    """

    name: str
    shown: Callable[[Arm], str]
    value: Callable[[Arm], float] | None = None
    ahead: Callable[[Arm, Arm], tuple[float, float] | None] | None = None


def markdown(arms: Sequence[Arm]) -> str:
    """The table in Markdown: a row a metric, a column an arm, and who won."""
    rows = [["", *(arm.name for arm in arms), "winner"]]
    rows += [
        [metric.name, *(metric.shown(arm) for arm in arms), winner(metric, arms)]
        for metric in METRICS
    ]
    return wording.table(rows)


def winner(metric: Metric, arms: Sequence[Arm]) -> str:
    """The name of the arm that is significantly better than every other, or ``NOBODY``."""
    if metric.value is None or metric.ahead is None or len(arms) < 2:
        return NOBODY
    best = max(arms, key=metric.value)
    found = [metric.ahead(best, other) for other in arms if other is not best]
    p_values = [one[1] for one in found if one is not None and one[0] > 0]
    if len(p_values) < len(found) or max(holm(p_values)) >= SIGNIFICANT:
        return NOBODY
    return best.name


def as_csv(arms: Sequence[Arm]) -> str:
    """The same as CSV, a row an arm; accuracies and differences are fractions."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for arm in arms:
        run = arm.runs[0]
        before, after = arm.estimate(initial), arm.estimate(final)
        change = arm.effect(final, initial)
        base = arm.estimate(alone) if _knows_alone(arm) else None
        writer.writerow(
            [
                arm.name,
                run.model,
                run.parameters or "",
                "yes" if run.chat_template else "no",
                run.soft_tokens,
                run.learning_rate,
                run.episodes,
                len(arm.runs),
                after.problems,
                *([base.value, base.interval.low, base.interval.high] if base else [""] * 3),
                *(before.value, before.interval.low, before.interval.high),
                *(after.value, after.interval.low, after.interval.high),
                *(change.value, change.interval.low, change.interval.high),
                change.p_value,
                "yes" if change.paired else "no",
                rate(arm),
            ]
        )
    return out.getvalue()


def _size(arm: Arm) -> str:
    count = arm.runs[0].parameters
    if not count:
        return NOBODY
    return f"{count / 1e9:.1f} B" if count >= 1e9 else f"{count / 1e6:.1f} M"


def _asked(arm: Arm) -> str:
    after = arm.estimate(final)
    words = f"{wording.count(after.seeds, 'seed')}, {wording.count(after.problems, 'problem')}"
    before = arm.estimate(initial)
    return words if before.problems == after.problems else f"{words} (first: {before.problems})"


def _knows_alone(arm: Arm) -> bool:
    return all(run.alone is not None for run in arm.runs)


def _alone(arm: Arm) -> str:
    if not _knows_alone(arm):
        return NOBODY
    base = arm.estimate(alone)
    return base.words


def _initial(arm: Arm) -> str:
    before = arm.estimate(initial)
    return before.words


def _final(arm: Arm) -> str:
    after = arm.estimate(final)
    return after.words


def _ahead(effect: Effect | None) -> tuple[float, float] | None:
    return None if effect is None else (effect.value, effect.p_value)


def _faster(one: Arm, other: Arm) -> tuple[float, float] | None:
    """From the rates of single steps; of the original only the mean is known."""
    first, second = step_rates(one), step_rates(other)
    if min(len(first), len(second)) < 2:
        return None
    return fmean(first) - fmean(second), welch(first, second)


METRICS = (
    Metric("model size", _size),
    Metric("format", lambda arm: "chat template" if arm.runs[0].chat_template else "plain text"),
    Metric("asked", _asked),
    Metric("model alone", _alone),
    Metric(
        "initial accuracy",
        _initial,
        lambda arm: arm.estimate(initial).value,
        lambda one, other: _ahead(versus(one, other, initial)),
    ),
    Metric(
        "final accuracy",
        _final,
        lambda arm: arm.estimate(final).value,
        lambda one, other: _ahead(versus(one, other, final)),
    ),
    Metric(
        "improvement (points)",
        lambda arm: arm.effect(final, initial).words,
        lambda arm: arm.effect(final, initial).value,
        lambda one, other: _ahead(versus_change(one, other)),
    ),
    Metric("episodes a second", lambda arm: f"{rate(arm):.2f}", rate, _faster),
)

_COLUMNS = (
    "name",
    "model",
    "parameters",
    "chat_template",
    "soft_tokens",
    "learning_rate",
    "episodes",
    "seeds",
    "problems",
    *(f"alone{end}" for end in ("", "_low", "_high")),
    *(f"initial{end}" for end in ("", "_low", "_high")),
    *(f"final{end}" for end in ("", "_low", "_high")),
    *(f"change{end}" for end in ("", "_low", "_high")),
    "p_value",
    "paired",
    "episodes_per_second",
)


def summary(arm: Arm) -> str:
    """What learning changed, in all, by family and by difficulty, and what validation chose."""
    lines = []
    if all(run.alone for run in arm.runs):
        lines.append(_accuracy_line("model alone", Arm("", arm.runs[:1]).estimate(alone)))
    if all(run.examples_alone for run in arm.runs):
        lines.append(
            _accuracy_line("worked examples", Arm("", arm.runs[:1]).estimate(examples_alone))
        )
    lines.append(_accuracy_line("before learning", arm.estimate(initial)))
    lines.append(_accuracy_line(f"after {arm.runs[0].episodes}", arm.estimate(final)))
    chosen = arm.estimate(kept)
    episodes = ", ".join(str(kept(run).episodes) for run in arm.runs)
    lines.append(_accuracy_line(f"kept, from {episodes}", chosen))
    lines.append("")
    for kind in ("families", "difficulties"):
        prefix = "difficulty " if kind == "difficulties" else ""
        lines += [*_kinds([getattr(run, kind) for run in arm.runs], prefix), ""]
    change = arm.effect(final, initial)
    lines.append(
        f"Learning changed accuracy by {change.points} points, "
        f"{wording.p_value(change.p_value)} "
        f"({'paired' if change.paired else 'separate samples'})."
    )
    for name, value in arm.runs[0].continual.items():
        values = [run.continual.get(name, value) for run in arm.runs]
        lines.append(f"{name.replace('_', ' ')}: {sum(values) / len(values):+.3f}")
    lines.append(f"{rate(arm):.1f} episodes a second while learning.")
    return "\n".join(lines)


def _accuracy_line(name: str, estimate: Estimate) -> str:
    of = wording.count(estimate.problems, "problem")
    seeds = f", {estimate.seeds} seeds" if estimate.seeds > 1 else ""
    return f"{name:>20}  {estimate.words} of {of}{seeds}"


def _kinds(kinds: list[Mapping[str, tuple[Share, Share]]], prefix: str) -> list[str]:
    """One line a group, before → after, as means over seeds."""
    lines = []
    for name in kinds[0]:
        cells = []
        for place in (0, 1):
            groups = [kind[name][place] for kind in kinds]
            mean = sum(group.accuracy for group in groups) / len(groups)
            if len(groups) == 1 and groups[0].interval is not None:
                cells.append(wording.accuracy(mean, groups[0].interval))
            else:
                cells.append(f"{mean * 100:.1f} %")
        n = kinds[0][name][1].n
        of = f" of {n}" if n else ""
        lines.append(f"{prefix + name:>20}  {'  →  '.join(cells)}{of}")
    return lines
