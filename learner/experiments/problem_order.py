"""Which problems a run learns from next: mixed, by a curriculum, family after family, or again.

What comes next follows from the experiment and from what was learnt from so far; problems have a
position in a seeded stream (`arena.stream`), so a run can go on from anywhere, or be done again.

A curriculum is difficulty that follows accuracy: easy problems first, harder ones as they are
mastered (Bengio et al., 2009, "Curriculum learning"), by a staircase (Levitt, 1971, "Transformed
up-down methods in psychoacoustics"): up a difficulty when nearly all of the latest problems at it
were right, down when hardly any were. Rights are read off the training pass, before a problem is
learnt from, so following them costs nothing.
"""

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from arena import Problem, stream
from learner.experiments.settings import Experiment
from learner.measuring import SHARED

WINDOW = 6  # problems at a difficulty before it is judged
RISE, FALL = 5, 1  # so many of them right, or more: up; so many, or fewer: down


@dataclass(frozen=True)
class Episode:
    """One problem that was learnt from, and what the pass found before it changed anything.

    ``loss`` and ``grad_norm`` are those of the whole step that it was part of (NaN where they were
    not finite), which took ``seconds``; ``right`` says whether greedy decoding would have answered
    it to the letter, or, where the answer was not told, whether most samples did. A step that was
    not ``accepted`` changed nothing, for the reason in ``message``.

    Of a problem that completions were sampled for, in the step that a reward was told: their mean
    ``reward``, the policy's mean ``entropy`` in nats a token, their mean ``length`` in tokens, and
    the share with ``no_answer`` that could be read. NaN without samples; runs of before this was
    kept know the reward alone. Raises ValueError, in a sentence, if these cannot be.
    """

    family: str
    difficulty: int
    answer: str
    step: int
    right: bool
    accepted: bool
    seconds: float
    loss: float = math.nan
    grad_norm: float = math.nan
    reward: float = math.nan
    entropy: float = math.nan
    length: float = math.nan
    no_answer: float = math.nan
    message: str = ""

    def __post_init__(self) -> None:
        for name, least, most in (
            ("reward", 0, 1),
            ("entropy", 0, math.inf),
            ("length", 1, math.inf),
            ("no_answer", 0, 1),
        ):
            value = getattr(self, name)
            if value < least or value > most:  # NaN is neither
                raise ValueError(f"An episode's {name} is from {least} to {most}, not {value}.")

    @property
    def sampled(self) -> bool:
        """Whether it is known what its samples were like."""
        return not math.isnan(self.entropy + self.length)

    @property
    def disagreed(self) -> bool:
        """Whether some samples were right and some not: only then does a reward tell anything."""
        return 0 < self.reward < 1


def next_problems(
    experiment: Experiment, past: Sequence[Episode], room: int
) -> dict[str, tuple[Problem, ...]]:
    """The problems of the next step, at most ``room`` of them, for each soft prompt by name.

    A step takes the config's episodes per step; with a prompt for each family, each takes as many.
    """
    if experiment.per_family:
        return _for_each_family(experiment, past, room)
    count = min(room, experiment.config.episodes_per_step)
    start = len(past)
    if experiment.order == "sequence":
        problems = [_of_sequence(experiment, start + i) for i in range(count)]
    elif experiment.training_problems:
        problems = [_again(experiment, start + i) for i in range(count)]
    else:
        difficulties: Sequence[int] = experiment.difficulties
        if experiment.order == "curriculum":
            rights = (episode.right for episode in past)
            difficulties = [next_difficulty(rights, sorted(difficulties))]
        ordered = stream(experiment.seed, "train", experiment.families, difficulties, start)
        problems = list(islice(ordered, count))
    return {SHARED: tuple(problems)}


def next_difficulty(rights: Iterable[bool], difficulties: Sequence[int]) -> int:
    """The difficulty of a curriculum's next problem.

    ``rights`` says of each problem so far whether it would have been answered rightly;
    ``difficulties`` are those to choose from, easiest first.
    """
    step, latest = 0, 0
    correct = 0
    for right in rights:
        latest += 1
        correct += right
        if latest < WINDOW:
            continue
        if correct >= RISE:
            step = min(step + 1, len(difficulties) - 1)
        elif correct <= FALL:
            step = max(step - 1, 0)
        latest = correct = 0
    return difficulties[step]


def _again(experiment: Experiment, position: int) -> Problem:
    """One of a fixed number of problems, all by turns: in the stream's order, then in others."""
    number = experiment.training_problems
    rounds, place = divmod(position, number)
    if rounds:
        order = list(range(number))
        random.Random(f"{experiment.seed} {rounds}").shuffle(order)
        place = order[place]
    return next(
        stream(experiment.seed, "train", experiment.families, experiment.difficulties, place)
    )


def _of_sequence(experiment: Experiment, position: int) -> Problem:
    families = zip(experiment.families, experiment.phase_ends, strict=True)
    family = next(family for family, end in families if position < end)
    return next(stream(experiment.seed, "train", [family], experiment.difficulties, position))


def _for_each_family(
    experiment: Experiment, past: Sequence[Episode], room: int
) -> dict[str, tuple[Problem, ...]]:
    """Families that have met fewer problems so far come first, so that all meet as many."""
    met = {family: 0 for family in experiment.families}
    for episode in past:
        met[episode.family] += 1
    count = min(room, experiment.config.episodes_per_step * len(met))
    shares = dict.fromkeys(met, 0)
    for _ in range(count):
        shares[min(met, key=lambda family: met[family] + shares[family])] += 1
    streams = {
        family: stream(experiment.seed, "train", [family], experiment.difficulties, met[family])
        for family, share in shares.items()
        if share
    }
    return {family: tuple(islice(own, shares[family])) for family, own in streams.items()}
