"""The original experiments' results: their files, and the numbers they published.

Two kinds of ``results.json`` are read: that of ``train_qwen.py`` (experiments 1 and 2) and that of
``train_continuous.py`` (TinyLlama, the other side of its comparison). Neither says which problems
were asked, and experiments 1 and 2 drew fresh ones for every evaluation, so nothing in them can be
paired; they graded by substring, so their accuracies do not mean what ours do.
"""

import math
from collections.abc import Mapping

from learner.experiments.fields import Fields
from learner.experiments.results import Group, Results, Score

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
            family: (Group(before[family], UNKNOWN), Group(after[family], UNKNOWN))
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
        Score(item.count("episode"), item.count("correct"), item.count("total"))
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
        curve=(Score(0, first, _FIRST_ASKED), *curve),
        final=Score(episodes, sum(answered), len(answered)),
        families={},
        difficulties={},
        episodes_per_second=math.nan,
    )


def _score(fields: Fields, episodes: int) -> Score:
    return Score(episodes, fields.count("n_correct"), fields.count("n_total"))


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
            Score(episodes, right, _FIRST_ASKED if "Llama" in model and not episodes else 20)
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
        Score(80, 31, 50),
        1.60,
    ),
    _published(
        "original experiment 2, as published",
        _QWEN,
        False,
        {0: 2, 20: 6, 40: 4, 60: 4, 80: 7},
        Score(80, 10, 50),
        0.57,
    ),
    _published(
        "original TinyLlama, as published",
        _LLAMA,
        True,
        {0: 1, 15: 9, 30: 7, 45: 8, 60: 8},
        Score(60, 8, 20),
        0.47,
    ),
)
"""The three runs of the original experiments: counts out of 20 problems at each evaluation, five at
TinyLlama's first, and of 50 or 20 at the end, graded by substring."""
