"""Answer key, reward, or both: what learning from each looks like, step by step.

    python -m learner.signals                                      five seeds, both formats
    python -m learner.signals --formats plain --signals reward --learning-rates 3e-3 1e-2 3e-2
    python -m learner.signals --json signals.json

Every learner starts from the vocabulary and meets problems of its own; seeds share passes, and a
step's seconds are those of one learner alone. Accuracy is greedy, on the fixed held-out problems,
as a mean over seeds with its t-interval (Student, 1908). Where several learning rates are given
they are compared on the validation split, which chooses nothing else.

Beside accuracy stands what tells a learner that improves from one that collapses or games its
grader: the policy's entropy, the share of problems at which samples disagree and so teach
something, their length, and how many give no answer.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import fmean, median

from arena import Problem, held_out, stream
from arena.statistics import mean_interval, wilson
from learner.atomic_folder import write_file
from learner.base_model import DTYPES, POCKET, BaseModel, ModelError, load_base_model
from learner.evaluation import answers_of, evaluate
from learner.soft_prompt import SIGNALS, Learner, LearnerConfig, StepRecord, new_learner
from learner.training import train_step, train_steps

FORMATS = {"plain": False, "chat": True}
MEASURED_AT = (5, 10, 20, 30, 40, 60)  # steps
TIMED = 5  # steps of one learner alone
NEAR = 0.9  # of the templated accuracy of the model alone
WINDOW = 5  # steps that the samples are summed up over, at the start and at the end
SPLITS = ("held-out", "validation")


@dataclass(frozen=True)
class Arm:
    """What is compared: a signal in a format, at a learning rate, over so many seeds and steps."""

    signal: str
    chat_template: bool
    learning_rate: float = LearnerConfig().learning_rate
    seeds: int = 5
    steps: int = 60

    @property
    def name(self) -> str:
        where = "with template" if self.chat_template else "without template"
        return f"{self.signal}, {where}, learning rate {self.learning_rate:g}"


@dataclass(frozen=True)
class Stretch:
    """The samples of a few neighbouring steps, over all seeds; zeros where nothing was sampled."""

    reward: float
    entropy: float  # nats a token
    with_signal: float  # share of problems at which samples disagreed
    length: float  # tokens
    no_answer: float  # share of samples


@dataclass(frozen=True)
class Curve:
    """How an arm went.

    ``accuracy`` maps steps to one accuracy a seed; ``first`` and ``last`` are what was sampled at
    both ends, and ``taken`` counts the steps that were taken, of those that were tried, a seed.
    """

    arm: Arm
    problems: int
    accuracy: dict[int, tuple[float, ...]]
    seconds_a_step: float
    taken: tuple[int, ...]
    first: Stretch
    last: Stretch

    def seeds_reaching(self, accuracy: float) -> int:
        """How many seeds came to this accuracy at some measurement."""
        best = (max(values) for values in zip(*self.accuracy.values(), strict=True))
        return sum(value >= accuracy for value in best)


def learn(
    base_model: BaseModel,
    arm: Arm,
    problems: Sequence[Problem],
    measured_at: Sequence[int] = MEASURED_AT,
) -> Curve:
    """Train every seed of an arm, side by side, and measure it on ``problems`` as it goes."""
    config = LearnerConfig(
        signal=arm.signal, chat_template=arm.chat_template, learning_rate=arm.learning_rate
    )
    learners = [new_learner(base_model, _with_seed(config, seed)) for seed in range(arm.seeds)]
    lessons = [stream(seed, "train") for seed in range(arm.seeds)]
    accuracy = {0: _accuracies(base_model, learners, problems)}
    for step in range(1, arm.steps + 1):
        batches = [_next(lesson, config) for lesson in lessons]
        stepped = train_steps(base_model, list(zip(learners, batches, strict=True)))
        learners = [learner for learner, _ in stepped]
        if step in measured_at or step == arm.steps:
            accuracy[step] = _accuracies(base_model, learners, problems)
    return Curve(
        arm=arm,
        problems=len(problems),
        accuracy=accuracy,
        seconds_a_step=_seconds_alone(base_model, learners[0], lessons[0]),
        taken=tuple(learner.steps for learner in learners),
        first=_stretch([record for one in learners for record in one.history[:WINDOW]]),
        last=_stretch([record for one in learners for record in one.history[-WINDOW:]]),
    )


def table(curves: Sequence[Curve]) -> str:
    """One block an arm: accuracy and seconds by steps, then what was sampled at both ends."""
    return "\n\n".join(map(_block, curves))


def verdict(curve: Curve, templated: float) -> str:
    """How many seeds came near the templated accuracy of the model alone."""
    there = curve.seeds_reaching(NEAR * templated)
    return (
        f"{curve.arm.name}: {there} of {curve.arm.seeds} seeds reached {NEAR:.0%} of the templated "
        f"accuracy of the model alone ({templated:.1%} of {curve.problems} problems) "
        f"within {curve.arm.steps} steps."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the comparison; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        base_model = load_base_model(options.model, options.device, options.dtype)
        rates = options.learning_rates or [LearnerConfig().learning_rate]
        split = SPLITS[len(rates) > 1]
        problems = held_out(options.problems, split=split)
        print(f"{len(problems)} {split} problems, {options.seeds} seeds\n")
        curves = []
        for chat_template in (FORMATS[name] for name in options.formats):
            for signal in options.signals:
                for rate in rates:
                    arm = Arm(signal, chat_template, rate, options.seeds, options.steps)
                    curves.append(learn(base_model, arm, problems))
                    print(table(curves[-1:]), end="\n\n", flush=True)
        if base_model.has_chat_template:
            alone = evaluate(answers_of(base_model), problems, chat_template=True)
            plain = [one for one in curves if not one.arm.chat_template]
            print("\n".join(verdict(one, alone.accuracy) for one in plain))
    except (ModelError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.json:
        write_file(json.dumps([asdict(one) for one in curves], indent=2).encode(), options.json)
    return 0


def _parser() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(
        prog="python -m learner.signals", description=(__doc__ or "").split("\n")[0]
    )
    add = flags.add_argument
    add("--model", default=POCKET, help="embedded model (pocket), a folder or a Hub id")
    add("--device", default="auto", help="auto, cpu or cuda")
    add("--dtype", default="auto", choices=["auto", *DTYPES])
    add("--signals", nargs="+", choices=SIGNALS, default=list(SIGNALS))
    add("--formats", nargs="+", choices=list(FORMATS), default=list(FORMATS))
    add("--learning-rates", nargs="+", type=float, help="several: compared on validation problems")
    add("--seeds", type=int, default=5)
    add("--steps", type=int, default=60)
    add("--problems", type=int, default=200, help="that accuracy is measured on")
    add("--json", type=Path, help="also write the curves to this file")
    return flags


def _with_seed(config: LearnerConfig, seed: int) -> LearnerConfig:
    return replace(config, seed=seed)


def _next(lessons: Iterator[Problem], config: LearnerConfig) -> list[Problem]:
    return list(islice(lessons, config.episodes_per_step))


def _accuracies(
    base_model: BaseModel, learners: Sequence[Learner], problems: Sequence[Problem]
) -> tuple[float, ...]:
    answer = answers_of(base_model)
    return tuple(
        evaluate(answer, problems, learner.prompt, learner.config.chat_template).accuracy
        for learner in learners
    )


def _seconds_alone(base_model: BaseModel, learner: Learner, lessons: Iterator[Problem]) -> float:
    """The median time of a step of one learner alone; none of them is kept."""
    taken = []
    for _ in range(TIMED):
        batch = _next(lessons, learner.config)
        began = time.perf_counter()
        train_step(base_model, learner, batch)
        taken.append(time.perf_counter() - began)
    return median(taken)


def _stretch(records: Sequence[StepRecord]) -> Stretch:
    sampled = [record for record in records if record.samples]
    if not sampled:
        return Stretch(0.0, 0.0, 0.0, 0.0, 0.0)
    return Stretch(
        reward=fmean(record.reward for record in sampled),
        entropy=fmean(record.entropy for record in sampled),
        with_signal=fmean(record.with_signal for record in sampled),
        length=fmean(record.length for record in sampled),
        no_answer=fmean(record.no_answer / record.samples for record in sampled),
    )


def _block(curve: Curve) -> str:
    lines = [f"{curve.arm.name} ({1000 * curve.seconds_a_step:.0f} ms a step of one learner)"]
    for step, values in curve.accuracy.items():
        lines.append(
            f"  {step:>4} steps {step * curve.seconds_a_step:7.1f} s   {_mean(curve, values)}   "
            f"each seed: {' '.join(f'{100 * value:.1f}' for value in values)}"
        )
    if curve.last.reward or curve.first.reward:
        first, last = curve.first, curve.last
        lines += [
            f"  samples of the first {WINDOW} steps taken, and of the last {WINDOW}: "
            f"reward {first.reward:.2f} → {last.reward:.2f}; "
            f"entropy {first.entropy:.2f} → {last.entropy:.2f} nats a token; "
            f"problems with signal {first.with_signal:.0%} → {last.with_signal:.0%};",
            f"  length {first.length:.1f} → {last.length:.1f} tokens; "
            f"no answer {first.no_answer:.0%} → {last.no_answer:.0%}; "
            f"steps taken of {curve.arm.steps} tried: {', '.join(map(str, curve.taken))}",
        ]
    return "\n".join(lines)


def _mean(curve: Curve, values: Sequence[float]) -> str:
    """Accuracy with its 95 % interval: over seeds, or of one seed over problems."""
    if len(values) > 1:
        found = mean_interval(values)
        mean, interval = found.mean, found.interval
    else:
        mean = values[0]
        interval = wilson(round(mean * curve.problems), curve.problems)
    return f"{mean:6.1%} [{max(0.0, interval.low):.1%}, {min(1.0, interval.high):.1%}]"


if __name__ == "__main__":
    sys.exit(main())
