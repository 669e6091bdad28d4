"""Answer key, reward, or both: what the learner is told, compared by episodes and by seconds.

Beside accuracy stands what tells a learner that improves from one that collapses or games its
grader: how many samples are right, at how many problems they disagree and so teach something, the
policy's entropy, their length, and how many give no answer.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from arena.statistics import Interval, mean_interval
from learner import wording
from learner.experiments.estimates import Arm, milestone, versus
from learner.experiments.problem_order import Episode
from learner.experiments.results import Results
from learner.learning.signals import SIGNALS
from learner.report.study import Study

LONGER = 3  # times as many episodes: a verdict tells less than an answer
NEAR = 0.9  # of the templated accuracy
WINDOW = 5  # steps that samples are told over, at the start and at the end


@dataclass(frozen=True)
class Measure:
    """Something that samples have: its name, its value over episodes, and how that is written.

    No value is below 0 or above ``most``.
    """

    name: str
    value: Callable[[Sequence[Episode]], float]
    most: float
    shown: Callable[[float, Interval], str]

    def cell(self, seeds: Sequence[Sequence[Episode]]) -> str:
        """The mean over seeds with its 95 % t-interval, of the episodes of each."""
        found = mean_interval([self.value(episodes) for episodes in seeds])
        low, high = max(0.0, found.interval.low), min(self.most, found.interval.high)
        return self.shown(found.mean, Interval(low, high))


def signal_arms(study: Study, chat: bool) -> dict[str, Arm]:
    """The same learner told each of the signals."""
    episodes = study.scale.episodes
    experiment = study.best(
        chat,
        episodes=episodes * LONGER,
        eval_at=tuple(max(1, episodes * half // 2) for half in (1, 2, 4)),
        validation_problems=0,
    )
    return {
        signal: study.arm(
            f"{signal}, {'chat' if chat else 'plain'}", experiment.with_config(signal=signal)
        )
        for signal in SIGNALS
    }


def signals_text(arms: Mapping[str, Arm]) -> str:
    """The comparison in Markdown, at every milestone."""
    milestones = [score.episodes for score in arms["answer"].runs[0].curve]
    rows = [["told", *(f"after {n}" for n in milestones), "seconds a seed", "against the answer"]]
    for signal, arm in arms.items():
        cells = []
        for place in range(len(milestones)):
            estimate = arm.estimate(milestone(place))
            cells.append(estimate.words)
        against = "–"
        if signal != "answer":
            change = versus(arm, arms["answer"], milestone(-1))
            against = change.words
        seconds = arm.runs[0].training_seconds / len(arm.runs)  # the seeds share their passes
        rows.append([signal, *cells, f"{seconds:.1f}", against])
    return wording.table(rows)


def samples_text(arms: Mapping[str, Arm]) -> str:
    """What was sampled at the start and at the end, for the arms of which it is known."""
    known = {signal: arm for signal, arm in arms.items() if all(run.sampled for run in arm.runs)}
    if not known:
        return "What was sampled was not kept."
    rows = [["told", "steps", *(measure.name for measure in MEASURES)]]
    taken = []
    for signal, arm in known.items():
        for name, ends in (("first", _first), ("last", _last)):
            seeds = [ends(run) for run in arm.runs]
            cells = [measure.cell(seeds) for measure in MEASURES]
            rows.append([signal, f"{name} {WINDOW}", *cells])
        steps = [_steps_taken(run) for run in arm.runs]
        tried = max(run.sampled[-1].step for run in arm.runs)
        taken.append(f"{signal} {', '.join(map(str, steps))} of {tried}")
    runs = next(iter(known.values())).runs  # the arms differ in the signal alone
    return (
        f"What was sampled, {_asked(runs[0])}: the mean over {wording.count(len(runs), 'seed')}, "
        f"with its 95 % t-interval (Student, 1908).\n\n{wording.table(rows)}\n\n"
        "From a reward alone no step is taken where the samples of every problem agree. Steps "
        f"taken, seed by seed: {'; '.join(taken)}."
    )


def reached_text(arm: Arm, templated: float) -> str:
    """How many seeds of an arm came near the templated accuracy, and after how many episodes."""
    first = [
        next((s.episodes for s in run.curve if s.accuracy >= NEAR * templated), None)
        for run in arm.runs
    ]
    there = sorted(episodes for episodes in first if episodes is not None)
    words = (
        f"{len(there)} of {len(first)} seeds reached {NEAR:.0%} of the templated accuracy "
        f"({templated * 100:.1f} %)"
    )
    return f"{words}, after {', '.join(map(str, there))} episodes." if there else f"{words}."


def _entropy(episodes: Sequence[Episode]) -> float:
    """Over tokens, of which longer samples have more; every problem has as many samples."""
    tokens = sum(episode.length for episode in episodes)
    return sum(episode.entropy * episode.length for episode in episodes) / tokens


MEASURES = (
    Measure("samples right", lambda many: fmean(one.reward for one in many), 1.0, wording.accuracy),
    Measure(
        "problems where samples disagree",
        lambda many: fmean(one.disagreed for one in many),
        1.0,
        wording.accuracy,
    ),
    Measure("entropy, nats a token", _entropy, math.inf, wording.quantity),
    Measure(
        "length, tokens",
        lambda many: fmean(one.length for one in many),
        math.inf,
        wording.quantity,
    ),
    Measure(
        "samples without an answer",
        lambda many: fmean(one.no_answer for one in many),
        1.0,
        wording.accuracy,
    ),
)


def _first(run: Results) -> list[Episode]:
    """The episodes of the first steps that sampled."""
    return _of_steps(run, slice(None, WINDOW))


def _last(run: Results) -> list[Episode]:
    """Those of the last ones."""
    return _of_steps(run, slice(-WINDOW, None))


def _of_steps(run: Results, chosen: slice) -> list[Episode]:
    steps = sorted({episode.step for episode in run.sampled})[chosen]
    return [episode for episode in run.sampled if episode.step in steps]


def _steps_taken(run: Results) -> int:
    return len({episode.step for episode in run.sampled if episode.accepted})


def _asked(run: Results) -> str:
    assert run.experiment is not None, "only runs of this program sample"
    config = run.experiment.config
    return (
        f"{wording.count(config.episodes_per_step, 'problem')} a step, "
        f"{config.samples_per_problem} samples each"
    )
