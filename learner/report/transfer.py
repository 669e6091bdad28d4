"""What families do for one another: learnt in sequence, or as a start for one never seen.

Learnt one after another: what is remembered, and what one family does for the next.

Average accuracy, backward and forward transfer (Lopez-Paz & Ranzato, 2017, "Gradient episodic
memory for continual learning") and forgetting (Chaudhry et al., 2018, "Riemannian walk for
incremental learning") are worked out for every seed, and given as means over seeds.

A family that was not seen before: how fast is it learnt, from which start? For each family in turn
the starts are learnt on the other four: meta-learnt, or jointly, for as many episodes; a fresh
start knows nothing. Then all learn the family that is left, one episode a step. The held-out
problems of all five families together are the sample.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from statistics import fmean

from arena import FAMILIES
from arena.crossed import crossed_accuracy, difference
from arena.statistics import holm, mean_interval
from learner import wording
from learner.experiments.estimates import Arm, Effect, final, of_table, versus
from learner.experiments.results import Results
from learner.experiments.settings import STARTS, Experiment
from learner.experiments.starts import EPISODES_PER_FAMILY
from learner.report.study import Study

_MEASURES = {
    "average_accuracy": "accuracy on all families in the end",
    "backward": "backward transfer: how later families changed earlier ones",
    "forward": "forward transfer: how earlier families changed later ones, before they were learnt",
    "forgetting": "forgetting: how far each fell from its best",
}


def sequence_arm(study: Study, chat: bool) -> Arm:
    """The families one after another, for as many episodes in all as everything else."""
    name = f"families in sequence, {'chat' if chat else 'plain'}"
    return study.arm(name, sequence_experiment(study, chat))


def sequence_experiment(study: Study, chat: bool) -> Experiment:
    """What `sequence_arm` runs. Raises ValueError if the study's scale is too small for it."""
    return study.best(
        chat, order="sequence", eval_interval=study.scale.episodes, validation_problems=0
    )


def sequence_text(arm: Arm, mixed: Arm) -> str:
    """The measures, the table of accuracies they come from, and the same episodes mixed."""
    rows = [["measure", "mean over seeds (points)"]]
    for name, meaning in _MEASURES.items():
        mean = mean_interval([run.continual[name] * 100 for run in arm.runs])
        sign = "" if name == "average_accuracy" else "+"
        shown = (f"{value:{sign}.1f}" for value in (mean.mean, *astuple(mean.interval)))
        rows.append([meaning, "{} [{}, {}], n = {}".format(*shown, mean.n)])
    change = versus(arm, mixed, final)
    clear = change.interval.low > 0 or change.interval.high < 0
    return (
        f"{wording.table(rows)}\n\nAccuracy on each family after each was learnt, means over seeds "
        f"(untrained in the first row):\n\n{_matrix(arm)}\n\nAgainst the same number of episodes "
        f"of all families mixed: {change.points} points, "
        f"{wording.p_value(change.p_value)}"
        f"{'.' if clear else ': no difference shown.'}"
    )


def _matrix(arm: Arm) -> str:
    experiment = arm.runs[0].experiment
    assert experiment is not None
    families = experiment.families
    rows = [["after", *(family.replace("_", " ") for family in families)]]
    for name, end in zip(("nothing", *families), (0, *experiment.phase_ends), strict=True):
        shares = [_by_family(run, end) for run in arm.runs]
        cells = [f"{fmean(share[family] for share in shares) * 100:.0f} %" for family in families]
        rows.append([name.replace("_", " "), *cells])
    return wording.table(rows)


def _by_family(run: Results, episodes: int) -> dict[str, float]:
    assert run.experiment is not None
    families = [problem.family for problem in run.experiment.problems()]
    then = next(score for score in run.curve if score.episodes == episodes)
    return {name: tally.accuracy for name, tally in then.by(families).items()}


# --- a family that was not seen before ---

MEASURED = (0, 1, 5, 20)  # episodes

Table = list[list[float]]


@dataclass(frozen=True)
class Start:
    """What became of one start: right (1) or wrong (0) at each milestone, by seed and problem."""

    name: str
    tables: Mapping[int, Table]


def learn_unseen(study: Study, chat: bool) -> list[Start]:
    """Each start, on each family in turn."""
    plain = study.best(
        chat,
        episodes=MEASURED[-1],
        eval_at=MEASURED[1:],
        eval_problems=max(2, study.scale.problems // len(FAMILIES)),
        validation_problems=0,
    ).with_config(episodes_per_step=1)
    starts = []
    for name in STARTS:
        runs = study.together(
            f"unseen family, {name} start, {'chat' if chat else 'plain'}",
            [replace(plain, families=(family,), start=name) for family in FAMILIES],
        )
        starts.append(Start(name, {episodes: _by_seed(runs, episodes) for episodes in MEASURED}))
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
        (other, episodes): of_table(
            difference(by_name["meta"].tables[episodes], by_name[other].tables[episodes])
        )
        for other in ("fresh", "joint")
        for episodes in MEASURED[1:]
    }
    corrected = holm([item.p_value for item in compared.values()])
    for (key, item), p_value in zip(compared.items(), corrected, strict=True):
        lines.append(f"- meta against {key[0]}, after {key[1]}: {_compared_words(item, p_value)}")
    seeds, problems = len(starts[0].tables[0]), len(starts[0].tables[0][0])
    lines.append(
        f"\n{seeds} seeds, {problems} problems; meta and joint starts saw {EPISODES_PER_FAMILY} "
        "episodes of each other family. P-values after Holm's correction."
    )
    return "\n".join(lines)


def _by_seed(runs: Sequence[Sequence[Results]], episodes: int) -> Table:
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


def _compared_words(item: Effect, p_value: float) -> str:
    return f"{item.points} points, {wording.p_value(p_value)}"
