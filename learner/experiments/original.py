"""The original experiments' results: their files, and the numbers they published.

Two kinds of ``results.json`` are read: that of ``train_qwen.py`` (experiments 1 and 2) and that of
``train_continuous.py`` (TinyLlama, the other side of its comparison). Neither says which problems
were asked, and experiments 1 and 2 drew fresh ones for every evaluation, so nothing in them can be
paired; they graded by substring, so their accuracies do not mean what ours do.
"""

import math
from collections.abc import Mapping

from learner.experiments.fields import Fields
from learner.experiments.results import Results, Share
from learner.measuring import Score

_FIRST_ASKED = 5  # train_continuous.py measured its initial accuracy on five problems only
UNKNOWN = 0  # what nobody wrote down


def train_qwen(fields: Fields, name: str) -> Results:
    """The results that ``train_qwen.py`` wrote. Raises CheckpointError."""
    evaluations = fields.items("evaluations")
    curve = tuple(_score(item, item.count("episode")) for item in evaluations)
    episodes = fields.count("n_episodes")
    last = fields.fields("final_evaluation")
    before = evaluations[0].fields("per_task_accuracy").numbers() if evaluations else {}
    after = last.fields("per_task_accuracy").numbers()
    return Results(
        name=name,
        model=fields.text("model_name"),
        parameters=UNKNOWN,
        chat_template=fields.flag("use_chat_template"),
        soft_tokens=fields.count("n_soft_tokens"),
        learning_rate=fields.number("learning_rate"),
        episodes=episodes,
        seed=UNKNOWN,
        losses=_losses(fields.items("training")),
        curve=curve,
        final=_score(last, episodes),
        families={
            family: (Share(before[family], UNKNOWN), Share(after[family], UNKNOWN))
            for family in sorted(before.keys() & after.keys())
        },
        difficulties={},
        episodes_per_second=fields.number("episodes_per_sec"),
    )


def train_continuous(fields: Fields, name: str) -> Results:
    """The results that ``train_continuous.py`` wrote. Raises CheckpointError."""
    config = fields.fields("config")
    first = round(fields.number("initial_accuracy") * _FIRST_ASKED)
    curve = [
        _score(item, item.count("episode"), "correct", "total")
        for item in fields.items("eval_results")
    ]
    answered = [item.flag("is_correct") for item in fields.items("final_eval_data")]
    episodes = config.count("n_episodes")
    return Results(
        name=name,
        model=config.text("model_name"),
        parameters=UNKNOWN,
        chat_template=True,
        soft_tokens=config.count("n_soft_tokens"),
        learning_rate=config.number("learning_rate"),
        episodes=episodes,
        seed=config.count("seed"),
        losses=_losses(fields.items("training_results")),
        curve=(_counted(first, _FIRST_ASKED, 0), *curve),
        final=_counted(sum(answered), len(answered), episodes),
        families={},
        difficulties={},
        episodes_per_second=math.nan,
    )


def _score(fields: Fields, episodes: int, correct: str = "n_correct", n: str = "n_total") -> Score:
    return _counted(fields.count(correct), fields.count(n), episodes)


def _counted(correct: int, n: int, episodes: int) -> Score:
    """A score of which nothing but the counts is known. Raises ValueError if they cannot be."""
    if not n:
        raise ValueError(f"{correct} right of no problems is not a score.")
    return Score(correct, n, episodes=episodes)


def _losses(training: list[Fields]) -> tuple[tuple[int, float], ...]:
    return tuple(
        (item.count("episode"), item.number("loss")) for item in training if "loss" in item
    )


def _published(
    name: str, model: str, chat: bool, curve: Mapping[int, int], final: Score, rate: float
) -> Results:
    return Results(
        name=name,
        model=model,
        parameters=UNKNOWN,
        chat_template=chat,
        soft_tokens=8,
        learning_rate=1e-3,
        episodes=final.episodes,
        seed=UNKNOWN,
        losses=(),
        curve=tuple(
            _counted(right, _FIRST_ASKED if "Llama" in model and not episodes else 20, episodes)
            for episodes, right in curve.items()
        ),
        final=final,
        families={},
        difficulties={},
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
