"""The whole inspection of one soft prompt, part by part, the quickest and most telling first."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from math import ceil

import torch

from arena import Problem
from learner.inspection.changes import Changes, changes
from learner.inspection.likeness import Candidate, Ranking, candidates, likeness
from learner.inspection.listening import Listening, listening
from learner.inspection.looking import OnModel
from learner.inspection.nearest import NearestWords, nearest_words
from learner.inspection.size import Size, size
from learner.inspection.strength import Path, Strength, path, strength
from learner.inspection.subject import Subject, subject_of
from learner.inspection.vectors import Vectors, vectors
from learner.inspection.words import Words, words
from learner.learning.learner import Learner, LearnerConfig
from learner.measuring import Answers
from learner.model.base_model import ModelFacts
from learner.model.completion import Ask, Completion
from learner.visitors.moments import Moment

SHARES_OF_PROBLEMS = 0.4  # that Shapley values are over: all subsets of them are asked
ORDERS_ON_LARGE = 6  # that they rest on where a model is large
LOOKS_OF_PROBLEMS = 0.5  # that passes are looked into ...
LOOKED_ON_LARGE = 20  # ... but no more where a model is large, and a pass takes long
ANSWERS_A_PROBLEM = {True: 200, False: 130}  # about, of eight vectors: on the embedded model or not


@dataclass(frozen=True, eq=False)
class Material:
    """What an inspection needs: the ``subject``, ``problems`` to ask, and whom to ask.

    ``other_untrained`` is another prompt that has learnt nothing; ``moments`` the way that training
    took, where it is known; ``own_texts`` are compared too. ``has_words`` says that the model has
    read more than problems, so that it can be asked for a description.
    """

    answers: Answers
    on_model: OnModel
    subject: Subject
    other_untrained: torch.Tensor
    problems: Sequence[Problem]
    moments: Sequence[Moment] = ()
    own_texts: Sequence[str] = ()
    has_words: bool = False


Part = Strength | Path | Vectors | Ranking | NearestWords | Size | Changes | Listening | Words
Parts = dict[str, Part]
NAMES = (
    *("strength", "path", "changes", "likeness", "words", "nearest", "vectors", "size"),
    "listening",
)


def material_of(
    learner: Learner,
    new_learner: Callable[[LearnerConfig], Learner],
    base_model: ModelFacts,
    answers: Answers,
    on_model: OnModel,
    problems: Sequence[Problem],
    own_texts: Sequence[str] = (),
    moments: Sequence[Moment] = (),
) -> Material:
    """What an inspection of a learner needs; ``new_learner`` begins one that has learnt nothing."""
    config = learner.config
    other = replace(config, seed=(config.seed + 1) % 2**64)
    if config.initialiser == "text":  # which starts from the same prompt, whatever the seed
        other = replace(other, initialiser="vocabulary")
    return Material(
        answers,
        on_model,
        subject_of(learner, new_learner(config)),
        new_learner(other).prompt,
        problems,
        moments,
        own_texts,
        has_words=not base_model.source.is_embedded,
    )


def inspect(material: Material) -> Iterator[tuple[str, Part]]:
    """Every part by its name as soon as it is known.

    Raises ValueError, before anything is asked, for under two problems and for a text that cannot
    be compared.
    """
    asked, on_model = remembering(material.answers), material.on_model
    subject, problems = material.subject, material.problems
    if len(problems) < 2:
        raise ValueError(f"An inspection takes at least 2 problems, not {len(problems)}.")
    looked = problems[: _some(problems, LOOKS_OF_PROBLEMS)]
    if material.has_words:
        looked = looked[:LOOKED_ON_LARGE]
    listed: list[Candidate] = on_model(  # first, since it refuses what cannot be compared
        partial(candidates, vectors=subject.vectors, own=material.own_texts)
    )
    yield "strength", strength(asked, subject, problems)
    way = Path(())
    if material.moments:
        way = path(asked, subject, material.moments, problems)
        yield "path", way
    other = material.other_untrained
    yield "changes", changes(asked, on_model, subject, other, problems, way.moments)
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


def remembering(answers: Answers) -> Answers:
    """The same, but what was asked once is not asked again.

    A second answer takes time, and where numbers are coarse it can be another one: what else is in
    a pass moves the last digits. So the same soft prompt has the same score in every part.
    """
    known: dict[Hashable, Completion] = {}

    def ask(asks: Sequence[Ask]) -> Iterator[list[Completion]]:
        prompts = {id(one.prompt): one.prompt for one in asks if one.prompt is not None}
        numbers = {i: sha256(one.numpy().tobytes()).digest() for i, one in prompts.items()}
        keys = [(replace(one, prompt=None), numbers.get(id(one.prompt))) for one in asks]
        new = {key: one for key, one in zip(keys, asks, strict=True) if key not in known}
        got: dict[Hashable, Completion] = {}
        for completions in answers([*new.values()]) if new else ():
            got = dict(zip(new, completions, strict=True))
            yield [known.get(key) or got[key] for key in keys]
        known.update(got)
        yield [known[key] for key in keys]

    return ask


def _some(problems: Sequence[Problem], share: float) -> int:
    return max(2, ceil(share * len(problems)))
