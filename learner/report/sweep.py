"""Which settings hold: each changed by itself, chosen among in validation, then looked at once.

Nothing here is chosen by what the held-out problems say: of all settings and lengths of training
the steadiest in validation is looked at there, against the model alone and against the default.
If even that one gains nothing, what is left to gain is less than its interval says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, stdev

from learner import wording
from learner.experiments.estimates import Arm, Effect, Estimate, alone, effect
from learner.experiments.results import Results
from learner.measuring import Score
from learner.report.study import Study

LONGER = 4  # times as many episodes, at most
DEFAULT = "default"
CHANGES: Mapping[str, Mapping[str, object]] = {
    DEFAULT: {},
    "learning rate 0.001": {"learning_rate": 1e-3},
    "learning rate 0.003": {"learning_rate": 3e-3},
    "learning rate 0.03": {"learning_rate": 3e-2},
    "started from a text": {"initialiser": "text"},
    "started from a text, learning rate 0.003": {"initialiser": "text", "learning_rate": 3e-3},
    "started from a text, learning rate 0.03": {"initialiser": "text", "learning_rate": 3e-2},
    "4 virtual tokens": {"soft_tokens": 4},
    "16 virtual tokens": {"soft_tokens": 16},
    "32 virtual tokens": {"soft_tokens": 32},
    "64 virtual tokens": {"soft_tokens": 64},
    "1 episode a step": {"episodes_per_step": 1},
    "8 episodes a step": {"episodes_per_step": 8},
}
"""Settings by name: what each changes in the default ones."""


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
class Sweep:
    """All settings, and of one of them what it comes to held out, and gains over the model alone.

    ``chosen`` and ``default`` are the one that validation chose and the default setting after as
    many episodes as everything else; ``ahead`` is what the first is ahead of the other held out.
    """

    settings: tuple[Setting, ...]
    chosen: Setting
    default: Setting
    ahead: Effect

    @staticmethod
    def estimate(setting: Setting) -> Estimate:
        """The held-out accuracy of a setting."""
        return setting.arm.estimate(setting.held_out)

    @staticmethod
    def gain(setting: Setting) -> Effect:
        """What a setting gains over the model alone, held out."""
        runs = setting.arm.runs
        return effect([setting.held_out(run) for run in runs], [alone(runs[0])], paired=True)


def sweep(study: Study, chat: bool) -> Sweep:
    """Try every setting in one format, side by side, and choose in validation."""
    episodes = study.scale.episodes
    longest = episodes * LONGER
    experiment = study.best(chat, episodes=longest, eval_at=(episodes, longest))
    arms = study.together(
        f"settings, {'chat' if chat else 'plain'}",
        [experiment.with_config(**changes) for changes in CHANGES.values()],
    )
    settings = [
        _setting(name, Arm(name, runs), length)
        for name, runs in zip(CHANGES, arms, strict=True)
        for length in (episodes, longest)
    ]
    chosen = max(settings, key=lambda setting: setting.steady)
    default = settings[0]
    ahead = effect(
        [chosen.held_out(run) for run in chosen.arm.runs],
        [default.held_out(run) for run in default.arm.runs],
        paired=True,
    )
    return Sweep(tuple(settings), chosen, default, ahead)


def _setting(name: str, arm: Arm, episodes: int) -> Setting:
    shares = [
        score.accuracy for run in arm.runs for score in run.validation if score.episodes == episodes
    ]
    return Setting(name, arm, episodes, fmean(shares), stdev(shares) / len(shares) ** 0.5)


def sweep_text(found: Sweep) -> str:
    """The finding in Markdown."""
    rows = [["setting", "episodes", "validation accuracy, mean over seeds", "standard error"]]
    for setting in sorted(found.settings, key=lambda setting: -setting.steady):
        share, error = f"{setting.mean * 100:.1f} %", f"{setting.error * 100:.1f}"
        rows.append([setting.name, str(setting.episodes), share, error])
    gain = found.gain(found.chosen)
    if gain.interval.low > 0:
        verdict = "So there is something to gain."
    else:
        verdict = (
            "So none of these settings shows a gain: to what the frozen model can do here, a soft "
            f"prompt adds no more than {gain.interval.high * 100:.1f} points, at the upper end of "
            "the interval."
        )
    return (
        f"Chosen in validation, by the mean less its standard error: {_named(found.chosen)}. "
        f"{_held_out(found, found.chosen)} {verdict}\n\n"
        f"For comparison, {_named(found.default)}: {_held_out(found, found.default)} The chosen "
        f"one is {found.ahead.points} points ahead of it, "
        f"{wording.p_value(found.ahead.p_value)}.\n\n{wording.table(rows)}"
    )


def _named(setting: Setting) -> str:
    return f"{setting.name}, {wording.count(setting.episodes, 'episode')}"


def _held_out(found: Sweep, setting: Setting) -> str:
    estimate, gain = found.estimate(setting), found.gain(setting)
    return (
        f"Held out it reaches {estimate.words}, "
        f"{gain.points} points against the model alone, "
        f"{wording.p_value(gain.p_value)}."
    )
