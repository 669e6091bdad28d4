"""Training: one optimiser step for many learners at once, whatever signal each learns from.

What a learner is told is a `Signal`: the `answer`, a `reward` for what it samples, or a `mix` of
both; marks of a person are `thumbs`. All of it is targets with weights, which run in the same
passes (`gradients`). Norm clipping and the step follow, learner by learner in effect, as stacked
tensors in practice.

Whether greedy decoding would have written a gold answer is read off the same pass: it would exactly
if the most likely token is the gold one at every answer position.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from arena.problem import Problem
from learner.learning.gradients import Found, find_gradients
from learner.learning.learner import MAX_HISTORY, Learner, StepRecord
from learner.learning.optimiser import adam, clipped
from learner.learning.reward import check_samples, draw_groups, nothing_to_learn
from learner.learning.signals import SIGNALS
from learner.learning.step_report import Group, StepReport, refused, summarise
from learner.learning.targets import Target, check_prompt
from learner.learning.thumbs import THUMBS, Thumbs, learn_from_thumbs
from learner.model.base_model import BaseModel
from learner.model.pace import Paces
from learner.model.turns import Turns, finished

Material = Problem | Thumbs
"""What a step can learn from: problems, or one person's thumbs by themselves."""


@dataclass(frozen=True)
class _Task:
    """What a learner learns from in one step, which counts as so many ``episodes``.

    The first ``told`` of the targets are gold answers. ``to_sample`` are problems that completions
    are drawn for before the step; ``groups`` what was drawn.
    """

    learner: Learner
    episodes: int
    targets: tuple[Target, ...]
    told: int = 0
    to_sample: tuple[Problem, ...] = ()
    groups: tuple[Group, ...] = ()


def step_rows(learner: Learner, material: Sequence[Material]) -> int:
    """How many rows a step runs side by side: what it costs grows with these, not with problems."""
    config = learner.config
    of_problem, of_mark = SIGNALS[config.signal].rows(config), THUMBS.rows(config)
    return sum(
        of_mark * len(item.marks) if isinstance(item, Thumbs) else of_problem for item in material
    )


def train_step(
    base_model: BaseModel, learner: Learner, material: Sequence[Material]
) -> tuple[Learner, StepReport]:
    """One optimiser step on these problems; see `train_steps`."""
    return train_steps(base_model, [(learner, material)])[0]


def train_steps(
    base_model: BaseModel, requests: Sequence[tuple[Learner, Sequence[Material]]]
) -> list[tuple[Learner, StepReport]]:
    """One optimiser step for each request, merged; the results are those of each step alone.

    A learner learns in the format, and from the signal, that its config names; from `Thumbs`, which
    stand alone, whatever the signal. What keeps one request from being learnt from (no answer, too
    long a question, samples that all earned the same, a loss or gradient that is not finite) is
    said in that request's report, leaves its learner as it was and does not touch the others.
    """
    return finished(train_in_turns(base_model, requests))


def train_in_turns(
    base_model: BaseModel,
    requests: Sequence[tuple[Learner, Sequence[Material]]],
    paces: Paces | None = None,
) -> Turns[list[tuple[Learner, StepReport]]]:
    """As `train_steps`, with a pause after each pass over the model; ``paces`` bound its tokens.

    A pass that is cut by its rows gives the same: their gradients are summed.
    """
    results: dict[int, tuple[Learner, StepReport]] = {}
    tasks: dict[int, _Task] = {}
    for i, (learner, material) in enumerate(requests):
        try:
            if thumbs := _thumbs(material):
                results[i] = yield from learn_from_thumbs(base_model, learner, thumbs, paces)
            else:
                tasks[i] = _task(
                    base_model, learner, [p for p in material if isinstance(p, Problem)]
                )
        except ValueError as error:
            results[i] = (learner, refused(str(error)))
    for i, task in (yield from _sampled(base_model, tasks, paces)).items():
        if task.targets:
            tasks[i] = task
        else:
            results[i] = _agreed(task)
            del tasks[i]
    if tasks:
        steps = list(tasks.values())
        work = [(task.learner.prompt, task.targets) for task in steps]
        found = yield from find_gradients(base_model, work, paces)
        results.update(zip(tasks, _update(steps, found), strict=True))
    return [_remembering(*results[i], requests[i][1]) for i in range(len(requests))]


def _remembering(
    learner: Learner, report: StepReport, material: Sequence[Material]
) -> tuple[Learner, StepReport]:
    """The learner, with the families of what it has learnt from now among its own."""
    new = {item.family for item in material if isinstance(item, Problem)} - {*learner.families}
    if report.accepted and new:
        learner = replace(learner, families=tuple(sorted({*learner.families, *new})))
    return learner, report


def _thumbs(material: Sequence[Material]) -> Thumbs | None:
    """The thumbs to learn from, if it is thumbs; ValueError if they are not by themselves."""
    found = [item for item in material if isinstance(item, Thumbs)]
    if found and len(material) > 1:
        raise ValueError("Thumbs are learnt from one question at a time, and by themselves.")
    return found[0] if found else None


def _task(base_model: BaseModel, learner: Learner, problems: Sequence[Problem]) -> _Task:
    """What can be said of a request before anything is sampled; ValueError if it cannot be met."""
    if not problems:
        raise ValueError("There was no problem to learn from.")
    check_prompt(base_model, learner)
    signal = SIGNALS[learner.config.signal]
    told = signal.told(base_model, learner, problems) if signal.told else ()
    if not signal.earned:
        return _Task(learner, len(problems), told, len(told))
    check_samples(base_model, learner, problems)
    return _Task(learner, len(problems), told, len(told), to_sample=tuple(problems))


def _sampled(
    base_model: BaseModel, tasks: Mapping[int, _Task], paces: Paces | None
) -> Turns[dict[int, _Task]]:
    """Those of the tasks that need samples, with what they drew, all in the same passes."""
    waiting = {i: task for i, task in tasks.items() if task.to_sample}
    if not waiting:
        return {}
    wanted = [(task.learner, task.to_sample) for task in waiting.values()]
    drawn = yield from draw_groups(base_model, wanted, paces)
    sampled = {}
    for (i, task), groups in zip(waiting.items(), drawn, strict=True):
        earned = SIGNALS[task.learner.config.signal].earned
        assert earned is not None, "samples are drawn where something is made of them"
        targets = task.targets + earned(base_model, task.learner, groups)
        sampled[i] = replace(task, targets=targets, groups=groups)
    return sampled


def _update(tasks: Sequence[_Task], found: Sequence[Found]) -> list[tuple[Learner, StepReport]]:
    """Clip, step, and adopt what came out where all of it is finite."""
    results: dict[int, tuple[Learner, StepReport]] = {}
    shapes: dict[torch.Size, list[int]] = {}
    for i, task in enumerate(tasks):
        shapes.setdefault(task.learner.prompt.shape, []).append(i)
    for members in shapes.values():
        learners = [tasks[i].learner for i in members]
        gradients, norms = clipped(learners, torch.stack([found[i].gradient for i in members]))
        for i, norm, *stepped in zip(members, norms, *adam(learners, gradients), strict=True):
            results[i] = _adopt(tasks[i], found[i], float(norm), stepped)
    return [results[i] for i in range(len(tasks))]


def _adopt(
    task: _Task, found: Found, norm: float, stepped: Sequence[torch.Tensor]
) -> tuple[Learner, StepReport]:
    """The learner after its step; or before it, with the reason, if a number is not finite.

    ``stepped`` are the new prompt and Adam's two moments.
    """
    told = zip(task.targets[: task.told], found.hits, strict=False)
    correct = tuple(bool(hits[-target.answer :].all()) for target, hits in told)
    loss = found.loss(task.told) if task.told else 1 - summarise(task.groups).reward
    report = StepReport(loss, norm, correct, True, "", task.groups)
    learner = task.learner
    if not math.isfinite(found.loss()):
        return learner, replace(report, accepted=False, message=_not_finite("loss"))
    if not (math.isfinite(norm) and all(bool(tensor.isfinite().all()) for tensor in stepped)):
        return learner, replace(report, accepted=False, message=_not_finite("gradient"))
    # Own memory: a learner must not keep alive the stack it was updated in.
    prompt, first, second = (tensor.clone() for tensor in stepped)
    record = _record(task, report)
    after = replace(
        learner,
        prompt=prompt,
        first_moment=first,
        second_moment=second,
        steps=record.step,
        episodes=record.episodes,
        history=(*learner.history, record)[-MAX_HISTORY:],
    )
    return after, report


def _record(task: _Task, report: StepReport) -> StepRecord:
    """What the learner's history will say of the step."""
    learner, drawn = task.learner, report.samples
    record = StepRecord(
        step=learner.steps + 1,
        episodes=learner.episodes + task.episodes,
        loss=report.loss,
        correct=sum(report.correct),
        total=len(report.correct),
        grad_norm=report.grad_norm,
        chat_template=learner.config.chat_template,
        signal=learner.config.signal,
    )
    if drawn is None:
        return record
    if not task.told:
        record = replace(record, correct=drawn.correct, total=drawn.samples)
    return replace(
        record,
        samples=drawn.samples,
        reward=drawn.reward,
        no_answer=drawn.no_answer,
        with_signal=drawn.with_signal / drawn.problems,
        entropy=drawn.entropy,
        length=drawn.length,
    )


def _agreed(task: _Task) -> tuple[Learner, StepReport]:
    """No group has a signal, so there is no step. (The samples of a broken prompt agree too.)"""
    drawn = summarise(task.groups)
    if not math.isfinite(drawn.entropy):
        return task.learner, refused(_not_finite("policy"))
    message = nothing_to_learn(task.groups)
    report = StepReport(1 - drawn.reward, 0.0, (), False, message, task.groups, agreed=True)
    return replace(task.learner, episodes=task.learner.episodes + task.episodes), report


def _not_finite(what: str) -> str:
    return (
        f"The {what} of this step was not a finite number, so it was not taken; "
        "a smaller learning rate or an earlier prompt may help."
    )
