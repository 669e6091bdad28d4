"""The original experiments' results: their files, and the numbers they published.

Two kinds of ``results.json`` are read: that of ``train_qwen.py`` (experiments 1 and 2) and that of
``train_continuous.py`` (TinyLlama, the other side of its comparison). Neither says which problems
were asked, and experiments 1 and 2 drew fresh ones for every evaluation, so nothing in them can be
paired; they graded by substring, so their accuracies do not mean what ours do.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import ConfigDict, Field, with_config

from learner.checkpoint.reading import LENIENT, CheckpointError, Count, parse
from learner.experiments.results import UNKNOWN, Results, Share
from learner.measuring import Score

_FIRST_ASKED = 5  # train_continuous.py measured its initial accuracy on five problems only


Finite = Annotated[float, Field(allow_inf_nan=False)]

_AS_WRITTEN = ConfigDict(strict=True, extra="ignore")  # a loss that is no number is NaN in them


@dataclass(frozen=True)
class _Step:
    """One episode."""

    episode: Count
    loss: float | None = None


@dataclass(frozen=True)
class _Evaluation:
    """Of ``train_qwen.py``; the final one does not say after how many episodes it was."""

    n_correct: Count
    n_total: Count
    episode: Count = 0
    per_task_accuracy: dict[str, Finite] = field(default_factory=dict)


@with_config(_AS_WRITTEN)
@dataclass(frozen=True)
class _Qwen:
    """What ``train_qwen.py`` wrote."""

    model_name: str
    n_episodes: Count
    n_soft_tokens: Count
    learning_rate: Finite
    use_chat_template: bool
    training: tuple[_Step, ...]
    evaluations: tuple[_Evaluation, ...]
    final_evaluation: _Evaluation
    episodes_per_sec: Finite

    def results(self, name: str) -> Results:
        curve = self.evaluations
        before = curve[0].per_task_accuracy if curve else {}
        after = self.final_evaluation.per_task_accuracy
        last = self.final_evaluation
        return Results(
            name=name,
            model=self.model_name,
            chat_template=self.use_chat_template,
            soft_tokens=self.n_soft_tokens,
            learning_rate=self.learning_rate,
            episodes=self.n_episodes,
            losses=_losses(self.training),
            curve=tuple(_counted(one.n_correct, one.n_total, one.episode) for one in curve),
            final=_counted(last.n_correct, last.n_total, self.n_episodes),
            families={
                family: (Share(before[family], UNKNOWN), Share(after[family], UNKNOWN))
                for family in sorted(before.keys() & after.keys())
            },
            episodes_per_second=self.episodes_per_sec,
        )


@dataclass(frozen=True)
class _Config:
    """The settings of ``train_continuous.py``."""

    model_name: str
    n_episodes: Count
    n_soft_tokens: Count
    learning_rate: Finite
    seed: Count


@dataclass(frozen=True)
class _Counts:
    """An evaluation of ``train_continuous.py``."""

    episode: Count
    correct: Count
    total: Count


@dataclass(frozen=True)
class _Answer:
    """One answer in its final evaluation."""

    is_correct: bool


@with_config(_AS_WRITTEN)
@dataclass(frozen=True)
class _Continuous:
    """What ``train_continuous.py`` wrote."""

    config: _Config
    initial_accuracy: Annotated[float, Field(ge=0, le=1)]
    training_results: tuple[_Step, ...]
    eval_results: tuple[_Counts, ...]
    final_eval_data: tuple[_Answer, ...]

    def results(self, name: str) -> Results:
        config, answered = self.config, [one.is_correct for one in self.final_eval_data]
        first = round(self.initial_accuracy * _FIRST_ASKED)
        curve = [_counted(one.correct, one.total, one.episode) for one in self.eval_results]
        return Results(
            name=name,
            model=config.model_name,
            chat_template=True,
            soft_tokens=config.n_soft_tokens,
            learning_rate=config.learning_rate,
            episodes=config.n_episodes,
            seed=config.seed,
            losses=_losses(self.training_results),
            curve=(_counted(first, _FIRST_ASKED, 0), *curve),
            final=_counted(sum(answered), len(answered), config.n_episodes),
            episodes_per_second=math.nan,
        )


@with_config(LENIENT)
@dataclass(frozen=True)
class _Either:
    """What tells one from the other, and from anything else."""

    format: Any = None
    training: Any = None
    training_results: Any = None


def original_results(data: bytes, name: str, file: str) -> Results | None:
    """The results in the bytes of an original's file, to be shown as ``name``; None if it is none.

    Raises CheckpointError.
    """
    either = parse(_Either, data, file)
    written: _Qwen | _Continuous
    if either.format is None and either.training is not None:
        written = parse(_Qwen, data, file)
    elif either.format is None and either.training_results is not None:
        written = parse(_Continuous, data, file)
    else:
        return None
    try:
        results = written.results(name)
    except ValueError as error:
        raise CheckpointError(f"{file} says what cannot be: {error}") from error
    if not results.curve:
        raise CheckpointError(f"{file} is of a run that was stopped before it was ever measured.")
    return results


def _counted(correct: int, n: int, episodes: int) -> Score:
    """A score of which nothing but the counts is known. Raises ValueError if they cannot be."""
    if not n:
        raise ValueError(f"{correct} right of no problems is not a score.")
    return Score(correct, n, episodes=episodes)


def _losses(training: Sequence[_Step]) -> tuple[tuple[int, float], ...]:
    return tuple(
        (one.episode, one.loss)
        for one in training
        if one.loss is not None and math.isfinite(one.loss)
    )


def _published(
    name: str, model: str, chat: bool, curve: Mapping[int, int], final: Score, rate: float
) -> Results:
    return Results(
        name=name,
        model=model,
        chat_template=chat,
        soft_tokens=8,
        learning_rate=1e-3,
        episodes=final.episodes,
        curve=tuple(
            _counted(right, _FIRST_ASKED if "Llama" in model and not episodes else 20, episodes)
            for episodes, right in curve.items()
        ),
        final=final,
        episodes_per_second=rate,
    )


_QWEN, _LLAMA = "Qwen/Qwen2.5-0.5B-Instruct", "TinyLlama/TinyLlama-1.1B-Chat-v1.0"

PUBLISHED: tuple[Results, ...] = (
    _published(
        "original experiment 1, as published",
        _QWEN,
        True,
        {0: 13, 20: 17, 40: 14, 60: 10, 80: 12},
        _counted(31, 50, 80),
        1.60,
    ),
    _published(
        "original experiment 2, as published",
        _QWEN,
        False,
        {0: 2, 20: 6, 40: 4, 60: 4, 80: 7},
        _counted(10, 50, 80),
        0.57,
    ),
    _published(
        "original TinyLlama, as published",
        _LLAMA,
        True,
        {0: 1, 15: 9, 30: 7, 45: 8, 60: 8},
        _counted(8, 20, 60),
        0.47,
    ),
)
"""The three runs of the original experiments: counts out of 20 problems at each evaluation, five at
TinyLlama's first, and of 50 or 20 at the end, graded by substring."""
