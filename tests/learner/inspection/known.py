"""Soft prompts of which it is known what they do in front of the embedded model."""

from itertools import islice

import torch

from arena import stream
from learner.inspection.likeness import nonsense
from learner.inspection.looking import text_ids, token_prompt
from learner.inspection.subject import Subject
from learner.learning.learner import LearnerConfig, new_learner
from learner.learning.training import train_steps
from learner.model.base_model import BaseModel
from learner.pocket.corpus import HEADINGS

SEEDS = range(5)
EPISODES = 80


def taught(base_model: BaseModel) -> list[Subject]:
    """Five seeds, taught with the app's default settings in merged passes: all of them answer."""
    starts = [new_learner(base_model, LearnerConfig(seed=seed)) for seed in SEEDS]
    learners, lessons = starts, [stream(seed, "train") for seed in SEEDS]
    for _ in range(EPISODES // LearnerConfig().episodes_per_step):
        batches = [list(islice(lesson, LearnerConfig().episodes_per_step)) for lesson in lessons]
        steps = train_steps(base_model, list(zip(learners, batches, strict=True)))
        learners = [learner for learner, _ in steps]
    return [
        Subject(after.prompt, before.prompt) for before, after in zip(starts, learners, strict=True)
    ]


def planted(base_model: BaseModel, seed: int, at: int = 1, vectors: int = 5) -> Subject:
    """Meaningless tokens in which one of the corpus's headings was planted, from vector ``at`` on.

    The truth: that heading answers, and nothing else in it does.
    """
    heading = text_ids(base_model, f"{HEADINGS[seed]}\n")
    filler = nonsense(base_model, vectors, seed)
    ids = [*filler[:at], *heading, *filler[at + len(heading) :]]
    return Subject(token_prompt(base_model, ids), token_prompt(base_model, filler))


def heading_places(base_model: BaseModel, seed: int, at: int = 1) -> set[int]:
    """The vectors that hold the planted heading."""
    return set(range(at, at + len(text_ids(base_model, f"{HEADINGS[seed]}\n"))))


def meaningless(base_model: BaseModel, seed: int, vectors: int = 5) -> Subject:
    """The control: nothing was planted, one lot of meaningless tokens took another's place."""
    before, after = (nonsense(base_model, vectors, seed + shift) for shift in (0, 100))
    return Subject(token_prompt(base_model, after), token_prompt(base_model, before))


def moved_anywhere(subject: Subject, seed: int = 0) -> torch.Tensor:
    """The untrained prompt with noise of the size of what was learnt."""
    noise = torch.randn(subject.trained.shape, generator=torch.Generator().manual_seed(seed))
    return subject.untrained + noise * (subject.trained - subject.untrained).std()
