"""A run, or several seeds of one, in a few lines of text."""

from collections.abc import Mapping

from learner import wording
from learner.experiments.estimates import Arm, Estimate, alone, final, initial, kept, rate
from learner.experiments.results import Results, Share
from learner.measuring import Score


def summary(arm: Arm) -> str:
    """What learning changed, in all, by family and by difficulty, and what validation chose."""
    lines = []
    if all(run.alone for run in arm.runs):
        lines.append(_line("model alone", Arm("", arm.runs[:1]).estimate(alone)))
    if all(run.examples_alone for run in arm.runs):
        lines.append(_line("worked examples", Arm("", arm.runs[:1]).estimate(_examples_alone)))
    lines.append(_line("before learning", arm.estimate(initial)))
    lines.append(_line(f"after {arm.runs[0].episodes}", arm.estimate(final)))
    chosen = arm.estimate(kept)
    episodes = ", ".join(str(kept(run).episodes) for run in arm.runs)
    lines.append(_line(f"kept, from {episodes}", chosen))
    lines.append("")
    for kind in ("families", "difficulties"):
        prefix = "difficulty " if kind == "difficulties" else ""
        lines += [*_groups([getattr(run, kind) for run in arm.runs], prefix), ""]
    change = arm.effect(final, initial)
    lines.append(
        f"Learning changed accuracy by {wording.change(change.value, change.interval)} points, "
        f"{wording.p_value(change.p_value)} "
        f"({'paired' if change.paired else 'separate samples'})."
    )
    for name, value in arm.runs[0].continual.items():
        values = [run.continual.get(name, value) for run in arm.runs]
        lines.append(f"{name.replace('_', ' ')}: {sum(values) / len(values):+.3f}")
    lines.append(f"{rate(arm):.1f} episodes a second while learning.")
    return "\n".join(lines)


def _examples_alone(run: Results) -> Score:
    assert run.examples_alone is not None
    return run.examples_alone


def _line(name: str, estimate: Estimate) -> str:
    of = wording.count(estimate.problems, "problem")
    seeds = f", {estimate.seeds} seeds" if estimate.seeds > 1 else ""
    return f"{name:>20}  {wording.accuracy(estimate.value, estimate.interval)} of {of}{seeds}"


def _groups(kinds: list[Mapping[str, tuple[Share, Share]]], prefix: str) -> list[str]:
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
