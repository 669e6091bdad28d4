"""Passes at fixed addresses learn what packed passes learn, whatever was in them before.

On a CPU they are run as they are each time; where there is a CUDA device, captured and repeated.
"""

from collections.abc import Iterator
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.problem import Problem
from learner.learning.answer import answer_targets
from learner.learning.gradients import Found, Work, find_gradients
from learner.learning.learner import LearnerConfig, new_learner
from learner.learning.targets import Target
from learner.learning.training import train_step, train_steps
from learner.model import dense_pass
from learner.model.base_model import BaseModel
from learner.model.forward import Batch
from learner.model.turns import finished
from tests.learner.questions import QUESTIONS
from tests.learner.tiny_models import DEVICES, build_on

ROOM = 1 << 30  # bytes
PROBLEMS = [Problem("own", 0, question, "10", "text") for question in QUESTIONS]

ids = st.integers(4, 300)


@st.composite
def targets(draw: st.DrawFn) -> Target:
    tokens = tuple(draw(st.lists(ids, min_size=1, max_size=30)))
    predicted = tuple(draw(st.lists(ids, min_size=1, max_size=len(tokens))))
    head = draw(st.sampled_from([(), (5, 6), (9, 8, 7)]))
    weight = st.sampled_from((-1.5, -0.1, 0.0, 0.25, 1.0))
    weights = draw(st.lists(weight, min_size=len(predicted), max_size=len(predicted)))
    return Target(head, tokens, predicted, tuple(weights))


@pytest.fixture(scope="module", params=[(d, a) for d in DEVICES for a in ("qwen2", "llama")])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[BaseModel, BaseModel]]:
    """The same model with room for fixed addresses and without."""
    device, architecture = request.param
    yield build_on(device, ROOM, architecture), build_on(device, 0, architecture)


def assert_same(ours: list[Found], theirs: list[Found]) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.losses, other.losses, rtol=1e-4, atol=1e-4)
        scale = float(other.gradient.abs().max())
        torch.testing.assert_close(mine.gradient, other.gradient, rtol=1e-3, atol=1e-4 * scale)
        assert all(map(torch.equal, mine.hits, other.hits))


@settings(max_examples=40, deadline=None)
@given(
    learners=st.lists(
        st.tuples(st.integers(1, 9), st.lists(targets(), min_size=1, max_size=5)),
        min_size=1,
        max_size=4,
    )
)
def test_any_work_has_the_losses_hits_and_gradients_of_packed_passes(
    pair: tuple[BaseModel, BaseModel], learners: list[tuple[int, list[Target]]]
) -> None:
    static, packed = pair
    generator = torch.Generator().manual_seed(0)
    work: list[Work] = [
        (torch.randn((length, 32), generator=generator), own) for length, own in learners
    ]
    with mock.patch.object(Batch, "__init__", side_effect=AssertionError):
        ours = finished(find_gradients(static, work))
    assert_same(ours, finished(find_gradients(packed, work)))
    assert len(static.fixtures)


def of_three(base_model: BaseModel) -> list[Work]:
    learners = [new_learner(base_model, LearnerConfig(seed=seed)) for seed in range(3)]
    return [
        (one.prompt, answer_targets(base_model, one, PROBLEMS[place:]))
        for place, one in enumerate(learners)
    ]


@pytest.mark.parametrize("device", DEVICES)
def test_again_and_again_it_is_the_same(device: str) -> None:
    """The first pass is run, the second captured; another size in between changes nothing."""
    static = build_on(device, ROOM)
    work = of_three(static)
    first = finished(find_gradients(static, work))
    for _ in range(3):
        finished(find_gradients(static, work[:1]))
        again = finished(find_gradients(static, work))
        for one, other in zip(first, again, strict=True):
            assert torch.equal(one.gradient, other.gradient)
            assert all(map(torch.equal, one.losses, other.losses))
    assert len(static.fixtures) == 2


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("poison", [torch.nan, torch.inf])
def test_a_number_that_is_not_finite_stays_with_its_prompt(device: str, poison: float) -> None:
    static = build_on(device, ROOM)
    work = of_three(static)
    expected = finished(find_gradients(static, work))
    broken = (work[1][0] + poison, work[1][1])
    for _ in range(2):
        first, second, third = finished(find_gradients(static, [work[0], broken, work[2]]))
        assert_same([first, third], [expected[0], expected[2]])
        assert not second.gradient.isfinite().any()
    (alone,) = finished(find_gradients(static, [broken]))
    assert not alone.gradient.isfinite().any()
    assert_same(finished(find_gradients(static, work)), expected)


@pytest.mark.parametrize("device", DEVICES)
def test_merged_steps_are_those_of_each_alone(device: str) -> None:
    static = build_on(device, ROOM)
    requests = [
        (new_learner(static, LearnerConfig(seed=i, chat_template=i % 2 == 0)), [problem])
        for i, problem in enumerate(PROBLEMS)
    ]
    for (learner, report), (start, problems) in zip(
        train_steps(static, requests), requests, strict=True
    ):
        alone, own = train_step(static, start, problems)
        torch.testing.assert_close(learner.prompt, alone.prompt, rtol=1e-4, atol=1e-5)
        assert report.accepted and report.loss == pytest.approx(own.loss, rel=1e-4)


def test_passes_that_are_too_long_or_too_large_are_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    for room, most in ((ROOM, 100), (1000, 2048)):
        monkeypatch.setattr(dense_pass, "MOST_TOKENS", most)
        static = build_on("cpu", room)
        work = of_three(static)
        assert_same(
            finished(find_gradients(static, work)),
            finished(find_gradients(build_on("cpu", 0), work)),
        )
        assert not len(static.fixtures)
