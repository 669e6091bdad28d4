"""Answer key, reward, or both: what the learner is told, compared by episodes and by seconds."""

from collections.abc import Mapping

from learner.experiments import wording
from learner.experiments.bench import Bench, with_config
from learner.experiments.estimates import Arm, Which, versus
from learner.soft_prompt import SIGNALS

LONGER = 3  # times as many episodes: a verdict tells less than an answer
NEAR = 0.9  # of the templated accuracy


def signal_arms(bench: Bench, chat: bool) -> dict[str, Arm]:
    """The same learner told each of the signals."""
    episodes = bench.scale.episodes
    experiment = bench.best(
        chat,
        episodes=episodes * LONGER,
        eval_at=tuple(max(1, episodes * half // 2) for half in (1, 2, 4)),
        validation_problems=0,
    )
    return {
        signal: bench.arm(
            f"{signal}, {'chat' if chat else 'plain'}", with_config(experiment, signal=signal)
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
            cells.append(wording.accuracy(estimate.value, estimate.interval))
        against = "–"
        if signal != "answer":
            change = versus(arm, arms["answer"], milestone(-1))
            against = (
                f"{wording.change(change.value, change.interval)}, "
                f"{wording.p_value(change.p_value)}"
            )
        seconds = arm.runs[0].training_seconds / len(arm.runs)  # the seeds share their passes
        rows.append([signal, *cells, f"{seconds:.1f}", against])
    return wording.table(rows)


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


def milestone(place: int) -> Which:
    """The score at the n-th milestone of a run."""
    return lambda run: run.curve[place]
