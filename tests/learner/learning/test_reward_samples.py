"""What is tried for a reward: how much of it, what it earns, and what is remembered of it."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena import FAMILIES, Problem, held_out
from learner.checkpoint.files import load, save
from learner.learning import reward
from learner.learning.reward import MAX_SAMPLE_TOKENS, draw_groups
from learner.learning.step_report import Group, Sample, advantages
from learner.learning.training import train_step, train_steps
from learner.model.base_model import BaseModel
from learner.model.completion import Ask, Completion
from learner.model.turns import Turns, finished
from tests.learner.rewarded import PROBLEMS, RIGHT, WRONG, learner, texts

pytestmark = pytest.mark.usefixtures("short_samples")


def group(*rewards: bool) -> Group:
    done = Completion("", 1, True, 0.0, (1,), 0.5)
    samples = tuple(Sample(done, RIGHT if right else WRONG) for right in rewards)
    return Group(PROBLEMS[0], samples)


@given(st.lists(st.booleans(), min_size=2, max_size=12))
def test_advantages_are_rewards_less_their_mean(rewards: list[bool]) -> None:
    values = group(*rewards).advantages
    assert sum(values) == pytest.approx(0, abs=1e-9)
    assert group(*rewards).agrees == (not any(values)) == (len(set(rewards)) == 1)
    for right, value in zip(rewards, values, strict=True):
        assert value == pytest.approx(right - sum(rewards) / len(rewards))
    assert values == advantages([float(right) for right in rewards])


def test_groups_that_agree_are_not_run_and_each_distinct_completion_runs_once(
    qwen2: BaseModel,
) -> None:
    def done(*ids: int) -> Completion:
        return Completion("", len(ids), True, 0.0, ids, 0.5)

    split = Group(
        PROBLEMS[0],
        (
            Sample(done(5, 6), RIGHT),
            Sample(done(7), WRONG),
            Sample(done(5, 6), RIGHT),
            Sample(done(8, 9, 9), WRONG),
        ),
    )
    same = Group(PROBLEMS[1], (Sample(done(5), WRONG), Sample(done(6, 6, 6, 6), WRONG)))
    targets = reward.policy_targets(qwen2, learner(qwen2), [same, split])
    tokens = 2 + 1 + 2 + 3 + 1 + 4  # those of the group that agrees included
    assert [(target.predicted, [w * tokens for w in target.weights]) for target in targets] == [
        ((5, 6), pytest.approx([1.0, 1.0])),
        ((7,), pytest.approx([-0.5])),
        ((8, 9, 9), pytest.approx([-0.5] * 3)),
    ]
    assert len({target.head for target in targets}) == 1


def test_trying_again_after_a_step_that_was_none_draws_other_samples(
    qwen2: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reward, "grade", lambda *_: WRONG)
    value, first = train_step(qwen2, learner(qwen2), PROBLEMS[:1])
    _, second = train_step(qwen2, value, PROBLEMS[:1])
    assert texts(first) != texts(second)


def test_samples_are_no_longer_than_an_answer_may_be(
    qwen2: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those of a model that never ends by itself."""
    monkeypatch.setattr("learner.model.completion.Writing._ends", lambda *_: False)
    monkeypatch.setattr(reward, "MAX_SAMPLE_TOKENS", MAX_SAMPLE_TOKENS)
    ((drawn, *_),) = finished(draw_groups(qwen2, [(learner(qwen2), PROBLEMS[:1])]))
    assert {len(sample.completion.ids) for sample in drawn.samples} == {MAX_SAMPLE_TOKENS}


HEDGES: dict[str, Callable[[Problem], str]] = {
    "all choices": lambda problem: " or ".join(problem.choices or ("1", "2", "3", problem.answer)),
    "all choices, listed": lambda problem: ", ".join(problem.choices or ("Yes", "No")),
    "yes and no": lambda _: "Yes and no",
    "nothing": lambda _: "",
    "a blank": lambda _: "____",
    "the question": lambda problem: problem.question,
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("hedge", HEDGES)
def test_hedging_listing_and_silence_earn_nothing(
    qwen2: BaseModel, monkeypatch: pytest.MonkeyPatch, family: str, hedge: str
) -> None:
    """A policy that names every possible answer is graded as one that knows none."""
    problems = held_out(12, families=[family], split="train")
    asked = {problem.question: problem for problem in problems}

    def hedging(_: BaseModel, asks: list[Ask], *__: object) -> Turns[list[Completion]]:
        yield
        written = [HEDGES[hedge](asked[ask.question]) for ask in asks]
        return [Completion(text, 3, True, 0.0, (5, 6, 7), 0.5) for text in written]

    monkeypatch.setattr(reward, "complete_in_turns", hedging)
    (groups,) = finished(draw_groups(qwen2, [(learner(qwen2), problems)]))
    earned = [sample.reward for group in groups for sample in group.samples]
    assert sum(earned) == 0


@pytest.mark.parametrize(
    ("problem", "says"),
    [
        (Problem("own", 0, "Who?", "", "text"), "no answer to grade by"),
        (Problem("own", 0, "why " * 151, "me", "text"), "too long"),
        (Problem("own", 0, "  ", "me", "text"), "no question"),
    ],
)
def test_what_cannot_be_tried_is_said_and_hurts_nobody(
    qwen2: BaseModel, problem: Problem, says: str
) -> None:
    value, other = learner(qwen2), learner(qwen2, 1, signal="answer")
    (after, report), (_, neighbour) = train_steps(qwen2, [(value, [problem]), (other, PROBLEMS)])
    assert after is value
    assert not report.accepted and says in report.message and not report.agreed
    assert neighbour.accepted


@pytest.mark.usefixtures("coin")
@pytest.mark.parametrize("signal", ["reward", "mix"])
def test_the_history_says_what_was_tried_and_survives_a_checkpoint(
    qwen2: BaseModel, signal: str, tmp_path: Path
) -> None:
    value, report = train_step(qwen2, learner(qwen2, signal=signal), PROBLEMS)
    (record,), drawn = value.history, report.samples
    assert drawn is not None and record.signal == signal
    assert (record.samples, record.reward) == (18, drawn.correct / 18)
    assert record.no_answer == drawn.no_answer == drawn.samples - drawn.correct
    assert record.with_signal == drawn.with_signal / 3
    assert record.length == sum(sum(map(len, ids)) for ids in texts(report)) / 18
    assert 0 < record.entropy == drawn.entropy < math.log(qwen2.vocabulary_size)
    if signal == "reward":
        assert record.loss == report.loss == 1 - drawn.reward
        assert (record.correct, record.total) == (drawn.correct, 18)
    else:
        assert (record.correct, record.total) == (sum(report.correct), 3)
    loaded = load(save(value, tmp_path / "prompt"), qwen2)
    assert loaded.history == value.history and loaded.config == value.config
