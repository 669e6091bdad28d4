"""Passes that run out of memory are halved; the results are those of the whole, or a sentence."""

from collections.abc import Callable

import pytest
import torch

from arena.problem import Problem
from learner.learning.answer import answer_targets
from learner.learning.gradients import find_gradients, log_likelihoods
from learner.learning.learner import LearnerConfig, new_learner
from learner.learning.training import train_step, train_steps
from learner.model import attention
from learner.model import forward as batch
from learner.model.base_model import BaseModel
from learner.model.memory import OutOfMemory
from learner.model.pace import Pace, Paces
from learner.model.turns import finished
from learner.service.in_process import Service

PROBLEMS = [
    Problem("own", 0, question, answer, "text")
    for question, answer in (
        ("What comes next: 2, 4, 6, 8?", "10"),
        ("Alice is taller than Bob. Who is the tallest?", "Alice"),
        ("Did it rain?", "No"),
        ("Which colour? red or blue?", "blue"),
    )
]
PATIENCE = 30.0


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Have every pass over more than so many tokens run out of memory; tells of all passes."""

    def set_limit(tokens: int) -> list[int]:
        passes: list[int] = []

        def limited(
            model: torch.nn.Module,
            packed: attention.PackedSegments,
            embeddings: torch.Tensor,
            keep: torch.Tensor,
        ) -> torch.Tensor:
            passes.append(len(embeddings))
            if len(embeddings) > tokens:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: tried 9 bytes.")
            return attention.run_packed(model, packed, embeddings, keep)

        monkeypatch.setattr(batch, "run_packed", limited)
        return passes

    return set_limit


def test_a_pass_that_runs_out_of_memory_is_halved_and_learns_the_same(
    base_model: BaseModel, limit: Callable[[int], list[int]]
) -> None:
    learners = [new_learner(base_model, LearnerConfig(seed=seed)) for seed in range(2)]
    work = [
        (learner.prompt, answer_targets(base_model, learner, PROBLEMS[seed:]))
        for seed, learner in enumerate(learners)
    ]
    whole = finished(find_gradients(base_model, work))
    likely = finished(log_likelihoods(base_model, work))
    passes = limit(10_000)
    finished(find_gradients(base_model, work))
    (full,) = passes
    passes = limit(full - 1)
    for one, other in zip(whole, finished(find_gradients(base_model, work)), strict=True):
        torch.testing.assert_close(one.gradient, other.gradient, rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(one.losses, other.losses, rtol=1e-3, atol=1e-6)
        assert all(map(torch.equal, one.hits, other.hits))
    assert len(passes) == 3 and passes[0] == full and max(passes[1:]) < full
    for a, b in zip(likely, finished(log_likelihoods(base_model, work)), strict=True):
        assert a == pytest.approx(b, rel=1e-3)


def test_a_pass_that_is_a_little_too_large_is_not_cut_and_one_that_is_cut_learns_the_same(
    base_model: BaseModel, limit: Callable[[int], list[int]]
) -> None:
    learner = new_learner(base_model, LearnerConfig())
    work = [(learner.prompt, answer_targets(base_model, learner, PROBLEMS))]
    passes = limit(10_000)
    (whole,) = finished(find_gradients(base_model, work))
    (tokens,) = passes
    for share, cut in ((0.75, False), (0.5, True)):
        paces, passes = Paces(training=Pace(1e9, int(share * tokens))), limit(10_000)
        (found,) = finished(find_gradients(base_model, work, paces))
        assert (len(passes) > 1) is cut
        torch.testing.assert_close(found.gradient, whole.gradient, rtol=1e-3, atol=1e-6)


def test_what_does_not_fit_either_is_said_in_a_sentence(
    qwen2: BaseModel, limit: Callable[[int], list[int]]
) -> None:
    passes = limit(30)
    learner = new_learner(qwen2, LearnerConfig())
    with pytest.raises(OutOfMemory, match="Memory ran out on cpu over 2 rows at once; take fewer"):
        train_step(qwen2, learner, PROBLEMS)
    assert len(passes) == 2
    limit(10)
    with pytest.raises(OutOfMemory, match="over 1 row at once"):
        train_step(qwen2, learner, PROBLEMS[1:2])


def test_in_the_service_those_whose_own_step_fits_get_it(
    qwen2: BaseModel, limit: Callable[[int], list[int]]
) -> None:
    """Merged, not even the half fits; alone, the small one does, and the large one is told."""
    small, large = (new_learner(qwen2, LearnerConfig(seed=seed)) for seed in range(2))
    limit(50)
    with pytest.raises(OutOfMemory):
        train_steps(qwen2, [(small, PROBLEMS[2:3]), (large, PROBLEMS * 2)])
    with Service(qwen2) as service:
        futures = [service.train(small, PROBLEMS[2:3]), service.train(large, PROBLEMS * 2)]
        trained, report = futures[0].result(PATIENCE)
        assert report.accepted and trained.steps == 1
        with pytest.raises(OutOfMemory, match="Memory ran out"):
            futures[1].result(PATIENCE)
