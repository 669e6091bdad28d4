"""Families learnt one after another: what is remembered, and what one family does for the next.

Average accuracy, backward and forward transfer (Lopez-Paz & Ranzato, 2017, "Gradient episodic
memory for continual learning") and forgetting (Chaudhry et al., 2018, "Riemannian walk for
incremental learning") are worked out for every seed, and given as means over seeds.
"""

from dataclasses import astuple
from statistics import fmean

from arena.statistics import mean_interval
from learner import wording
from learner.experiments.estimates import Arm, final, versus
from learner.experiments.results import Results
from learner.report.bench import Bench

_MEASURES = {
    "average_accuracy": "accuracy on all families in the end",
    "backward": "backward transfer: how later families changed earlier ones",
    "forward": "forward transfer: how earlier families changed later ones, before they were learnt",
    "forgetting": "forgetting: how far each fell from its best",
}


def sequence_arm(bench: Bench, chat: bool) -> Arm:
    """The families one after another, for as many episodes in all as everything else."""
    experiment = bench.best(
        chat, order="sequence", eval_interval=bench.scale.episodes, validation_problems=0
    )
    return bench.arm(f"families in sequence, {'chat' if chat else 'plain'}", experiment)


def sequence_text(arm: Arm, mixed: Arm) -> str:
    """The measures, the table of accuracies they come from, and the same episodes mixed."""
    rows = [["measure", "mean over seeds (points)"]]
    for name, meaning in _MEASURES.items():
        mean = mean_interval([run.continual[name] * 100 for run in arm.runs])
        sign = "" if name == "average_accuracy" else "+"
        shown = (f"{value:{sign}.1f}" for value in (mean.mean, *astuple(mean.interval)))
        rows.append([meaning, "{} [{}, {}], n = {}".format(*shown, mean.n)])
    difference = versus(arm, mixed, final)
    clear = difference.interval.low > 0 or difference.interval.high < 0
    return (
        f"{wording.table(rows)}\n\nAccuracy on each family after each was learnt, means over seeds "
        f"(untrained in the first row):\n\n{_matrix(arm)}\n\nAgainst the same number of episodes "
        f"of all families mixed: {wording.change(difference.value, difference.interval)} points, "
        f"{wording.p_value(difference.p_value)}"
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
