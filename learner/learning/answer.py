"""Learning from the answer key: the gold answer becomes likelier.

The loss is the mean cross-entropy over all predicted tokens of all problems of a step. Predicted
are the answer's tokens, the one that ends it included; or, where the config says so, every token of
the text but the first, as in the original experiments. The one that ends an answer may count more
or less than the others do.
"""

from collections.abc import Sequence

from arena.problem import Problem
from learner.learning.learner import Learner
from learner.learning.signal import Signal
from learner.learning.targets import Target, check_fits, encode_for
from learner.model.base_model import BaseModel


def answer_targets(
    base_model: BaseModel, learner: Learner, problems: Sequence[Problem]
) -> tuple[Target, ...]:
    """The gold answers. Raises ValueError if a problem has none, or its row does not fit."""
    rows: list[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], int]] = []
    for problem in problems:
        if not problem.answer.strip():
            raise ValueError("The problem has no answer to learn from.")
        encoded = encode_for(base_model, learner, problem.question, problem.answer)
        head, text, predicted = encoded.head, encoded.question + encoded.answer, encoded.answer
        if learner.config.loss == "text":  # what is predicted cannot be in a prefix rows share
            head, text = (), head + text
            predicted = text[1:]
        rows.append((head, text[:-1], predicted, len(encoded.answer)))
    longest = max(len(head) + len(tokens) for head, tokens, _, _ in rows)
    check_fits(base_model, len(learner.prompt) + longest)
    end = learner.config.end_weight
    total = sum(len(predicted) - 1 + end for _, _, predicted, _ in rows)
    return tuple(
        Target(
            head, tokens, predicted, (1 / total,) * (len(predicted) - 1) + (end / total,), answer
        )
        for head, tokens, predicted, answer in rows
    )


ANSWER = Signal(
    "answer",
    "Tell it the answer",
    rows=lambda config: 1,
    loss="nats a token",
    right="right before learning from it",
    told=answer_targets,
)
