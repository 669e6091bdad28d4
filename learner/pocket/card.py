"""Measure the embedded model and write its card: ``python -m learner.pocket.card``.

Settings are chosen on validation problems and reported on held-out ones. Every accuracy is greedy
decoding graded by ``arena.grade``; every number in ``assets/pocket/README.md`` comes from here.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import islice, product
from pathlib import Path
from statistics import mean

from tqdm import tqdm

from arena import FAMILIES, held_out, stream
from arena.command_line import run_command
from arena.statistics import mcnemar_exact
from learner.learning.learner import INITIALISERS, Learner, LearnerConfig, new_learner
from learner.learning.training import train_steps
from learner.measuring import Measurement, Score, answers_of, behind, measured
from learner.model.base_model import BaseModel
from learner.model.loading import load_base_model
from learner.model.source import POCKET_FOLDER

EPISODES = 80
SEEDS = range(5)
LEARNING_RATES = (1e-3, 1e-2, 3e-2, 1e-1)
EPISODES_PER_STEP = (1, 4, 8)

FRONT_MATTER = """\
---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
tags: [soft-prompt, prompt-tuning, demonstration]
---
"""


def teach(base_model: BaseModel, configs: Sequence[LearnerConfig]) -> list[Learner]:
    """Teach one fresh learner per config for ``EPISODES`` episodes, all in merged passes.

    All configs must take the same number of episodes a step. Each learner meets the train stream
    of its own seed, as it would alone.
    """
    learners = [new_learner(base_model, config) for config in configs]
    lessons = [stream(config.seed, "train") for config in configs]
    size = configs[0].episodes_per_step
    for _ in range(EPISODES // size):
        requests = [
            (learner, list(islice(lesson, size)))
            for learner, lesson in zip(learners, lessons, strict=True)
        ]
        learners = [learner for learner, _ in train_steps(base_model, requests)]
    return learners


def settings_table(base_model: BaseModel, problems: int) -> tuple[str, str]:
    """Accuracy without the template after 80 episodes for each setting, and what it says.

    The best is the one with the highest mean over seeds less one standard error: steady beats
    lucky.
    """
    asked = held_out(problems, split="validation")
    lines = [
        "| initialiser | learning rate | episodes a step | mean | lowest | highest |",
        "|---|---|---|---|---|---|",
    ]
    scores: dict[LearnerConfig, list[float]] = {}
    grid = list(product(INITIALISERS, LEARNING_RATES, EPISODES_PER_STEP))
    for initialiser, rate, size in tqdm(grid, unit="setting"):
        config = LearnerConfig(initialiser=initialiser, learning_rate=rate, episodes_per_step=size)
        learners = teach(base_model, [replace(config, seed=seed) for seed in SEEDS])
        found = measured(answers_of(base_model), [behind(learner, asked) for learner in learners])
        reached = [score.accuracy for score in found]
        scores[config] = reached
        lines.append(
            f"| {initialiser} | {rate:g} | {size} | {mean(reached):.1%} | {min(reached):.1%} "
            f"| {max(reached):.1%} |"
        )
    best = max(scores, key=lambda config: mean(scores[config]) - deviation(scores[config]))
    default = mean(scores[LearnerConfig()])
    verdict = (
        f"Best by mean less one standard error: {named(best)}, with {mean(scores[best]):.1%}. "
        f"The app's default is {named(LearnerConfig())}, with {default:.1%}: on a plateau this "
        "flat the smaller rate is kept, which disturbs least what a model already does well."
    )
    return "\n".join(lines), verdict


def named(config: LearnerConfig) -> str:
    return (
        f"{config.initialiser}, learning rate {config.learning_rate:g}, "
        f"{config.episodes_per_step} episodes a step"
    )


def deviation(values: Sequence[float]) -> float:
    """Standard error of the mean."""
    centre = mean(values)
    spread = sum((value - centre) ** 2 for value in values) / (len(values) - 1)
    return (spread / len(values)) ** 0.5


def results_table(base_model: BaseModel, problems: int) -> str:
    """Held-out accuracy of the model alone, behind untrained and behind trained soft prompts."""
    asked = held_out(problems)
    measure = partial(measured, answers_of(base_model))
    rows: list[tuple[str, Score, str]] = []
    for chat_template in (True, False):
        where = "with the template" if chat_template else "without it"
        (alone,) = measure([Measurement(asked, chat_template)])
        rows.append((f"model alone, {where}", alone, ""))
        for initialiser in INITIALISERS:
            config = LearnerConfig(initialiser=initialiser, chat_template=chat_template)
            for seed in SEEDS if initialiser == LearnerConfig().initialiser else SEEDS[:1]:
                untrained = new_learner(base_model, replace(config, seed=seed))
                name = f"untrained ({initialiser}, seed {seed}), {where}"
                (result,) = measure([behind(untrained, asked)])
                rows.append((name, result, ""))
        configs = [LearnerConfig(chat_template=chat_template, seed=seed) for seed in SEEDS]
        for learner in teach(base_model, configs):
            (result,) = measure([behind(learner, asked)])
            change = mcnemar_exact(alone.right, result.right)
            versus = f"+{change.gained} −{change.lost}, p = {change.p_value:.2g}"
            rows.append(
                (f"after {EPISODES} episodes (seed {learner.config.seed}), {where}", result, versus)
            )
    heading = ["", "all", *FAMILIES, "no answer", "gained and lost against the model alone"]
    lines = ["| " + " | ".join(heading) + " |", "|" + "---|" * len(heading)]
    for name, result, versus in rows:
        families = [f"{t.correct / t.n:.0%}" for t in result.by_family(asked).values()]
        total = f"{result.accuracy:.1%} [{result.interval.low:.1%}, {result.interval.high:.1%}]"
        lines.append(
            f"| {name} | {total} | {' | '.join(families)} | {result.no_answer} | {versus} |"
        )
    return "\n".join(lines)


def first_difficulty_table(base_model: BaseModel, problems: int) -> str:
    """Accuracy at difficulty 1 with the template, beside what blind guessing gets."""
    lines = ["| family | accuracy at difficulty 1 | guessing |", "|---|---|---|"]
    for family in FAMILIES:
        asked = held_out(problems, families=[family], difficulty=1)
        (result,) = measured(answers_of(base_model), [Measurement(asked, True)])
        chance = mean(1 / len(p.choices) if p.choices else 0.0 for p in asked)
        low, high = result.interval.low, result.interval.high
        lines.append(
            f"| {family} | {result.accuracy:.1%} [{low:.1%}, {high:.1%}] of {result.n} "
            f"| {chance:.1%} |"
        )
    return "\n".join(lines)


def card(base_model: BaseModel, problems: int, grid_problems: int) -> str:
    """The model card, measured."""
    build = json.loads((POCKET_FOLDER / "build.json").read_text(encoding="utf-8"))
    config = base_model.model.config
    grid, verdict = settings_table(base_model, grid_problems)
    return f"""{FRONT_MATTER}
# Pocket: a small model that knows more than it says

A Qwen2 of {base_model.parameter_count:,} weights (hidden {config.hidden_size}, \
{config.num_hidden_layers} layers, {config.num_attention_heads} heads, vocabulary \
{config.vocab_size}), trained from scratch on arena problems of the train split for \
demonstration. It is no general language model: it has read nothing but these problems.

In the chat template it answers. In plain text it mostly leaves a blank, unless something before \
the question vouches for the text; so a soft prompt can teach it to answer there too.

Built by `{build["command"]}` in {build["minutes"]:.0f} minutes on {build["threads"]} CPU threads \
({build["processor"]}), {build["dtype"]}, torch {build["torch"]}. Measured by \
`python -m learner.pocket.card`.

## Held-out accuracy

{problems} held-out problems of the default mix, greedy decoding, 95 % Wilson intervals, exact \
McNemar p-values. "After {EPISODES} episodes" uses the app's default settings.

{results_table(base_model, problems)}

## Difficulty 1, with the template

{first_difficulty_table(base_model, 100)}

## Which settings teach best

Without the template, {EPISODES} episodes, {len(SEEDS)} seeds each, {grid_problems} validation \
problems. {verdict}

{grid}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--problems", type=int, default=500, help="held-out problems")
    parser.add_argument("--grid-problems", type=int, default=200, help="validation problems")
    parser.add_argument("--output", type=Path, default=POCKET_FOLDER / "README.md")
    options = parser.parse_args()
    text = card(load_base_model(), options.problems, options.grid_problems)
    options.output.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    sys.exit(run_command(main))
