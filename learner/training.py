"""Training: one optimiser step for many learners at once.

Each learner's loss is the cross-entropy of its answer tokens alone (the token that ends the answer
included), averaged over all answer tokens of its problems; where its config says so, of every token
of the text but the first, as in the original experiments. The losses are summed and one backward
pass gives every learner the gradient of its own loss, because no row sees another's prompt. Norm
clipping and Adam follow, learner by learner in effect, as stacked tensors in practice. Everything
from the logits on is float32.

Whether greedy decoding would have written the gold answer is read off the same pass: it would
exactly if the most likely token is the gold one at every answer position.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from arena.problem import Problem
from learner.base_model import BaseModel
from learner.batch import Batch, Row, max_training_tokens, split_passes
from learner.formatting import encode
from learner.soft_prompt import MAX_HISTORY, Learner, StepRecord
from learner.worked_examples import worked_examples

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Adam's usual constants (Kingma & Ba, 2015)


@dataclass(frozen=True)
class StepReport:
    """What a step found before it changed anything, and whether it was adopted.

    ``loss`` is in nats a token and ``grad_norm`` from before clipping; ``correct`` says of each
    problem whether greedy decoding would have answered it to the letter. A step that is not
    ``accepted`` left the learner as it was, for the reason in ``message``.
    """

    loss: float
    grad_norm: float
    correct: tuple[bool, ...]
    accepted: bool
    message: str


@dataclass(frozen=True)
class _Task:
    """A learner's rows in a pass and the tokens that should be predicted, those of the answer last.

    ``answers`` says how many tokens the answer of each row has.
    """

    learner: Learner
    rows: tuple[Row, ...]
    gold: tuple[tuple[int, ...], ...]
    answers: tuple[int, ...]


def train_step(
    base_model: BaseModel, learner: Learner, problems: Sequence[Problem]
) -> tuple[Learner, StepReport]:
    """One optimiser step on these problems; see `train_steps`."""
    return train_steps(base_model, [(learner, problems)])[0]


def train_steps(
    base_model: BaseModel, requests: Sequence[tuple[Learner, Sequence[Problem]]]
) -> list[tuple[Learner, StepReport]]:
    """One optimiser step for each request, merged; the results are those of each step alone.

    A learner learns in the format that its config names. Whatever keeps one request from being
    learnt from (no answer, too long a question, a loss or gradient that is not finite) is said in
    that request's report, leaves its learner as it was and does not touch the others.
    """
    results: dict[int, tuple[Learner, StepReport]] = {}
    tasks: dict[int, _Task] = {}
    for i, (learner, problems) in enumerate(requests):
        try:
            tasks[i] = _task(base_model, learner, problems, len(tasks))
        except ValueError as error:
            results[i] = (learner, _rejected(str(error)))
    if tasks:
        steps = _gradients(base_model, list(tasks.values()))
        results.update(zip(tasks, _update(list(tasks.values()), steps), strict=True))
    return [_remembering(*results[i], requests[i][1]) for i in range(len(requests))]


def _remembering(
    learner: Learner, report: StepReport, problems: Sequence[Problem]
) -> tuple[Learner, StepReport]:
    """The learner, with the families of what it has learnt from now among its own."""
    new = {problem.family for problem in problems} - {*learner.families}
    if report.accepted and new:
        learner = replace(learner, families=tuple(sorted({*learner.families, *new})))
    return learner, report


def _task(
    base_model: BaseModel, learner: Learner, problems: Sequence[Problem], number: int
) -> _Task:
    """Token rows of a request, for the prompt with this number; ValueError if it has none."""
    if not problems:
        raise ValueError("There was no problem to learn from.")
    if learner.prompt.shape[1] != base_model.hidden_size:
        raise ValueError(
            f"This soft prompt has {learner.prompt.shape[1]} numbers a token, but "
            f"{base_model.name} takes {base_model.hidden_size}; it was learnt in front of "
            f"{learner.model_name}."
        )
    config = learner.config
    examples = worked_examples(config.shots)
    rows, gold, answers = [], [], []
    for problem in problems:
        if not problem.answer.strip():
            raise ValueError("The problem has no answer to learn from.")
        encoded = encode(
            base_model, problem.question, problem.answer, config.chat_template, examples
        )
        head, text, predicted = encoded.head, encoded.question + encoded.answer, encoded.answer
        if config.loss == "text":  # what is predicted cannot be in a prefix that rows share
            head, text = (), head + text
            predicted = text[1:]
        rows.append(Row(number, head, text[:-1], len(predicted)))
        gold.append(predicted)
        answers.append(len(encoded.answer))
    soft = learner.prompt.shape[0]
    longest = max(soft + len(row.head) + len(row.tokens) for row in rows)
    if longest > base_model.context_length:
        raise ValueError(
            f"The problem is too long: {longest} tokens with the soft prompt, where "
            f"{base_model.name} reads {base_model.context_length}."
        )
    return _Task(learner, tuple(rows), tuple(gold), tuple(answers))


@dataclass(frozen=True)
class _Found:
    """What the passes found for one task: its loss, gradient [soft tokens, hidden] and hits."""

    loss: float
    gradient: torch.Tensor
    correct: tuple[bool, ...]


def _gradients(base_model: BaseModel, tasks: Sequence[_Task]) -> list[_Found]:
    """Loss, gradient and greedy correctness of every task, all from the same forward passes."""
    device = base_model.device
    lengths = [len(task.learner.prompt) for task in tasks]
    rows = [row for task in tasks for row in task.rows]
    gold = [answer for task in tasks for answer in task.gold]
    weights = [1 / sum(map(len, task.gold)) for task in tasks for _ in task.rows]
    prompts = torch.cat([task.learner.prompt for task in tasks]).to(device).requires_grad_()
    losses, hits = [], []
    for members in split_passes(rows, lengths, max_training_tokens(base_model)):
        batch = Batch(base_model, [rows[i] for i in members], lengths)
        target = torch.tensor([token for i in members for token in gold[i]], device=device)
        weight = torch.tensor([weights[i] for i in members for _ in gold[i]], device=device)
        logits = batch.logits(prompts).float()
        loss = F.cross_entropy(logits, target, reduction="none") * weight
        loss.sum().backward()
        losses.append(loss.detach())
        hits.append(logits.detach().argmax(dim=-1) == target)
    assert prompts.grad is not None
    # One transfer, and so one wait for the device, for everything that came out.
    found = torch.cat((prompts.grad.flatten(), *losses, *(hit.float() for hit in hits))).cpu()
    answered = sum(map(len, gold))
    gradient, loss, hit = found.split((found.numel() - 2 * answered, answered, answered))
    gradients = gradient.view(-1, base_model.hidden_size).split(lengths)
    of_row = list(zip(loss.split([*map(len, gold)]), hit.split([*map(len, gold)]), strict=True))
    results, first = [], 0
    for task, own in zip(tasks, gradients, strict=True):
        mine = of_row[first : first + len(task.rows)]
        first += len(task.rows)
        total = float(torch.cat([row_loss for row_loss, _ in mine]).sum())
        ends = zip(mine, task.answers, strict=True)
        correct = tuple(bool(right[-length:].all()) for (_, right), length in ends)
        results.append(_Found(total, own, correct))
    return results


def _update(tasks: Sequence[_Task], found: Sequence[_Found]) -> list[tuple[Learner, StepReport]]:
    """Clip, step Adam, and adopt what came out where all of it is finite."""
    results: dict[int, tuple[Learner, StepReport]] = {}
    shapes: dict[torch.Size, list[int]] = {}
    for i, task in enumerate(tasks):
        shapes.setdefault(task.learner.prompt.shape, []).append(i)
    for members in shapes.values():
        learners = [tasks[i].learner for i in members]
        gradient = torch.stack([found[i].gradient for i in members])
        norms = gradient.flatten(1).norm(dim=1)
        limit = torch.tensor([learner.config.max_grad_norm for learner in learners])
        clipped = gradient * (limit / (norms + 1e-6)).clamp(max=1.0)[:, None, None]
        stepped = zip(*adam(learners, clipped), strict=True)
        for i, norm, (prompt, first, second) in zip(members, norms, stepped, strict=True):
            results[i] = _adopt(tasks[i], found[i], float(norm), prompt, first, second)
    return [results[i] for i in range(len(tasks))]


def adam(
    learners: Sequence[Learner], gradients: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Adam (Kingma & Ba, 2015) for K learners of one shape as one stacked operation.

    ``gradients`` [K, n, d]; returns new prompts, first and second moments, each [K, n, d]. The
    operations are those of `torch.optim.Adam`, in its order, so that results are the same bits.
    """

    def column(values: list[float]) -> torch.Tensor:
        return torch.tensor(values)[:, None, None]

    counts = [learner.steps + 1 for learner in learners]
    first = torch.stack([learner.first_moment for learner in learners])
    second = torch.stack([learner.second_moment for learner in learners])
    first = first.lerp(gradients, 1 - BETA1)
    second = (second * BETA2).addcmul(gradients, gradients, value=1 - BETA2)
    root = column([math.sqrt(1 - BETA2**count) for count in counts])
    rate = column(
        [
            learner.config.learning_rate / (1 - BETA1**count)
            for learner, count in zip(learners, counts, strict=True)
        ]
    )
    prompts = torch.stack([learner.prompt for learner in learners])
    return prompts + -rate * first / (second.sqrt() / root + EPSILON), first, second


def _adopt(
    task: _Task,
    found: _Found,
    norm: float,
    prompt: torch.Tensor,
    first: torch.Tensor,
    second: torch.Tensor,
) -> tuple[Learner, StepReport]:
    """The learner after its step; or before it, with the reason, if a number is not finite."""
    learner = task.learner
    finite = all(bool(tensor.isfinite().all()) for tensor in (prompt, first, second))
    if not (math.isfinite(found.loss) and math.isfinite(norm) and finite):
        what = "loss" if not math.isfinite(found.loss) else "gradient"
        message = (
            f"The {what} of this step was not a finite number, so it was not taken; "
            "a smaller learning rate or an earlier prompt may help."
        )
        return learner, StepReport(found.loss, norm, found.correct, False, message)
    record = StepRecord(
        step=learner.steps + 1,
        episodes=learner.episodes + len(task.rows),
        loss=found.loss,
        correct=sum(found.correct),
        total=len(found.correct),
        grad_norm=norm,
        chat_template=learner.config.chat_template,
    )
    stepped = replace(
        learner,
        # Own memory: a learner must not keep alive the stack it was updated in.
        prompt=prompt.clone(),
        first_moment=first.clone(),
        second_moment=second.clone(),
        steps=record.step,
        episodes=record.episodes,
        history=(*learner.history, record)[-MAX_HISTORY:],
    )
    return stepped, StepReport(found.loss, norm, found.correct, True, "")


def _rejected(message: str) -> StepReport:
    return StepReport(math.nan, math.nan, (), False, message)
