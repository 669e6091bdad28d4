"""Learners that their visitor gave a name, to go back to and to compare with."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from learner.learning.learner import Learner
from learner.measuring import Score

MOST = 8
MOST_BYTES = 1 << 23  # of their tensors, all together
MAX_NAME = 40  # characters


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A learner under a ``name``, with the held-out scores that it had, at most one a format."""

    name: str
    learner: Learner
    scores: tuple[Score, ...] = ()

    def is_of(self, learner: Learner) -> bool:
        """Whether this very soft prompt is kept here."""
        mine, other = self.learner, learner
        return mine is other or (
            mine.episodes == other.episodes
            and mine.prompt.shape == other.prompt.shape
            and torch.equal(mine.prompt, other.prompt)
        )

    def score(self, chat_template: bool) -> Score | None:
        """Its score in one format; None while there is none."""
        return next((one for one in self.scores if one.chat_template is chat_template), None)


def free_name(learner: Learner, taken: Sequence[Snapshot]) -> str:
    """A name that says what was learnt, for a visitor who gives none: ``80 episodes (2)``."""
    plain = f"{learner.episodes} episode{'' if learner.episodes == 1 else 's'}"
    names = {snapshot.name for snapshot in taken}
    others = (f"{plain} ({number})" for number in range(2, MOST + 2))
    return next(name for name in (plain, *others) if name not in names)
