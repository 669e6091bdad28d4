"""Which settings hold: each changed by itself, chosen among in validation, then looked at once.

Nothing here is chosen by what the held-out problems say: of all settings and lengths of training
the steadiest in validation is trained once more and looked at there, against the model alone and
against the default. If it gains nothing, its interval says how much that may still be; of what was
not tried, longer training or the same problems again, it says nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from learner import wording
from learner.experiments.estimates import Arm, Effect, Estimate, alone, effect, final
from learner.experiments.results import Results
from learner.experiments.settings import Experiment
from learner.report.study import Study, in_format

LEAST = 2  # held-out problems that a run is measured on at all
DEFAULT = "default"
CLASS_WORDS = "Yes No number name colour pet drink fruit"  # what kinds of answer there are
CHANGES: Mapping[str, Mapping[str, object]] = {
    DEFAULT: {},
    "learning rate 0.001": {"learning_rate": 1e-3},
    "learning rate 0.003": {"learning_rate": 3e-3},
    "learning rate 0.03": {"learning_rate": 3e-2},
    "started from a text": {"initialiser": "text"},
    "started from a text, learning rate 0.003": {"initialiser": "text", "learning_rate": 3e-3},
    "started from a text, learning rate 0.03": {"initialiser": "text", "learning_rate": 3e-2},
    "started from class words": {"initialiser": "text", "init_text": CLASS_WORDS},
    "4 virtual tokens": {"soft_tokens": 4},
    "16 virtual tokens": {"soft_tokens": 16},
    "32 virtual tokens": {"soft_tokens": 32},
    "64 virtual tokens": {"soft_tokens": 64},
    "1 episode a step": {"episodes_per_step": 1},
    "8 episodes a step": {"episodes_per_step": 8},
    "end token weighs 0.3": {"end_weight": 0.3},
    "end token weighs 3": {"end_weight": 3.0},
    "learning rate falling to 0": {"annealing": True},
    "learning rate 0.03, falling to 0": {"annealing": True, "learning_rate": 3e-2},
}
"""Settings by name: what each changes in the default ones, of the learner or of the run."""


@dataclass(frozen=True)
class Setting:
    """One setting, after so many episodes: validation accuracy over seeds."""

    name: str
    episodes: int
    mean: float
    error: float  # standard error of the mean over seeds

    @property
    def steady(self) -> float:
        """What it is chosen by: the mean less its standard error, because steady beats lucky."""
        return self.mean - self.error


@dataclass(frozen=True)
class Look:
    """What a setting comes to on the held-out problems."""

    setting: Setting
    arm: Arm

    @property
    def estimate(self) -> Estimate:
        """Its accuracy."""
        return self.arm.estimate(final)

    @property
    def gain(self) -> Effect:
        """What it gains over the model alone."""
        runs = self.arm.runs
        return effect([final(run) for run in runs], [alone(runs[0])], paired=True)

    def ahead_of(self, other: "Look") -> Effect:
        """What it is ahead of another one."""
        ours, theirs = ([final(run) for run in look.arm.runs] for look in (self, other))
        return effect(ours, theirs, paired=True)


@dataclass(frozen=True)
class Sweep:
    """All settings, and two that were looked at: what validation chose, and the default one.

    The default is looked at after as many episodes as everything else in the report.
    """

    settings: tuple[Setting, ...]
    chosen: Look
    default: Look


def sweep(study: Study, chat: bool) -> Sweep:
    """Try every setting in one format, side by side, and choose in validation."""
    episodes = study.scale.episodes
    lengths = sorted({episodes, episodes * study.scale.longer})
    experiment = study.best(chat, episodes=lengths[-1], eval_at=tuple(lengths), eval_problems=LEAST)
    arms = study.together(
        f"settings, {'chat' if chat else 'plain'}",
        [_changed(experiment, name) for name in CHANGES],
        [*CHANGES],
    )
    settings = [
        _setting(changed, runs, length)
        for changed, runs in zip(CHANGES, arms, strict=True)
        for length in lengths
    ]
    steadiest = max(settings, key=lambda setting: setting.steady)
    return Sweep(tuple(settings), _look(study, chat, steadiest), _look(study, chat, settings[0]))


def _changed(experiment: Experiment, name: str) -> Experiment:
    changes = dict(CHANGES[name])
    annealing = bool(changes.pop("annealing", False))
    return replace(experiment, annealing=annealing).with_config(**changes)


def _look(study: Study, chat: bool, setting: Setting) -> Look:
    """Train a setting once more, and measure it held out."""
    episodes = setting.episodes
    experiment = study.best(chat, episodes=episodes, eval_at=(episodes,), validation_problems=0)
    name = f"{setting.name}, {in_format(chat)}, after {episodes}"
    return Look(setting, study.arm(name, _changed(experiment, setting.name)))


def _setting(name: str, runs: Sequence[Results], episodes: int) -> Setting:
    shares = [
        score.accuracy for run in runs for score in run.validation if score.episodes == episodes
    ]
    return Setting(name, episodes, fmean(shares), stdev(shares) / len(shares) ** 0.5)


def sweep_text(found: Sweep) -> str:
    """The finding in Markdown."""
    rows = [["setting", "episodes", "validation accuracy, mean over seeds", "standard error"]]
    for setting in sorted(found.settings, key=lambda setting: -setting.steady):
        share, error = f"{setting.mean * 100:.1f} %", f"{setting.error * 100:.1f}"
        rows.append([setting.name, str(setting.episodes), share, error])
    gain = found.chosen.gain
    if gain.interval.low > 0:
        verdict = "So there is something to gain."
    else:
        verdict = (
            "So even this one shows no gain: what it adds to what the frozen model can do is no "
            f"more than {gain.interval.high * 100:.1f} points, at the upper end of the interval."
        )
    ahead = found.chosen.ahead_of(found.default)
    return (
        f"Chosen in validation, by the mean less its standard error: {_named(found.chosen)}. "
        f"{_held_out(found.chosen)} {verdict}\n\n"
        f"For comparison, {_named(found.default)}: {_held_out(found.default)} The chosen "
        f"one is {ahead.points} points ahead of it, "
        f"{wording.p_value(ahead.p_value)}.\n\n{wording.table(rows)}"
    )


def _named(look: Look) -> str:
    return f"{look.setting.name}, {wording.count(look.setting.episodes, 'episode')}"


def _held_out(look: Look) -> str:
    return (
        f"Held out it reaches {look.estimate.words}, "
        f"{look.gain.points} points against the model alone, "
        f"{wording.p_value(look.gain.p_value)}."
    )
