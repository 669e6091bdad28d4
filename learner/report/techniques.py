"""The techniques: what each changes, and what came of it, against the same learner without it.

Every technique is compared on the same seeds and the same held-out problems, in both formats; its
p-value is corrected (Holm, 1979) for how many are asked at once. A technique that does not help
says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from arena.statistics import SIGNIFICANT, holm
from learner import wording
from learner.experiments.estimates import (
    Arm,
    Effect,
    Estimate,
    alone,
    effect,
    examples_alone,
    final,
    kept,
    versus,
)
from learner.learning.worked_examples import worked_examples
from learner.measuring import Measurement, measured
from learner.report.study import Study, in_format

SHOTS = (1, 2, 4, 8)  # numbers of worked examples tried in validation


@dataclass(frozen=True)
class Finding:
    """One technique in one format: its accuracy, and the difference it made to what."""

    technique: str
    against: str
    chat_template: bool
    estimate: Estimate
    effect: Effect


def findings(study: Study, formats: Sequence[bool]) -> list[Finding]:
    """What came of each technique, in each format (with the chat template?)."""
    return [finding for chat in formats for finding in _in_format(study, chat)]


def verdicts(found: Sequence[Finding]) -> list[str]:
    """A verdict on each, after Holm's correction for all of them."""
    p_values = holm([finding.effect.p_value for finding in found])
    words = []
    for finding, p_value in zip(found, p_values, strict=True):
        difference = finding.effect
        if p_value < SIGNIFICANT:
            words.append("helps" if difference.value > 0 else "harms")
        else:
            most = max(abs(difference.interval.low), abs(difference.interval.high)) * 100
            words.append(f"no difference shown; one above {most:.0f} points is unlikely")
    return words


def findings_table(found: Sequence[Finding]) -> str:
    """The findings in Markdown, with corrected p-values and verdicts."""
    p_values = holm([finding.effect.p_value for finding in found])
    rows = [["technique", "format", "accuracy", "against", "difference", "p (Holm)", "verdict"]]
    for finding, p_value, verdict in zip(found, p_values, verdicts(found), strict=True):
        estimate, difference = finding.estimate, finding.effect
        rows.append(
            [
                finding.technique,
                "chat" if finding.chat_template else "plain",
                estimate.words,
                finding.against,
                difference.points,
                wording.p_value(p_value).removeprefix("p = ").removeprefix("p "),
                verdict,
            ]
        )
    return wording.table(rows)


def default_arm(study: Study, chat: bool) -> Arm:
    """The best settings: what everything is compared with."""
    early = tuple(n for n in (8, 16, 24, 40, 60) if n < study.scale.episodes)
    return study.arm(f"{in_format(chat)}, best", study.best(chat, eval_at=early))


def _in_format(study: Study, chat: bool) -> list[Finding]:
    default, name = default_arm(study, chat), in_format(chat)
    plain = study.best(chat, eval_interval=study.scale.episodes, validation_problems=0)
    many = replace(plain, episodes=study.scale.episodes * len(plain.families))
    arms = {
        "curriculum": replace(plain, order="curriculum"),
        "a prompt per family": replace(plain, per_family=True),
        "a prompt per family, as many episodes each": replace(
            many, per_family=True, eval_interval=many.episodes
        ),
    }
    found = [
        Finding(
            "keep the best in validation",
            "the last prompt",
            chat,
            default.estimate(kept),
            versus(default, default, kept, final),
        )
    ]
    for technique, experiment in arms.items():
        arm = study.arm(f"{name}, {technique}", experiment)
        found.append(
            Finding(
                technique,
                "one prompt, mixed problems",
                chat,
                arm.estimate(final),
                versus(arm, default, final),
            )
        )
    return [*found, *_few_shot(study, chat, default)]


def _few_shot(study: Study, chat: bool, default: Arm) -> list[Finding]:
    """Worked examples alone and with the soft prompt, as many as did best in validation."""
    shots = best_shots(study, chat)
    last_only = study.best(chat, eval_interval=study.scale.episodes, validation_problems=0)
    name = f"{in_format(chat)}, {wording.count(shots, 'worked example')}"
    arm = study.arm(name, last_only.with_config(shots=shots))
    without = Arm("examples alone", arm.runs[:1])
    return [
        Finding(
            f"{wording.count(shots, 'worked example')}, no soft prompt",
            "the model alone",
            chat,
            without.estimate(examples_alone),
            effect([examples_alone(arm.runs[0])], [alone(arm.runs[0])], paired=True),
        ),
        Finding(
            f"{wording.count(shots, 'worked example')} and the soft prompt",
            "the soft prompt",
            chat,
            arm.estimate(final),
            versus(arm, default, final),
        ),
    ]


def best_shots(study: Study, chat: bool) -> int:
    """The number of worked examples that the model alone does best with in validation."""
    problems = study.best(chat).problems("validation")
    wanted = [Measurement(problems, chat, examples=worked_examples(shots)) for shots in SHOTS]
    rights = [score.correct for score in measured(study.engine.answers, wanted)]
    return SHOTS[rights.index(max(rights))]
