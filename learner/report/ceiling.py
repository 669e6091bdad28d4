"""With the template: is there anything that a soft prompt can add to what the frozen model does?

Settings are chosen on validation problems, among several learning rates, initialisers and lengths
of training; only the chosen one is then looked at on the held-out problems. If even that one is no
better there than the model alone, what is left to gain is less than its interval says.
"""

from dataclasses import dataclass
from itertools import product
from statistics import fmean, stdev

from learner import wording
from learner.experiments.estimates import Arm, Effect, Estimate, alone, effect
from learner.experiments.results import Results
from learner.measuring import Score
from learner.report.bench import Bench, with_config

LEARNING_RATES = (1e-3, 3e-3, 1e-2)
INITIALISERS = ("vocabulary", "text")
LONGER = 4  # times as many episodes, at most


@dataclass(frozen=True)
class Setting:
    """One setting, after so many episodes: validation accuracy over seeds, and its arm."""

    name: str
    arm: Arm
    episodes: int
    mean: float
    error: float  # standard error of the mean over seeds

    @property
    def steady(self) -> float:
        """What it is chosen by: the mean less its standard error, because steady beats lucky."""
        return self.mean - self.error

    def held_out(self, run: Results) -> Score:
        """The held-out score of one of its runs at these episodes."""
        return next(score for score in run.curve if score.episodes == self.episodes)


@dataclass(frozen=True)
class Ceiling:
    """What validation chose, and what it gained over the model alone on the held-out problems."""

    settings: tuple[Setting, ...]
    chosen: Setting
    estimate: Estimate
    effect: Effect


def ceiling(bench: Bench, chat: bool = True) -> Ceiling:
    """Try every setting, choose in validation, and look at the chosen one held out."""
    episodes = bench.scale.episodes
    settings = []
    for rate, initialiser in product(LEARNING_RATES, INITIALISERS):
        longest = episodes * LONGER
        experiment = bench.best(chat, episodes=longest, eval_at=(episodes, longest))
        experiment = with_config(experiment, learning_rate=rate, initialiser=initialiser)
        arm = bench.arm(f"ceiling, {initialiser}, {rate:g}", experiment)
        for length in (episodes, longest):
            shares = [
                score.accuracy
                for run in arm.runs
                for score in run.validation
                if score.episodes == length
            ]
            error = stdev(shares) / len(shares) ** 0.5
            name = f"{initialiser}, learning rate {rate:g}, {length} episodes"
            settings.append(Setting(name, arm, length, fmean(shares), error))
    chosen = max(settings, key=lambda setting: setting.steady)
    runs = chosen.arm.runs
    return Ceiling(
        tuple(settings),
        chosen,
        chosen.arm.estimate(chosen.held_out),
        effect([chosen.held_out(run) for run in runs], [alone(runs[0])], paired=True),
    )


def ceiling_text(found: Ceiling) -> str:
    """The finding in Markdown."""
    rows = [["setting", "validation accuracy, mean over seeds", "standard error"]]
    for setting in sorted(found.settings, key=lambda setting: -setting.steady):
        rows.append([setting.name, f"{setting.mean * 100:.1f} %", f"{setting.error * 100:.1f}"])
    difference = found.effect
    if difference.interval.low > 0:
        verdict = "So there is something to gain with the template."
    else:
        verdict = (
            "So none of these settings shows a gain with the template: of what the frozen model "
            f"can do there, a soft prompt adds no more than {difference.interval.high * 100:.1f} "
            "points, at the upper end of the interval."
        )
    return (
        f"Chosen in validation, by the mean less its standard error: {found.chosen.name}. Held "
        f"out it reaches {wording.accuracy(found.estimate.value, found.estimate.interval)}, "
        f"{wording.change(difference.value, difference.interval)} points against the model alone, "
        f"{wording.p_value(difference.p_value)}. {verdict}\n\n{wording.table(rows)}"
    )
