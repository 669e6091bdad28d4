"""The whole inspection of one soft prompt, part by part, the quickest and most telling first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil

import torch

from arena import Problem
from learner.inspection.changes import Changes, changes
from learner.inspection.likeness import Candidate, Ranking, candidates, likeness
from learner.inspection.listening import Listening, listening
from learner.inspection.looking import OnModel
from learner.inspection.nearest import NearestWords, nearest_words
from learner.inspection.size import Size, size
from learner.inspection.strength import Snapshot, Strength, path, strength, thinned
from learner.inspection.subject import Subject
from learner.inspection.vectors import Vectors, vectors
from learner.inspection.words import Words, words
from learner.measuring import Answers, Score

MOST_MOMENTS = 12  # of the path
SHARES_OF_PROBLEMS = 0.4  # that Shapley values are over: all subsets of them are asked
ORDERS_ON_LARGE = 6  # that they rest on where a model is large
LOOKS_OF_PROBLEMS = 0.5  # that passes are looked into ...
LOOKED_ON_LARGE = 20  # ... but no more where a model is large, and a pass takes long
ANSWERS_A_PROBLEM = {True: 200, False: 130}  # about, of eight vectors: on the embedded model or not


@dataclass(frozen=True, eq=False)
class Material:
    """What an inspection needs: the ``subject``, ``problems`` to ask, and whom to ask.

    ``other_untrained`` is another prompt that has learnt nothing; ``snapshots`` the way that
    training took, where it is known; ``own_texts`` are compared too. ``has_words`` says that the
    model has read more than problems, so that it can be asked for a description.
    """

    answers: Answers
    on_model: OnModel
    subject: Subject
    other_untrained: torch.Tensor
    problems: Sequence[Problem]
    snapshots: Sequence[Snapshot] = ()
    own_texts: Sequence[str] = ()
    has_words: bool = False


@dataclass(frozen=True)
class Path:
    """Accuracy after so many episodes, at moments of the way that training took."""

    moments: tuple[tuple[int, Score], ...]


Part = Strength | Path | Vectors | Ranking | NearestWords | Size | Changes | Listening | Words
Parts = dict[str, Part]
NAMES = (
    *("strength", "path", "changes", "likeness", "words", "nearest", "vectors", "size"),
    "listening",
)


def inspect(material: Material) -> Iterator[tuple[str, Part]]:
    """Every part by its name as soon as it is known. Raises ValueError for under two problems."""
    asked, subject, problems = material.answers, material.subject, material.problems
    if len(problems) < 2:
        raise ValueError(f"An inspection takes at least 2 problems, not {len(problems)}.")
    on_model = material.on_model
    looked = problems[: _some(problems, LOOKS_OF_PROBLEMS)]
    if material.has_words:
        looked = looked[:LOOKED_ON_LARGE]
    yield "strength", strength(asked, subject, problems)
    moments: tuple[tuple[int, Score], ...] = ()
    if material.snapshots:
        taken = thinned(material.snapshots, MOST_MOMENTS)
        found = path(asked, subject, taken, problems)
        moments = tuple((one.episodes, score) for one, score in zip(taken, found, strict=True))
        yield "path", Path(moments)
    other = material.other_untrained
    yield "changes", changes(asked, on_model, subject, other, problems, moments)
    listed: list[Candidate] = on_model(
        partial(candidates, vectors=subject.vectors, own=material.own_texts)
    )
    yield "likeness", likeness(asked, on_model, subject, listed, looked)
    if material.has_words:
        yield "words", words(asked, on_model, subject, problems)
    yield "nearest", nearest_words(asked, on_model, subject, problems)
    if material.has_words:  # and is large: few subsets, so that there is time for all problems
        matter = vectors(asked, subject, problems, len(problems), ORDERS_ON_LARGE)
    else:
        matter = vectors(asked, subject, problems, _some(problems, SHARES_OF_PROBLEMS))
    yield "vectors", matter
    yield "size", size(asked, subject, matter.order, problems)
    yield "listening", listening(on_model, subject, looked)


def _some(problems: Sequence[Problem], share: float) -> int:
    return max(2, ceil(share * len(problems)))
