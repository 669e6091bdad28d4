"""The way that a learner took: its soft prompt at moments of training, evenly spread, bounded."""

from dataclasses import dataclass

import torch

from learner.learning.learner import Learner

MOST = 48  # moments kept, of a few tens of kilobytes each


@dataclass(frozen=True, eq=False)
class Moment:
    """The soft prompt [soft tokens, hidden] as it was after so many ``episodes``."""

    episodes: int
    prompt: torch.Tensor


class Moments:
    """The moments of one learner, from the first that is known to the present one.

    When there are too many, every other one is dropped, and from then on half as many are noted.
    """

    def __init__(self, learner: Learner) -> None:
        self._kept = [Moment(learner.episodes, learner.prompt)]
        self._every = 1  # steps between two moments
        self._since = 0  # steps since the last one but the present

    @property
    def all(self) -> tuple[Moment, ...]:
        """Every moment that is kept, in order; the last is the present."""
        return tuple(self._kept)

    def step(self, learner: Learner) -> None:
        """The learner has taken a step."""
        present = Moment(learner.episodes, learner.prompt)
        if 0 < self._since < self._every:  # the present one stands for no step of its own yet
            self._kept[-1] = present
        else:
            self._kept.append(present)
            self._since = 0
        self._since += 1
        if len(self._kept) > MOST:
            self._kept = [*self._kept[:-1:2], present]
            self._every *= 2

    def go_to(self, learner: Learner) -> None:
        """Another learner is the present one: one on the way so far, or one from elsewhere."""
        for place, moment in enumerate(self._kept):
            if moment.prompt.shape == learner.prompt.shape and torch.equal(
                moment.prompt, learner.prompt
            ):
                self._kept = self._kept[: place + 1]
                return
        self._kept = [Moment(learner.episodes, learner.prompt)]
        self._every, self._since = 1, 0
