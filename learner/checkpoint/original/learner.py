"""The original experiments' checkpoints (``checkpoint_ep80.pt``), loaded without running anything.

`archive.py` reads what torch saved; here every value is checked, and becomes a learner.

What the file does not say: which base model it was made for (only the hidden size can be compared,
so somebody has to say that it is the right one), the gradient norms, and whether it learnt with the
chat template, which was the default there. Its loss was over the whole text, one episode a step.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import with_config
from typing_extensions import TypedDict  # Python 3.12 has one that Pydantic takes

from learner.checkpoint.format import MAX_LOSS, check_length
from learner.checkpoint.original.archive import LearningMetrics, read_archive
from learner.checkpoint.reading import (
    STRICT,
    CheckpointError,
    Names,
    OtherModelError,
    Past,
    check,
    shown,
)
from learner.learning.learner import MAX_HISTORY, Learner, LearnerConfig, StepRecord
from learner.model.base_model import ModelFacts

_PARTS = {"soft_prompt", "optimizer", "episode_count", "metrics_history"}
# What Adam is here: with other settings its moments would mean something else.
_ADAM = {
    "betas": (0.9, 0.999),
    "eps": 1e-8,
    "weight_decay": 0,
    "amsgrad": False,
    "maximize": False,
}


@with_config(STRICT)
class _Metrics(TypedDict):
    """What the attributes of a `LearningMetrics` should be; torch gives it any."""

    episode: int
    loss: float
    accuracy: float
    task_type: str
    timestamp: float


@dataclass(frozen=True, eq=False)
class OriginalCheckpoint:
    """Everything in the file. The tensors are float32 [soft tokens, hidden size], on the CPU."""

    prompt: torch.Tensor
    first_moment: torch.Tensor
    second_moment: torch.Tensor
    steps: int
    learning_rate: float
    episodes: int
    history: tuple[LearningMetrics, ...]


def load_original(path: Path, base_model: ModelFacts, accept_other_model: bool = False) -> Learner:
    """The learner in an original checkpoint, as after its last episode, to be trained further.

    Raises CheckpointError for whatever is not right with the file; OtherModelError, because it does
    not name its base model, unless ``accept_other_model``.
    """
    original = read_original(path, base_model)
    if not accept_other_model:
        raise OtherModelError(
            f"{path.name} does not say which model it was made for: its size fits "
            f"{base_model.name}, but if it was another, its vectors mean nothing here, so load it "
            "only if you know."
        )
    chat_template = base_model.has_chat_template
    first = max(0, original.steps - len(original.history))  # a step without an entry found no loss
    history = tuple(
        StepRecord(
            step=first + number,
            episodes=metrics.episode,
            loss=metrics.loss,
            correct=int(metrics.accuracy),
            total=1,
            grad_norm=0.0,
            chat_template=chat_template,
        )
        for number, metrics in enumerate(original.history, start=1)
    )
    return Learner(
        config=LearnerConfig(
            soft_tokens=len(original.prompt),
            initialiser="normal",
            init_std=0.1,
            learning_rate=original.learning_rate,
            episodes_per_step=1,
            chat_template=chat_template,
            loss="text",
        ),
        prompt=original.prompt,
        first_moment=original.first_moment,
        second_moment=original.second_moment,
        steps=original.steps,
        episodes=original.episodes,
        history=history[-MAX_HISTORY:],
        source=base_model.source,
        families=check(
            Names,
            tuple(sorted({metrics.task_type for metrics in original.history})),
            path.name,
            "task types",
        ),
    )


def read_original(path: Path, base_model: ModelFacts) -> OriginalCheckpoint:
    """What the file says, if it fits the base model in size. Raises CheckpointError."""
    return _checked(read_archive(path, base_model.hidden_size), path.name, base_model)


def _checked(value: object, file: str, base_model: ModelFacts) -> OriginalCheckpoint:
    """What torch read, as the record it should be."""
    parts = _parts(value, _PARTS, file, "checkpoint")
    prompt = _parts(parts["soft_prompt"], {"soft_prompt"}, file, "soft_prompt")["soft_prompt"]
    shape = prompt.shape if isinstance(prompt, torch.Tensor) else ()
    if len(shape) != 2 or shape[1] != base_model.hidden_size:
        raise CheckpointError(
            f"{file} has a soft prompt of shape {shown([*shape])}, and {base_model.name} takes "
            f"vectors of {base_model.hidden_size} numbers; choose the base model it was made for."
        )
    check_length(shape[0], file, base_model)
    optimiser = _parts(parts["optimizer"], {"state", "param_groups"}, file, "optimizer")
    steps, first_moment, second_moment = _moments(optimiser["state"], prompt, file)
    return OriginalCheckpoint(
        prompt=_finite(prompt, file, "soft_prompt"),
        first_moment=first_moment,
        second_moment=second_moment,
        steps=steps,
        learning_rate=_learning_rate(optimiser["param_groups"], file),
        episodes=check(Past, _plain(parts["episode_count"]), file, "episode_count"),
        history=_history(parts["metrics_history"], file),
    )


def _moments(
    state: object, prompt: torch.Tensor, file: str
) -> tuple[int, torch.Tensor, torch.Tensor]:
    """Adam's count of steps and its two moments; it has none before its first step."""
    if isinstance(state, dict) and not state:
        return 0, torch.zeros_like(prompt), torch.zeros_like(prompt)
    only = [state[key] for key in state] if isinstance(state, dict) else []
    names = {"step", "exp_avg", "exp_avg_sq"}
    adam = _parts(only[0] if len(only) == 1 else None, names, file, "optimizer state")
    moments = [adam["exp_avg"], adam["exp_avg_sq"]]
    if not all(isinstance(x, torch.Tensor) and x.shape == prompt.shape for x in moments):
        raise CheckpointError(
            f"{file} has Adam moments of another shape than its soft prompt; they belong together."
        )
    if (moments[1] < 0).any():
        raise CheckpointError(
            f"exp_avg_sq in {file} has negative numbers; a mean of squares has none."
        )
    step = adam["step"]
    if isinstance(step, torch.Tensor) and step.numel() == 1:
        step = step.item()
    whole = int(step) if isinstance(step, float) and step.is_integer() else _plain(step)
    first_moment, second_moment = (_finite(x, file, "the optimizer state") for x in moments)
    return check(Past, whole, file, "step"), first_moment, second_moment


def _learning_rate(groups: object, file: str) -> float:
    """Adam's learning rate, if its other settings are those that Adam has here."""
    group = groups[0] if isinstance(groups, list) and len(groups) == 1 else None
    settings = _parts(group, {"lr", *_ADAM}, file, "param_groups")
    for name, right in _ADAM.items():
        value = _plain(settings[name])
        if value != right:
            raise CheckpointError(
                f"{file} was trained by Adam with {name} {shown(value)}; here it has {right}, so "
                "training could not go on as it was."
            )
    rate = _plain(settings["lr"])
    if not isinstance(rate, float) or not 0 < rate < math.inf:
        raise CheckpointError(f"{file} has the learning rate {shown(rate)}; 0.001 would be usual.")
    return rate


def _history(value: object, file: str) -> tuple[LearningMetrics, ...]:
    if not isinstance(value, list) or not all(isinstance(x, LearningMetrics) for x in value):
        raise CheckpointError(
            f"{file} has a metrics_history that is not a list of LearningMetrics, as in the "
            "original experiments; take one of their checkpoints."
        )
    history = tuple(
        LearningMetrics(
            **check(
                _Metrics,
                {name: _plain(entry) for name, entry in vars(metrics).items()},
                file,
                f"metrics_history[{number}]",
            )
        )
        for number, metrics in enumerate(value)
    )
    for metrics in history:
        if metrics.accuracy not in (0, 1) or metrics.episode < 0:
            raise CheckpointError(
                f"{file} has accuracy {metrics.accuracy} for episode {metrics.episode}; one "
                "episode is answered rightly (1) or not (0)."
            )
        if abs(metrics.loss) > MAX_LOSS:
            raise CheckpointError(
                f"{file} has a loss of {metrics.loss:g} for episode {metrics.episode}, which "
                "cannot be; take an earlier checkpoint."
            )
    return history


def _parts(value: object, names: Collection[str], file: str, where: str) -> dict[Any, Any]:
    """``value`` as a dictionary that has ``names`` at least."""
    found = set(value) if isinstance(value, dict) else set()
    missing = sorted(set(names) - found)
    if not isinstance(value, dict) or missing:
        raise CheckpointError(
            f"{file} has no {', '.join(missing)} in its {where}; take a checkpoint of the original "
            "experiments."
        )
    return value


def _plain(value: object) -> object:
    """``value`` if it can be quoted in a message whatever it is; else only what kind it is."""
    scalars = (str, int, float, bool, type(None), tuple)
    return value if isinstance(value, scalars) else type(value)


def _finite(tensor: torch.Tensor, file: str, where: str) -> torch.Tensor:
    """A copy of the tensor in memory of its own, if all of it is finite."""
    if not tensor.isfinite().all():
        raise CheckpointError(
            f"{where} in {file} has numbers that are NaN or infinite; it was saved from a run that "
            "failed, so take an earlier checkpoint."
        )
    return tensor.detach().clone(memory_format=torch.contiguous_format)
