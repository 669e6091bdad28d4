"""Strength: accuracy along the straight line from the untrained prompt to the trained, and beyond.

Place 0 is the untrained prompt, 1 the trained, 1.5 half as far again. The line is a chord: training
itself went another way (`path`). The control goes as far in a random direction, vector by vector:
were distance from the start all that counts, it would answer as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from arena import Problem
from learner.inspection.subject import Subject, scores
from learner.measuring import Answers, Score
from learner.visitors.moments import Moment

PLACES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5)
CONTROL_PLACES = (0.5, 1.0, 1.5)
STRONGEST = PLACES[-1]
MOST_MOMENTS = 12  # of the path


@dataclass(frozen=True)
class Strength:
    """Scores along the line, and along a line of the same length in a random direction.

    ``half`` is the place at which the gain is half of what it is at 1; None if there is no gain.
    """

    places: tuple[float, ...]
    scores: tuple[Score, ...]
    control_places: tuple[float, ...]
    control: tuple[Score, ...]
    half: float | None


@dataclass(frozen=True)
class Path:
    """Accuracy after so many episodes, at moments of the way that training took."""

    moments: tuple[tuple[int, Score], ...]


def blend(subject: Subject, place: float) -> torch.Tensor:
    """The prompt at a place of the line: at 0 and 1 the untrained and the trained one exactly.

    Raises ValueError outside of 0 to ``STRONGEST``.
    """
    if not 0 <= place <= STRONGEST:
        raise ValueError(f"A strength is from 0 to {STRONGEST:g}, not {place:g}.")
    return torch.lerp(subject.untrained, subject.trained, place)


def random_direction(subject: Subject) -> Subject:
    """The subject had each of its vectors moved as far as it did, but anywhere."""
    moved = subject.trained - subject.untrained
    noise = torch.randn(moved.shape, generator=torch.Generator().manual_seed(0))
    noise *= moved.norm(dim=1, keepdim=True) / noise.norm(dim=1, keepdim=True)
    return replace(subject, trained=subject.untrained + noise)


def strength(
    answers: Answers,
    subject: Subject,
    problems: Sequence[Problem],
    places: Sequence[float] = PLACES,
) -> Strength:
    """Accuracy along the line and its control, all of it in the same passes.

    ``places`` are rising, with 0 and 1 among them.
    """
    elsewhere = random_direction(subject)
    prompts = {("line", place): blend(subject, place) for place in places}
    prompts |= {("control", place): blend(elsewhere, place) for place in CONTROL_PLACES}
    found = tuple(scores(answers, subject, prompts, problems).values())
    line, control = found[: len(places)], found[len(places) :]
    half = _half(places, [score.accuracy for score in line])
    return Strength(tuple(places), line, CONTROL_PLACES, control, half)


def path(
    answers: Answers, subject: Subject, moments: Sequence[Moment], problems: Sequence[Problem]
) -> Path:
    """Accuracy at the moments, in order: if there are many, at ``MOST_MOMENTS`` of them."""
    taken = thinned(moments, MOST_MOMENTS)
    found = scores(answers, subject, {one: one.prompt for one in taken}, problems)
    return Path(tuple((one.episodes, score) for one, score in found.items()))


def thinned(moments: Sequence[Moment], most: int) -> list[Moment]:
    """At most so many of them, evenly spread, the first and the last among them."""
    last = len(moments) - 1
    if last < most:
        return list(moments)
    return [moments[round(i * last / (most - 1))] for i in range(most)]


def _half(places: Sequence[float], accuracies: Sequence[float]) -> float | None:
    """The first place at which half the gain is there, between two places by a straight line."""
    start, end = accuracies[places.index(0.0)], accuracies[places.index(1.0)]
    middle = (start + end) / 2
    if end <= start:
        return None
    for i in range(1, len(places)):
        low, high = accuracies[i - 1], accuracies[i]
        if low < middle <= high:
            return places[i - 1] + (places[i] - places[i - 1]) * (middle - low) / (high - low)
    return None
