"""A merged step must be what each learner would have learnt alone, and exactly Adam."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.problem import Problem
from learner.learning import gradients
from learner.learning.learner import MAX_HISTORY, Learner, LearnerConfig, StepRecord, new_learner
from learner.learning.optimiser import adam
from learner.learning.training import StepReport, train_step, train_steps
from learner.learning.worked_examples import worked_examples
from learner.model.base_model import BaseModel
from learner.model.formatting import encode
from learner.model.forward import Batch, Row
from learner.model.memory import Budget
from tests.learner.tiny_models import build_base_model, build_model


def problem(question: str, answer: str) -> Problem:
    return Problem("own", 0, question, answer, "text")


PROBLEMS = (
    problem("What comes next: 2, 4, 6, 8?", "10"),
    problem("Alice is taller than Bob. Who is the tallest?", "Alice"),
    problem("Did it rain?", "No"),
    problem("There are 12 apples in 3 boxes, all boxes hold the same. How many in each?", "4"),
    problem("Which colour? red or blue?", "blue"),
)


def learner(base_model: BaseModel, seed: int = 0, **config: object) -> Learner:
    return new_learner(base_model, LearnerConfig(seed=seed, **config))


def tensors(value: Learner) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return value.prompt, value.first_moment, value.second_moment


def assert_close(
    one: tuple[Learner, StepReport], other: tuple[Learner, StepReport], tolerance: float = 2e-5
) -> None:
    assert one[1].correct == other[1].correct
    assert math.isclose(one[1].loss, other[1].loss, rel_tol=tolerance)
    assert math.isclose(one[1].grad_norm, other[1].grad_norm, rel_tol=10 * tolerance)
    # Adam's first step is the sign of the gradient, so compare what it was made of.
    torch.testing.assert_close(
        one[0].first_moment, other[0].first_moment, rtol=1e-3, atol=tolerance
    )


@st.composite
def requests(draw: st.DrawFn) -> list[tuple[dict, list[Problem]]]:
    made = []
    for seed in range(draw(st.integers(2, 5))):
        config = {
            "seed": seed,
            "soft_tokens": draw(st.integers(1, 6)),
            "chat_template": draw(st.booleans()),
        }
        made.append((config, draw(st.lists(st.sampled_from(PROBLEMS), min_size=1, max_size=4))))
    return made


@settings(max_examples=12, deadline=None)
@given(requests=requests(), architecture=st.sampled_from(["qwen2", "llama"]))
def test_merged_steps_are_the_same_steps_taken_alone(
    requests: list[tuple[dict, list[Problem]]], architecture: str
) -> None:
    base_model = build_base_model(architecture)
    made = [(learner(base_model, **config), problems) for config, problems in requests]
    for (value, problems), merged in zip(made, train_steps(base_model, made), strict=True):
        assert_close(merged, train_step(base_model, value, problems))


def test_a_pass_cut_into_several_learns_the_same(
    base_model: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [(learner(base_model, seed), PROBLEMS[seed : seed + 3]) for seed in range(3)]
    whole = train_steps(base_model, made)
    small = Budget(tokens=60, free=1 << 40, token=1, logits=1)
    monkeypatch.setattr(gradients, "training_budget", lambda _: small)
    for one, other in zip(whole, train_steps(base_model, made), strict=True):
        assert_close(one, other)


@pytest.mark.parametrize("chat_template", [False, True])
@pytest.mark.parametrize("end_weight", [1.0, 0.0, 2.5])
def test_loss_and_gradient_are_those_of_the_plain_forward(
    base_model: BaseModel, chat_template: bool, end_weight: float
) -> None:
    """Against the unmodified model: whole rows one by one, cross-entropy on the answer alone."""
    value = learner(
        base_model,
        soft_tokens=4,
        chat_template=chat_template,
        max_grad_norm=1e9,
        end_weight=end_weight,
    )
    model = build_model("llama" if "llama" in base_model.name else "qwen2").eval()
    prompt = value.prompt.clone().requires_grad_()
    losses, weights, hits = [], [], []
    for item in PROBLEMS:
        row = encode(base_model, item.question, item.answer, chat_template)
        ids = torch.tensor(row.head + row.question + row.answer)
        embeddings = torch.cat((prompt, model.get_input_embeddings()(ids)))
        logits = model(inputs_embeds=embeddings[None]).logits[0, -len(row.answer) - 1 : -1]
        gold = ids[-len(row.answer) :]
        losses.append(F.cross_entropy(logits, gold, reduction="none"))
        weights += [1.0] * (len(gold) - 1) + [end_weight]
        hits.append(bool((logits.argmax(-1) == gold).all()))
    loss = (torch.cat(losses) * torch.tensor(weights)).sum() / sum(weights)
    loss.backward()
    stepped, report = train_step(base_model, value, PROBLEMS)
    assert prompt.grad is not None
    assert math.isclose(report.loss, loss.item(), rel_tol=1e-5)
    assert math.isclose(report.grad_norm, float(prompt.grad.norm()), rel_tol=1e-3)
    assert report.correct == tuple(hits)
    expected = 0.1 * prompt.grad
    assert (stepped.first_moment - expected).norm() <= 1e-4 * expected.norm()


@pytest.mark.parametrize("chat_template", [False, True])
@pytest.mark.parametrize("shots", [0, 2])
def test_the_loss_over_the_whole_text_leaves_out_only_its_first_token(
    base_model: BaseModel, chat_template: bool, shots: int
) -> None:
    """As in the original experiments: the logits from the text's first token on, shifted by one."""
    value = learner(
        base_model, soft_tokens=4, chat_template=chat_template, loss="text", shots=shots
    )
    value = replace(value, config=replace(value.config, max_grad_norm=1e9))
    model = build_model("llama" if "llama" in base_model.name else "qwen2").eval()
    prompt = value.prompt.clone().requires_grad_()
    losses, hits = [], []
    for item in PROBLEMS[:3]:
        row = encode(base_model, item.question, item.answer, chat_template, worked_examples(shots))
        ids = torch.tensor(row.head + row.question + row.answer)
        embeddings = torch.cat((prompt, model.get_input_embeddings()(ids)))
        logits = model(inputs_embeds=embeddings[None]).logits[0, 4:-1]
        losses.append(F.cross_entropy(logits, ids[1:], reduction="none"))
        right = logits.argmax(-1) == ids[1:]
        hits.append(bool(right[-len(row.answer) :].all()))
    loss = torch.cat(losses).mean()
    loss.backward()
    _, report = train_step(base_model, value, PROBLEMS[:3])
    assert prompt.grad is not None
    assert math.isclose(report.loss, loss.item(), rel_tol=1e-5)
    assert math.isclose(report.grad_norm, float(prompt.grad.norm()), rel_tol=1e-3)
    assert report.correct == tuple(hits)


def test_losses_of_both_kinds_merge(base_model: BaseModel) -> None:
    made = [
        (learner(base_model, seed, loss=loss, shots=seed), PROBLEMS[:2])
        for seed, loss in enumerate(("answer", "text", "answer"))
    ]
    for (value, problems), merged in zip(made, train_steps(base_model, made), strict=True):
        assert_close(merged, train_step(base_model, value, problems))


def test_learning_from_answers_is_one_plain_step_of_torch_to_the_bit(base_model: BaseModel) -> None:
    """One packed pass, cross-entropy, clipping by torch, torch's Adam: nothing else happens."""
    value = learner(base_model, seed=4, chat_template=True)
    parameter = value.prompt.clone().requires_grad_()
    optimiser = torch.optim.Adam([parameter], lr=value.config.learning_rate)
    for start in range(3):
        problems = PROBLEMS[start : start + 2]
        rows = [encode(base_model, item.question, item.answer, True) for item in problems]
        batch = Batch(
            base_model,
            [Row(0, row.head, (row.question + row.answer)[:-1], len(row.answer)) for row in rows],
            [len(parameter)],
        )
        gold = torch.tensor([token for row in rows for token in row.answer])
        optimiser.zero_grad()
        losses = F.cross_entropy(batch.logits(parameter), gold, reduction="none")
        (losses * torch.full_like(losses, 1 / len(gold))).sum().backward()
        torch.nn.utils.clip_grad_norm_([parameter], value.config.max_grad_norm)
        optimiser.step()
        value, _ = train_step(base_model, value, problems)
        assert torch.equal(value.prompt, parameter.detach())


def test_adam_is_torch_adam_to_the_bit() -> None:
    generator = torch.Generator().manual_seed(0)
    base_model = build_base_model("qwen2")
    rates = (1e-3, 1e-2, 0.3)
    learners = [learner(base_model, seed, learning_rate=rate) for seed, rate in enumerate(rates)]
    parameters = [value.prompt.clone().requires_grad_() for value in learners]
    optimisers = [
        torch.optim.Adam([parameter], lr=rate)
        for parameter, rate in zip(parameters, rates, strict=True)
    ]
    for _ in range(25):
        gradients = torch.randn((3, *learners[0].prompt.shape), generator=generator)
        stacked = zip(*adam(learners, gradients), strict=True)
        for i, (prompt, first, second) in enumerate(stacked):
            parameters[i].grad = gradients[i].clone()
            optimisers[i].step()
            assert torch.equal(prompt, parameters[i].detach())
            learners[i] = replace(
                learners[i],
                prompt=prompt,
                first_moment=first,
                second_moment=second,
                steps=learners[i].steps + 1,
            )


def test_the_gradient_is_clipped_by_its_norm_for_each_learner(qwen2: BaseModel) -> None:
    loose = learner(qwen2, max_grad_norm=1e9)
    tight = learner(qwen2, max_grad_norm=0.5)
    (free, report), (clipped, _) = train_steps(qwen2, [(loose, PROBLEMS), (tight, PROBLEMS)])
    assert report.grad_norm > 0.5
    torch.testing.assert_close(
        clipped.first_moment, free.first_moment * 0.5 / report.grad_norm, rtol=1e-3, atol=1e-8
    )


def test_a_step_is_a_new_value(qwen2: BaseModel) -> None:
    before = learner(qwen2)
    copies = [tensor.clone() for tensor in tensors(before)]
    after, report = train_step(qwen2, before, PROBLEMS[:2])
    assert report.accepted and report.message == ""
    assert all(map(torch.equal, tensors(before), copies))
    assert (before.steps, before.episodes, before.history) == (0, 0, ())
    assert (after.steps, after.episodes) == (1, 2)
    assert after.history == (
        StepRecord(1, 2, report.loss, sum(report.correct), 2, report.grad_norm, False),
    )
    assert not torch.equal(after.prompt, before.prompt)
    assert all(tensor.dtype == torch.float32 for tensor in tensors(after))


def test_the_base_model_is_bit_for_bit_the_same_after_training(base_model: BaseModel) -> None:
    before = [parameter.clone() for parameter in base_model.model.parameters()]
    train_steps(base_model, [(learner(base_model, seed), PROBLEMS) for seed in range(3)])
    for parameter, copy in zip(base_model.model.parameters(), before, strict=True):
        assert torch.equal(parameter, copy)
        assert parameter.grad is None


def test_one_learner_that_breaks_breaks_alone(qwen2: BaseModel) -> None:
    healthy = [learner(qwen2, seed) for seed in range(2)]
    broken = replace(healthy[0], prompt=torch.full_like(healthy[0].prompt, torch.nan))
    results = train_steps(
        qwen2, [(healthy[0], PROBLEMS), (broken, PROBLEMS), (healthy[1], PROBLEMS)]
    )
    assert results[1][0] is broken
    assert not results[1][1].accepted
    assert "not a finite number" in results[1][1].message
    for value, result in zip(healthy, (results[0], results[2]), strict=True):
        assert_close(result, train_step(qwen2, value, PROBLEMS))


def test_a_step_that_leaves_the_numbers_is_not_taken(qwen2: BaseModel) -> None:
    reckless = learner(qwen2, learning_rate=3e38)
    exploded = replace(reckless, prompt=torch.full_like(reckless.prompt, 3e38))
    after, report = train_step(qwen2, exploded, PROBLEMS[:1])
    assert after is exploded
    assert not report.accepted


@pytest.mark.parametrize(
    ("problems", "says"),
    [
        ((), "no problem"),
        ((problem("Who?", "  "),), "no answer"),
        ((problem("  ", "me"),), "no question"),
        ((problem("why " * 600, "me"),), "too long"),
    ],
)
def test_what_cannot_be_learnt_from_is_said_and_hurts_nobody(
    qwen2: BaseModel, problems: tuple[Problem, ...], says: str
) -> None:
    value, other = learner(qwen2), learner(qwen2, 1)
    (after, report), neighbour = train_steps(qwen2, [(value, problems), (other, PROBLEMS)])
    assert after is value
    assert not report.accepted and says in report.message
    assert_close(neighbour, train_step(qwen2, other, PROBLEMS))


def test_a_prompt_of_another_model_is_refused(qwen2: BaseModel) -> None:
    value = learner(qwen2)
    foreign = replace(value, prompt=torch.zeros(8, 7), source=replace(value.source, name="other"))
    after, report = train_step(qwen2, foreign, PROBLEMS)
    assert after is foreign
    assert not report.accepted and "other" in report.message


def test_training_lowers_the_loss_and_ends_in_the_right_answer(base_model: BaseModel) -> None:
    value = learner(base_model, learning_rate=0.05)
    reports = []
    for _ in range(60):
        value, report = train_step(base_model, value, PROBLEMS[:1])
        reports.append(report)
    assert reports[-1].loss < 0.2 * reports[0].loss
    assert reports[-1].correct == (True,)


def test_a_learner_remembers_the_families_that_it_learnt_from(qwen2: BaseModel) -> None:
    value = learner(qwen2)
    assert value.families == ()
    for families, known in ((["own"], ("own",)), (["causal", "own"], ("causal", "own"))):
        problems = [replace(PROBLEMS[0], family=family) for family in families]
        value, report = train_step(qwen2, value, problems)
        assert report.accepted and value.families == known
    refused, report = train_step(qwen2, value, [replace(PROBLEMS[0], family="x", answer="")])
    assert not report.accepted and refused.families == ("causal", "own")


def test_the_same_seed_learns_the_same_bits(qwen2: BaseModel) -> None:
    results = []
    for _ in range(2):
        value = learner(qwen2, seed=5)
        for start in range(3):
            value, _ = train_step(qwen2, value, PROBLEMS[start : start + 2])
        results.append(value)
    assert all(map(torch.equal, *map(tensors, results)))


def test_history_keeps_the_newest_steps(qwen2: BaseModel) -> None:
    record = StepRecord(1, 1, 1.0, 0, 1, 1.0, False)
    value = replace(learner(qwen2), history=(record,) * MAX_HISTORY, steps=MAX_HISTORY)
    after, _ = train_step(qwen2, value, PROBLEMS[:1])
    assert len(after.history) == MAX_HISTORY
    assert after.history[-1].step == MAX_HISTORY + 1


def test_bfloat16_learns_about_the_same(qwen2: BaseModel) -> None:
    rough = build_base_model("qwen2", dtype=torch.bfloat16)
    exact, close = (train_step(model, learner(model), PROBLEMS)[1] for model in (qwen2, rough))
    assert math.isclose(exact.loss, close.loss, rel_tol=0.05)
    assert math.isclose(exact.grad_norm, close.grad_norm, rel_tol=0.3)
