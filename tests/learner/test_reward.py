"""Learning from reward: the plain policy gradient, merged, reproducible, blind to the answer."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from arena import FAMILIES, Grade, Problem, held_out
from learner import reward, training
from learner.base_model import BaseModel
from learner.checkpoint import load, save
from learner.completion import Ask, Completion
from learner.formatting import encode
from learner.gradients import Work
from learner.reward import MAX_SAMPLE_TOKENS, Group, Sample, advantages, draw_groups
from learner.soft_prompt import Learner, LearnerConfig, new_learner
from learner.thumbs import Thumbs
from learner.training import Material, StepReport, train_step, train_steps
from tests.learner.tiny_models import build_base_model, build_model

PROBLEMS = (
    Problem("own", 0, "What comes next: 2, 4, 6, 8?", "10", "number"),
    Problem("own", 0, "Alice is taller than Bob. Who is the tallest?", "Alice", "text"),
    Problem("own", 0, "Which colour? red or blue?", "blue", "text"),
)
RIGHT, WRONG = Grade(True, "yes", ""), Grade(False, None, "")


def by_length(problem: Problem, text: str) -> Grade:
    """A verdict that a random model earns about half of the time, whatever the gold answer."""
    return RIGHT if len(text) % 2 else WRONG


@pytest.fixture(autouse=True)
def short_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random model hardly ever ends an answer by itself."""
    monkeypatch.setattr(reward, "MAX_SAMPLE_TOKENS", 6)


@pytest.fixture
def coin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples are graded by their length."""
    monkeypatch.setattr(reward, "grade", by_length)


def learner(base_model: BaseModel, seed: int = 0, **config: object) -> Learner:
    settings = {"signal": "reward", "samples_per_problem": 6, "max_grad_norm": 1e9, **config}
    return new_learner(base_model, LearnerConfig(seed=seed, **settings))


def texts(report: StepReport) -> list[list[tuple[int, ...]]]:
    return [[sample.completion.ids for sample in group.samples] for group in report.groups]


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


@pytest.mark.usefixtures("coin")
@pytest.mark.parametrize("chat_template", [False, True])
def test_the_gradient_is_the_plain_policy_gradient(
    base_model: BaseModel, chat_template: bool
) -> None:
    """Against the unmodified model: every sample a whole row, − advantage · log p, one by one."""
    value = learner(base_model, soft_tokens=4, chat_template=chat_template)
    stepped, report = train_step(base_model, value, PROBLEMS)
    assert report.accepted and report.samples is not None and report.samples.with_signal >= 2
    model = build_model("llama" if "llama" in base_model.name else "qwen2").eval()
    prompt = value.prompt.clone().requires_grad_()
    losses = []
    for drawn in report.groups:
        rewards = [sample.reward for sample in drawn.samples]
        row = encode(base_model, drawn.problem.question, None, chat_template)
        for sample, earned in zip(drawn.samples, rewards, strict=True):
            written = torch.tensor(sample.completion.ids)
            ids = torch.tensor([*row.head, *row.question, *sample.completion.ids])
            embeddings = torch.cat((prompt, model.get_input_embeddings()(ids)))
            logits = model(inputs_embeds=embeddings[None]).logits[0, -len(written) - 1 : -1]
            log_p = -F.cross_entropy(logits, written, reduction="sum")
            losses.append(-(earned - sum(rewards) / len(rewards)) * log_p)
    tokens = sum(sum(map(len, ids)) for ids in texts(report))
    (torch.stack(losses).sum() / tokens).backward()
    assert prompt.grad is not None
    assert math.isclose(report.grad_norm, float(prompt.grad.norm()), rel_tol=1e-3)
    expected = 0.1 * prompt.grad
    assert (stepped.first_moment - expected).norm() <= 1e-3 * expected.norm()


@st.composite
def requests(draw: st.DrawFn) -> list[tuple[dict, list[Material]]]:
    made: list[tuple[dict, list[Material]]] = []
    for seed in range(draw(st.integers(2, 5))):
        signal = draw(st.sampled_from(["answer", "reward", "mix", "thumbs"]))
        config = {
            "soft_tokens": draw(st.integers(1, 6)),
            "chat_template": draw(st.booleans()),
            "signal": "reward" if signal == "thumbs" else signal,
            "samples_per_problem": draw(st.integers(2, 6)),
        }
        problems = draw(st.lists(st.sampled_from(PROBLEMS), min_size=1, max_size=3))
        marked = Thumbs(problems[0].question, ((5, 6), (7,), (8, 9, 10)), (1, -1, -1))
        made.append(({"seed": seed, **config}, [marked] if signal == "thumbs" else [*problems]))
    return made


@pytest.mark.usefixtures("coin")
@settings(max_examples=8, deadline=None)
@given(requests=requests(), architecture=st.sampled_from(["qwen2", "llama"]))
def test_merged_steps_of_all_signals_are_the_same_steps_taken_alone(
    requests: list[tuple[dict, list[Material]]], architecture: str
) -> None:
    base_model = build_base_model(architecture)
    made = [(learner(base_model, **config), material) for config, material in requests]
    for (value, material), merged in zip(made, train_steps(base_model, made), strict=True):
        after, report = train_step(base_model, value, material)
        assert texts(merged[1]) == texts(report)
        assert merged[1].message == report.message
        assert merged[1].correct == report.correct
        assert merged[1].agreed == report.agreed and merged[1].accepted == report.accepted
        assert math.isclose(merged[1].loss, report.loss, rel_tol=2e-5)
        assert math.isclose(merged[1].grad_norm, report.grad_norm, rel_tol=1e-3, abs_tol=1e-7)
        torch.testing.assert_close(merged[0].first_moment, after.first_moment, rtol=1e-3, atol=2e-5)
        for one, other in zip(merged[1].marked, report.marked, strict=True):
            assert one.after == pytest.approx(other.after, rel=1e-2)


@pytest.mark.usefixtures("coin")
def test_a_mix_descends_the_sum_of_both(base_model: BaseModel) -> None:
    one, other, both = (
        train_step(base_model, learner(base_model, signal=signal), PROBLEMS)
        for signal in ("answer", "reward", "mix")
    )
    torch.testing.assert_close(
        both[0].first_moment, one[0].first_moment + other[0].first_moment, rtol=1e-3, atol=1e-6
    )
    assert both[1].loss == pytest.approx(one[1].loss)
    assert both[1].correct == one[1].correct
    assert texts(both[1]) == texts(other[1])


@pytest.mark.usefixtures("coin")
def test_the_gold_answer_never_enters_the_step(qwen2: BaseModel) -> None:
    """The same bits whatever the answer is, and nothing is predicted but what was sampled."""
    value = learner(qwen2)
    swapped = [replace(problem, answer="something else") for problem in PROBLEMS]
    (one, _), (other, report) = (train_step(qwen2, value, given) for given in (PROBLEMS, swapped))
    assert torch.equal(one.prompt, other.prompt)
    assert torch.equal(one.second_moment, other.second_moment)
    sampled = {ids for group in texts(report) for ids in group}
    for target in reward.policy_targets(qwen2, value, report.groups):
        assert target.predicted in sampled and target.answer == 0


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
    assert [(target.predicted, target.weight * tokens) for target in targets] == [
        ((5, 6), pytest.approx(1.0)),
        ((7,), pytest.approx(-0.5)),
        ((8, 9, 9), pytest.approx(-0.5)),
    ]
    assert len({target.head for target in targets}) == 1


@pytest.mark.parametrize(
    ("verdicts", "says"),
    [
        ((RIGHT, RIGHT, RIGHT), "all tries at all 3 problems were right"),
        ((WRONG, WRONG, WRONG), "all tries at all 3 problems were wrong"),
        ((RIGHT, WRONG, WRONG), "all 6 tries were right at 1 of 3 problems, wrong elsewhere"),
        ((WRONG,), "all 6 tries were wrong"),
    ],
)
def test_where_all_groups_agree_there_is_no_backward_pass_and_no_step(
    qwen2: BaseModel, monkeypatch: pytest.MonkeyPatch, verdicts: tuple[Grade, ...], says: str
) -> None:
    chosen = PROBLEMS[: len(verdicts)]
    verdict = dict(zip(chosen, verdicts, strict=True))
    monkeypatch.setattr(reward, "grade", lambda problem, _: verdict[problem])
    monkeypatch.setattr(training, "find_gradients", lambda *_: pytest.fail("a backward pass"))
    before = learner(qwen2)
    after, report = train_step(qwen2, before, chosen)
    assert not report.accepted and report.agreed and report.grad_norm == 0
    assert says in report.message
    assert (after.steps, after.episodes, after.history) == (0, len(chosen), ())
    assert after.prompt is before.prompt and after.second_moment is before.second_moment
    assert report.samples is not None and report.samples.with_signal == 0


def test_trying_again_after_a_step_that_was_none_draws_other_samples(
    qwen2: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reward, "grade", lambda *_: WRONG)
    value, first = train_step(qwen2, learner(qwen2), PROBLEMS[:1])
    _, second = train_step(qwen2, value, PROBLEMS[:1])
    assert texts(first) != texts(second)


@pytest.mark.usefixtures("coin")
def test_the_same_seed_learns_the_same_bits(qwen2: BaseModel) -> None:
    results = []
    for seed in (5, 5, 6):
        value = learner(qwen2, seed)
        for start in range(2):
            value, _ = train_step(qwen2, value, PROBLEMS[start : start + 2])
        results.append(value)
    assert torch.equal(results[0].prompt, results[1].prompt)
    assert results[0].history == results[1].history
    assert not torch.equal(results[0].prompt, results[2].prompt)


def test_samples_are_no_longer_than_an_answer_may_be(
    qwen2: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those of a model that never ends by itself."""
    monkeypatch.setattr("learner.completion._Decoding._ends", lambda *_: False)
    monkeypatch.setattr(reward, "MAX_SAMPLE_TOKENS", MAX_SAMPLE_TOKENS)
    ((drawn, *_),) = draw_groups(qwen2, [(learner(qwen2), PROBLEMS[:1])])
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

    def hedging(_: BaseModel, asks: list[Ask], limit: int) -> list[Completion]:
        written = [HEDGES[hedge](asked[ask.question]) for ask in asks]
        return [Completion(text, 3, True, 0.0, (5, 6, 7), 0.5) for text in written]

    monkeypatch.setattr(reward, "complete", hedging)
    (groups,) = draw_groups(qwen2, [(learner(qwen2), problems)])
    earned = [sample.reward for group in groups for sample in group.samples]
    assert sum(earned) == 0


@pytest.mark.parametrize("seed", [0, 1])
def test_reward_alone_teaches(qwen2: BaseModel, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """What is paid for becomes what is said, with no example of it ever shown."""
    monkeypatch.setattr(reward, "grade", lambda _, text: RIGHT if text[:1].isalpha() else WRONG)
    monkeypatch.setattr(reward, "MAX_SAMPLE_TOKENS", 1)
    value = learner(qwen2, seed, learning_rate=0.1, samples_per_problem=16)
    earned = []
    for _ in range(50):
        value, report = train_step(qwen2, value, PROBLEMS[:1])
        earned.append(1 - report.loss)
    assert sum(earned[:10]) / 10 < 0.6
    assert sum(earned[-10:]) / 10 > 0.8


@pytest.mark.usefixtures("coin")
def test_one_learner_that_breaks_breaks_alone(qwen2: BaseModel) -> None:
    healthy = learner(qwen2)
    broken = replace(healthy, prompt=torch.full_like(healthy.prompt, torch.nan))
    (same, report), (after, _) = train_steps(qwen2, [(broken, PROBLEMS), (healthy, PROBLEMS)])
    assert same is broken
    assert not report.accepted and "not a finite number" in report.message
    torch.testing.assert_close(
        after.first_moment,
        train_step(qwen2, healthy, PROBLEMS)[0].first_moment,
        rtol=1e-3,
        atol=2e-5,
    )


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


def test_a_learner_whose_groups_agree_has_no_row_in_its_neighbours_pass(
    qwen2: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reward, "grade", lambda *_: WRONG)
    given: list[Work] = []
    real = training.find_gradients

    def recorded(base_model: BaseModel, work: list[Work]) -> object:
        given.extend(work)
        return real(base_model, work)

    monkeypatch.setattr(training, "find_gradients", recorded)
    told = learner(qwen2, signal="answer")
    train_steps(qwen2, [(learner(qwen2), PROBLEMS), (told, PROBLEMS)])
    assert [prompt for prompt, _ in given] == [told.prompt]
