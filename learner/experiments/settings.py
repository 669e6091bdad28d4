"""What decides an experiment: the learner's settings, the problems, and how it is measured.

An `Experiment` is a value that JSON can hold. Two runs of the same experiment on the same machine
give the same results, to the bit.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from pydantic import with_config

from arena import DIFFICULTIES, FAMILIES, Problem, held_out
from learner.checkpoint.reading import STRICT
from learner.learning.learner import LearnerConfig, require

ORDERS = ("mixed", "curriculum", "sequence")
STARTS = ("fresh", "meta", "joint")
MAX_EPISODES = 100_000
MIN_PROBLEMS = 2  # one alone tells no spread
MAX_PROBLEMS = 10_000


@with_config(STRICT)
@dataclass(frozen=True)
class Experiment:
    """One run. Raises ValueError, in a sentence, for what cannot be.

    ``order`` of the training problems: "mixed" families and difficulties; a "curriculum", whose
    difficulty follows accuracy; or the families in "sequence", one after another. ``per_family``
    teaches a soft prompt of its own to each family. ``start`` is "fresh", as the config's
    initialiser makes it, or comes from the families that are not trained on (from all, if all are):
    "meta" learnt, or learnt in the ordinary way, "joint" (`learner.experiments.starts`).
    With ``training_problems`` it learns from so many problems, again and again; without (0), each
    episode is a new one. With ``annealing`` the learning rate falls from the config's to nothing,
    by as much with every episode.

    Every ``eval_interval`` episodes, or after each number of them in ``eval_at`` if there are any,
    and at the end, the soft prompt answers ``eval_problems`` held-out problems,
    always the same ones, chosen by ``held_out_seed``; and ``validation_problems`` of a split of
    their own, which choose the prompt that is kept (0: the last one is kept).
    """

    config: LearnerConfig = field(default_factory=LearnerConfig)
    episodes: int = 80
    eval_interval: int = 20
    eval_problems: int = 200
    validation_problems: int = 100
    held_out_seed: int = 0
    families: tuple[str, ...] = tuple(FAMILIES)
    difficulties: tuple[int, ...] = DIFFICULTIES
    order: str = "mixed"
    per_family: bool = False
    start: str = "fresh"
    eval_at: tuple[int, ...] = ()
    training_problems: int = 0
    annealing: bool = False

    def __post_init__(self) -> None:
        require(
            1 <= self.episodes <= MAX_EPISODES,
            f"A run has 1 to {MAX_EPISODES} episodes, not {self.episodes}.",
        )
        require(self.eval_interval >= 1, "There is at least 1 episode between evaluations.")
        require(
            MIN_PROBLEMS <= self.eval_problems <= MAX_PROBLEMS,
            f"An evaluation takes {MIN_PROBLEMS} to {MAX_PROBLEMS} problems, not "
            f"{self.eval_problems}.",
        )
        require(
            0 <= self.validation_problems <= MAX_PROBLEMS,
            f"Validation takes 0 to {MAX_PROBLEMS} problems, not {self.validation_problems}.",
        )
        unknown = [family for family in self.families if family not in FAMILIES]
        require(
            bool(self.families) and not unknown and _distinct(self.families),
            f"Families are chosen, each once, from {', '.join(FAMILIES)}.",
        )
        require(
            bool(self.difficulties)
            and set(self.difficulties) <= set(DIFFICULTIES)
            and _distinct(self.difficulties),
            f"Difficulties are chosen, each once, from {DIFFICULTIES[0]} to {DIFFICULTIES[-1]}.",
        )
        require(
            self.order in ORDERS, f"There is no order {self.order!r}; choose {', '.join(ORDERS)}."
        )
        require(
            self.start in STARTS, f"There is no start {self.start!r}; choose {', '.join(STARTS)}."
        )
        require(
            all(0 < episodes <= self.episodes for episodes in self.eval_at),
            f"Evaluations come after 1 to {self.episodes} episodes, the last one of the run.",
        )
        require(
            self.order == "mixed" or not self.per_family,
            "With a prompt for each family, each meets its own problems in one order: mixed.",
        )
        require(
            0 <= self.training_problems <= MAX_EPISODES,
            f"It learns from 1 to {MAX_EPISODES} different problems, or always from new ones (0).",
        )
        require(
            not self.training_problems or (self.order == "mixed" and not self.per_family),
            "The same problems again and again are one prompt's, in mixed order.",
        )
        require(
            self.order != "sequence" or 2 <= len(self.families) <= self.episodes,
            "A sequence takes at least two families, and an episode for each.",
        )
        require(
            not self.per_family or len(self.families) <= self.episodes,
            "A prompt for each family takes at least an episode for each.",
        )
        require(
            self.order != "sequence" or self._asks_every_family,
            f"A sequence is measured on each of its {len(self.families)} families, and these "
            f"{self.eval_problems} held-out problems are not of all; take more.",
        )

    @property
    def _asks_every_family(self) -> bool:
        """Whether some held-out problem is of each family."""
        every = len(self.families) * len(self.difficulties)  # in so many each kind comes once
        first = min(self.eval_problems, every)
        problems = _problems(
            first, self.held_out_seed, self.families, self.difficulties, "held-out"
        )
        return {problem.family for problem in problems} == set(self.families)

    @property
    def seed(self) -> int:
        """The seed of the initialiser and of the stream of training problems."""
        return self.config.seed

    @property
    def milestones(self) -> tuple[int, ...]:
        """After how many episodes it is measured, from 0 to the last one.

        In a sequence also wherever one family ends and the next begins.
        """
        regular = self.eval_at or range(0, self.episodes, self.eval_interval)
        ends = {0, *regular, self.episodes}
        if self.order == "sequence":
            ends |= set(self.phase_ends)
        return tuple(sorted(ends))

    @property
    def phase_ends(self) -> tuple[int, ...]:
        """After how many episodes each family of a sequence has been learnt."""
        count = len(self.families)
        return tuple(self.episodes * (i + 1) // count for i in range(count))

    def with_config(self, **changes: Any) -> "Experiment":
        """The experiment with changes to the learner's settings."""
        return replace(self, config=replace(self.config, **changes))

    def with_seed(self, seed: int) -> "Experiment":
        """The same experiment from another seed."""
        return self.with_config(seed=seed)

    def problems(self, split: str = "held-out") -> tuple[Problem, ...]:
        """The fixed problems that it is measured on: the "held-out" or the "validation" ones."""
        count = self.eval_problems if split == "held-out" else self.validation_problems
        return _problems(count, self.held_out_seed, self.families, self.difficulties, split)

    def as_dict(self) -> dict[str, Any]:
        """The experiment as values that JSON can hold."""
        return dataclasses.asdict(self)


@lru_cache(maxsize=32)
def _problems(
    count: int, seed: int, families: tuple[str, ...], difficulties: tuple[int, ...], split: str
) -> tuple[Problem, ...]:
    return tuple(held_out(count, seed, families, difficulties, split))


def _distinct(values: tuple[object, ...]) -> bool:
    return len(set(values)) == len(values)


TUNED = Experiment()
ORIGINAL = Experiment(
    config=LearnerConfig(
        soft_tokens=8,
        initialiser="normal",
        init_std=0.1,
        learning_rate=1e-3,
        episodes_per_step=1,
        loss="text",
        chat_template=True,
    ),
    eval_problems=20,
    validation_problems=0,
)
PRESETS: Mapping[str, Experiment] = {"best": TUNED, "original": ORIGINAL}
"""Settings by name: the best measured here, and those of the original experiments."""
