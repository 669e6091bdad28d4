"""Learning from reward: the plain policy gradient, merged, reproducible, blind to the answer."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from arena import Grade
from learner.learning import reward, training
from learner.learning.gradients import Work
from learner.learning.thumbs import Thumbs
from learner.learning.training import Material, train_step, train_steps
from learner.model.base_model import BaseModel
from learner.model.formatting import encode
from tests.learner.rewarded import PROBLEMS, RIGHT, WRONG, learner, texts
from tests.learner.tiny_models import build_base_model, build_model

pytestmark = pytest.mark.usefixtures("short_samples")


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


def test_a_learner_whose_groups_agree_has_no_row_in_its_neighbours_pass(
    qwen2: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reward, "grade", lambda *_: WRONG)
    given: list[Work] = []
    real = training.find_gradients

    def recorded(base_model: BaseModel, work: list[Work], paces: object) -> object:
        given.extend(work)
        return real(base_model, work)

    monkeypatch.setattr(training, "find_gradients", recorded)
    told = learner(qwen2, signal="answer")
    train_steps(qwen2, [(learner(qwen2), PROBLEMS), (told, PROBLEMS)])
    assert [prompt for prompt, _ in given] == [told.prompt]
