"""Results made up for tables and figures: right or wrong by seed, problem and episode."""

import random

from learner.experiments.results import Results, Share
from learner.experiments.settings import TUNED
from learner.measuring import Score, score_of

PROBLEMS = 40


def made_up(
    seed: int = 0,
    before: float = 0.1,
    after: float = 0.6,
    name: str = "made up",
    problems: str = "set",
    chat_template: bool = False,
) -> Results:
    """A run whose accuracy rises from about ``before`` to about ``after``.

    Runs of one set of ``problems`` find the same ones hard, so they pair.
    """
    hardness = random.Random(problems)
    thresholds = [hardness.random() for _ in range(PROBLEMS)]
    luck = random.Random(f"{name}/{seed}")

    def score(episodes: int) -> Score:
        skill = before + (after - before) * episodes / 80
        rights = [t + luck.gauss(0, 0.03) < skill for t in thresholds]
        outcomes = "".join("1" if right else "0" for right in rights)
        return score_of(outcomes, chat_template, episodes)

    curve = tuple(score(episodes) for episodes in (0, 20, 40, 60, 80))
    experiment = TUNED.with_seed(seed)
    return Results(
        name=name,
        model="pocket",
        parameters=1_900_000,
        chat_template=chat_template,
        soft_tokens=8,
        learning_rate=1e-2,
        episodes=80,
        seed=seed,
        losses=tuple((episode, 2.0 - episode / 80) for episode in range(1, 81)),
        curve=curve,
        final=curve[-1],
        families={"causal": (Share(0.1, 8), Share(0.7, 8))},
        difficulties={"1": (Share(0.2, 8), Share(0.9, 8))},
        episodes_per_second=50.0,
        alone=score_of("0" * PROBLEMS, chat_template),
        kept=curve[-1],
        problems=tuple(f"{problems}-{i}" for i in range(PROBLEMS)),
        training_seconds=1.6,
        step_rates=tuple(50.0 + luck.random() for _ in range(20)),
        experiment=experiment,
    )
