"""Lessons: which problems a run learns from next.

What comes next follows from the experiment and from what was learnt from so far; problems have a
position in a seeded stream (`arena.stream`), so a run can go on from anywhere.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from arena import Problem, stream
from learner.experiments.curriculum import level
from learner.experiments.settings import Experiment
from learner.measuring import SHARED


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


def next_lessons(
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
    else:
        difficulties: Sequence[int] = experiment.difficulties
        if experiment.order == "curriculum":
            difficulties = [level((episode.right for episode in past), sorted(difficulties))]
        lessons = stream(experiment.seed, "train", experiment.families, difficulties, start)
        problems = list(islice(lessons, count))
    return {SHARED: tuple(problems)}


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
    lessons = {
        family: stream(experiment.seed, "train", [family], experiment.difficulties, met[family])
        for family, share in shares.items()
        if share
    }
    return {family: tuple(islice(lesson, shares[family])) for family, lesson in lessons.items()}
