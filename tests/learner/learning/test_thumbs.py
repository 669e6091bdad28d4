"""A person's marks move exactly what they marked, in the direction they marked it."""

import math
import re
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from arena import Problem
from learner.learning import thumbs as thumbs_module
from learner.learning import training
from learner.learning.gradients import Work, find_gradients
from learner.learning.learner import Learner, LearnerConfig, StepRecord, new_learner
from learner.learning.thumbs import GOAL, MAX_MARKED, Thumbs
from learner.learning.training import train_step, train_steps
from learner.model.base_model import BaseModel
from learner.model.completion import Ask, Completion, complete
from learner.model.formatting import encode
from learner.model.loading import load_base_model
from learner.model.turns import Turns
from tests.learner.tiny_models import build_model

QUESTION = "Why is the sky blue?"
PROBLEM = Problem("own", 0, QUESTION, "air", "text")


def learner(base_model: BaseModel, **config: object) -> Learner:
    return new_learner(base_model, LearnerConfig(**config))


def thumbs(base_model: BaseModel, value: Learner, *marks: int) -> Thumbs:
    """Marks on distinct completions, sampled from the learner in its own format."""
    chat_template = value.config.chat_template
    asks = [Ask(QUESTION, chat_template, value.prompt, seed=seed) for seed in range(30)]
    tries = list(dict.fromkeys(done.ids for done in complete(base_model, asks, 2)))
    return Thumbs(QUESTION, tuple(tries[: len(marks)]), marks)


def plain_log_p(base_model: BaseModel, value: Learner, marked: Thumbs) -> list[torch.Tensor]:
    """log p of each completion in the unmodified model, with gradient to the prompt."""
    model = build_model("llama" if "llama" in base_model.name else "qwen2").eval()
    row = encode(base_model, QUESTION, None, value.config.chat_template)
    found = []
    for completion in marked.completions:
        ids = torch.tensor([*row.head, *row.question, *completion])
        embeddings = torch.cat((value.prompt, model.get_input_embeddings()(ids)))
        logits = model(inputs_embeds=embeddings[None]).logits[0, -len(completion) - 1 : -1]
        found.append(-F.cross_entropy(logits, torch.tensor(completion), reduction="sum"))
    return found


log_ps = st.floats(-20.0, -1e-2)


@given(marks=st.lists(st.tuples(st.sampled_from([1, -1]), log_ps), min_size=1, max_size=MAX_MARKED))
def test_the_loss_is_the_binary_cross_entropy_and_the_weights_its_slope(
    marks: list[tuple[int, float]],
) -> None:
    given_marks, log_p = zip(*marks, strict=True)
    marked = Thumbs("?", ((1,),) * len(marks), given_marks)
    variable = torch.tensor(log_p, dtype=torch.float64, requires_grad=True)
    liked = torch.tensor([mark > 0 for mark in given_marks], dtype=torch.float64)
    loss = F.binary_cross_entropy(variable.exp(), liked)
    loss.backward()
    assert variable.grad is not None
    assert marked.loss(log_p) == pytest.approx(loss.item(), rel=1e-6)
    assert marked.weights(log_p) == pytest.approx((-variable.grad).tolist(), rel=1e-6)


@given(st.lists(st.sampled_from([1.0, -1.0]), min_size=1, max_size=4), st.floats(0.01, 1))
def test_how_large_all_marks_are_together_changes_nothing(marks: list[float], size: float) -> None:
    """Only how much larger one is than another: the loss is a weighted mean."""
    ids, log_p = tuple((i,) for i in range(len(marks))), [-1.0 - i for i in range(len(marks))]
    plain = Thumbs("?", ids, tuple(marks))
    weighed = Thumbs("?", ids, tuple(size * mark for mark in marks))
    assert weighed.loss(log_p) == pytest.approx(plain.loss(log_p))
    assert weighed.weights(log_p) == pytest.approx(plain.weights(log_p))


@pytest.mark.parametrize("log_p", [0.0, 1e-6, -1e-9])
def test_what_is_said_for_certain_can_be_disliked(log_p: float) -> None:
    marked = Thumbs("?", ((1,),), (-1,))
    assert math.isfinite(marked.loss([log_p])) and -1001 < marked.weights([log_p])[0] < -900


@pytest.mark.parametrize("chat_template", [False, True])
@pytest.mark.parametrize("marks", [(1, -1, -1, 1), (1,), (-1,), (-1, -1, -1, -1), (1, 1)])
def test_liked_becomes_likelier_and_disliked_less_so(
    base_model: BaseModel, chat_template: bool, marks: tuple[int, ...]
) -> None:
    value = learner(base_model, chat_template=chat_template)
    marked = thumbs(base_model, value, *marks)
    after, report = train_step(base_model, value, [marked])
    assert report.accepted and report.message == ""
    then = [math.log(one.before) for one in report.marked]
    now = [math.log(one.after) for one in report.marked]
    assert marked.loss(now) < marked.loss(then) == pytest.approx(report.loss)
    if len(marks) == 1:
        assert marks[0] * (now[0] - then[0]) > 0
    assert not torch.equal(after.prompt, value.prompt)


def test_likelihoods_are_those_before_and_after(base_model: BaseModel) -> None:
    value = learner(base_model)
    marked = thumbs(base_model, value, 1, -1, -1)
    after, report = train_step(base_model, value, [marked])
    assert tuple(one.mark for one in report.marked) == marked.marks
    for name, place in (("before", value), ("after", after)):
        expected = [log_p.exp().item() for log_p in plain_log_p(base_model, place, marked)]
        assert [getattr(one, name) for one in report.marked] == pytest.approx(expected, rel=1e-3)


def test_the_first_step_follows_the_gradient_of_that_loss(
    base_model: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = learner(base_model)
    marked = thumbs(base_model, value, 1, -1, -1)
    variable = value.prompt.clone().requires_grad_()
    log_p = torch.stack(plain_log_p(base_model, replace(value, prompt=variable), marked))
    F.binary_cross_entropy(log_p.exp(), torch.tensor([1.0, 0.0, 0.0])).backward()
    gradients = []

    def recorded(model: BaseModel, work: list[Work], paces: object) -> Turns:
        found = yield from find_gradients(model, work)
        gradients.append(found[0].gradient)
        return found

    monkeypatch.setattr(thumbs_module, "find_gradients", recorded)
    train_step(base_model, value, [marked])
    assert variable.grad is not None
    assert (gradients[0] - variable.grad).norm() <= 1e-3 * variable.grad.norm()


def test_a_click_ends_when_the_loss_has_halved(
    qwen2: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or at the best place of its path, however rough the steps were."""
    value = learner(qwen2)
    marked = thumbs(qwen2, value, 1, -1, -1)
    losses = []
    real = Thumbs.loss
    monkeypatch.setattr(thumbs_module, "MAX_STEPS", 200)
    monkeypatch.setattr(
        Thumbs, "loss", lambda self, log_p: losses.append(real(self, log_p)) or losses[-1]
    )
    _, report = train_step(qwen2, value, [marked])
    end = real(marked, [math.log(one.after) for one in report.marked])
    assert end == pytest.approx(min(losses)) and end <= GOAL * report.loss
    assert sum(loss <= GOAL * report.loss for loss in set(losses)) == 1
    monkeypatch.setattr(thumbs_module, "RATE", 50.0)
    after, rough = train_step(qwen2, value, [marked])
    if rough.accepted:
        assert real(marked, [math.log(one.after) for one in rough.marked]) < rough.loss
    else:
        assert after is value


def test_what_was_learnt_before_neither_pushes_nor_is_touched(qwen2: BaseModel) -> None:
    """No momentum of an earlier run; and the run can go on as if nothing had happened to it."""
    fresh = learner(qwen2)
    marked = thumbs(qwen2, fresh, 1, -1, -1)
    moved = replace(
        fresh,
        first_moment=torch.ones_like(fresh.prompt),
        second_moment=torch.ones_like(fresh.prompt),
        steps=40,
        episodes=160,
    )
    (one, _), (other, _) = train_steps(qwen2, [(fresh, [marked]), (moved, [marked])])
    assert torch.equal(one.prompt, other.prompt)
    assert other.first_moment is moved.first_moment and other.second_moment is moved.second_moment
    assert (other.steps, other.episodes) == (40, 161)
    assert other.config == moved.config


def test_the_history_says_that_it_was_thumbs(qwen2: BaseModel) -> None:
    value = learner(qwen2, signal="reward")
    after, report = train_step(qwen2, value, [thumbs(qwen2, value, 1, -1, -1, -1)])
    assert after.history == (
        StepRecord(
            step=0,
            episodes=1,
            loss=report.loss,
            correct=1,
            total=4,
            grad_norm=report.grad_norm,
            chat_template=False,
            signal="thumbs",
            samples=4,
            reward=0.25,
        ),
    )


def test_no_problem_is_sampled_and_nothing_is_graded(
    qwen2: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = learner(qwen2, signal="mix")
    marked = thumbs(qwen2, value, -1, 1)
    monkeypatch.setattr(training, "draw_groups", lambda *_: pytest.fail("sampled"))
    assert train_step(qwen2, value, [marked])[1].accepted


def test_a_broken_prompt_is_told_and_stays(qwen2: BaseModel) -> None:
    healthy = learner(qwen2)
    marked = thumbs(qwen2, healthy, 1, -1)
    broken = replace(healthy, prompt=torch.full_like(healthy.prompt, torch.nan))
    (same, report), (_, neighbour) = train_steps(qwen2, [(broken, [marked]), (healthy, [marked])])
    assert same is broken and not report.accepted and "not finite" in report.message
    assert neighbour.accepted


@pytest.mark.parametrize(
    ("completions", "marks", "says"),
    [
        ((), (), "at least one"),
        (((1,),), (1, -1), "one mark each"),
        (((1,),) * 17, (1,) * 17, "Up to 16"),
        (((1,),), (0,), "thumb up"),
        (((),), (1,), "1 to 48 tokens"),
        (((1,) * 49,), (1,), "1 to 48 tokens"),
    ],
)
def test_what_is_no_set_of_marks_is_refused(
    completions: tuple[tuple[int, ...], ...], marks: tuple[int, ...], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        Thumbs("?", completions, marks)


@pytest.mark.parametrize(
    ("question", "beside", "says"),
    [(QUESTION, [PROBLEM], "by themselves"), ("why " * 168, [], "too long"), (" ", [], "question")],
)
def test_thumbs_that_cannot_be_learnt_from_leave_the_learner_as_it_was(
    qwen2: BaseModel, question: str, beside: list[Problem], says: str
) -> None:
    value = learner(qwen2)
    after, report = train_step(qwen2, value, [Thumbs(question, ((5,),), (1,)), *beside])
    assert after is value
    assert not report.accepted and says in report.message


PENS = "Olga has 7 pens. Olga gives 4 pens to Emma. How many pens does Olga have now?"
NUMBER = re.compile(r"\d")


def test_ten_thumbs_make_numbers_of_blanks() -> None:
    """Up on every number and down on everything else, with nobody saying what is right.

    Which samples are marked is chance, so sixteen people do it. Of 40 who were tried, numbers came
    to 98 % of the samples (73 % at the least) from 20 %. Their shares are independent and within
    [0, 1], so where they are 95 % on average, sixteen have a mean under 35 % once in 100,000 times
    at most (Hoeffding: exp(-2 · 16 · 0.6²) < 1e-5).
    """
    people, base_model = 16, load_base_model("pocket", "cpu", "float32")

    def sampled(values: list[Learner], draw: int, count: int) -> list[list[Completion]]:
        asks = [
            Ask(PENS, False, value.prompt, seed=(draw * people + person) * count + number)
            for person, value in enumerate(values)
            for number in range(count)
        ]
        found = complete(base_model, asks, 24)
        return [list(found[i : i + count]) for i in range(0, len(found), count)]

    def share(values: list[Learner], draw: int) -> float:
        texts = [done.text for each in sampled(values, draw, 8) for done in each]
        return sum(bool(NUMBER.search(text)) for text in texts) / len(texts)

    values = [new_learner(base_model, LearnerConfig())] * people
    assert share(values, 0) < 0.35
    for draw, count in enumerate((4, 4, 2), 1):
        work = []
        for value, drawn in zip(values, sampled(values, draw, 16), strict=True):
            different = list({done.text: done for done in drawn}.values())[:count]
            marks = tuple(1 if NUMBER.search(done.text) else -1 for done in different)
            work.append((value, [Thumbs(PENS, tuple(done.ids for done in different), marks)]))
        values = [after for after, _ in train_steps(base_model, work)]
    assert share(values, 9) > 0.35
