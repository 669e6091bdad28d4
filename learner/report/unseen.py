"""A family that was not seen before: how fast is it learnt, from which start?

For each family in turn the starts are learnt on the other four: meta-learnt, or jointly, for as
many episodes; a fresh start knows nothing. Then all learn the family that is left, one episode a
step. The held-out problems of all five families together are the sample.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from arena import FAMILIES
from arena.crossed import CrossedMean, crossed_accuracy, crossed_mean, difference
from arena.statistics import holm
from learner import wording
from learner.experiments.results import Results
from learner.experiments.settings import STARTS
from learner.experiments.starts import EPISODES_PER_FAMILY
from learner.report.bench import Bench

MEASURED = (0, 1, 5, 20)  # episodes

Table = list[list[float]]


@dataclass(frozen=True)
class Start:
    """What became of one start: right (1) or wrong (0) at each milestone, by seed and problem."""

    name: str
    tables: Mapping[int, Table]


def learn_unseen(bench: Bench, chat: bool) -> list[Start]:
    """Each start, on each family in turn."""
    plain = bench.best(
        chat,
        episodes=MEASURED[-1],
        eval_at=MEASURED[1:],
        eval_problems=max(2, bench.scale.problems // len(FAMILIES)),
        validation_problems=0,
    ).with_config(episodes_per_step=1)
    starts = []
    for name in STARTS:
        runs = bench.together(
            f"unseen family, {name} start, {'chat' if chat else 'plain'}",
            [replace(plain, families=(family,), start=name) for family in FAMILIES],
        )
        starts.append(Start(name, {episodes: _table(runs, episodes) for episodes in MEASURED}))
    return starts


def unseen_text(starts: Sequence[Start]) -> str:
    """Accuracies in Markdown, and whether the meta-learnt start is better than the others."""
    rows = [["start", *(f"after {episodes}" for episodes in MEASURED)]]
    for start in starts:
        found = [crossed_accuracy(start.tables[episodes]) for episodes in MEASURED]
        rows.append([start.name, *(wording.accuracy(item.mean, item.interval) for item in found)])
    by_name = {start.name: start for start in starts}
    lines = [wording.table(rows), ""]
    compared = {
        (other, episodes): crossed_mean(
            difference(by_name["meta"].tables[episodes], by_name[other].tables[episodes])
        )
        for other in ("fresh", "joint")
        for episodes in MEASURED[1:]
    }
    corrected = holm([item.p_value for item in compared.values()])
    for (key, item), p_value in zip(compared.items(), corrected, strict=True):
        lines.append(f"- meta against {key[0]}, after {key[1]}: {_words(item, p_value)}")
    seeds, problems = len(starts[0].tables[0]), len(starts[0].tables[0][0])
    lines.append(
        f"\n{seeds} seeds, {problems} problems; meta and joint starts saw {EPISODES_PER_FAMILY} "
        "episodes of each other family. P-values after Holm's correction."
    )
    return "\n".join(lines)


def _table(runs: Sequence[Sequence[Results]], episodes: int) -> Table:
    """Seeds by problems, those of the families side by side."""
    by_seed = zip(*runs, strict=True)
    return [
        [
            float(right)
            for run in of_families
            for right in next(s for s in run.curve if s.episodes == episodes).right
        ]
        for of_families in by_seed
    ]


def _words(item: CrossedMean, p_value: float) -> str:
    return f"{wording.change(item.mean, item.interval)} points, {wording.p_value(p_value)}"
