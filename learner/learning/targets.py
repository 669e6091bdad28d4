"""Targets: the tokens that a step makes likelier or less likely, and how much each of them counts.

Whatever a learner learns from comes down to rows of these: a gold answer is a target that every
token of counts alike; a completion that was sampled counts as much as it was better than the others
(`reward`), one that a person marked as much as they liked it (`thumbs`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from learner.learning.learner import Learner
from learner.learning.worked_examples import worked_examples
from learner.model.base_model import BaseModel
from learner.model.formatting import Encoded, encode
from learner.model.forward import Row


@dataclass(frozen=True)
class Target:
    """One row behind a soft prompt: ``head``, which rows may share, then ``tokens``.

    ``predicted`` should follow, one token after each of the last tokens; the row's loss is the sum
    of their cross-entropies, each times its weight, so with a weight below zero one becomes less
    likely. ``answer`` is how many of them, the last ones, are a gold answer.
    """

    head: tuple[int, ...]
    tokens: tuple[int, ...]
    predicted: tuple[int, ...]
    weights: tuple[float, ...]
    answer: int = 0

    def row(self, number: int) -> Row:
        """The target as a row of a pass, behind soft prompt ``number``."""
        return Row(number, self.head, self.tokens, len(self.predicted))


def check_prompt(base_model: BaseModel, learner: Learner) -> None:
    """Raise ValueError unless the learner's vectors are of the model's size."""
    if learner.prompt.shape[1] != base_model.hidden_size:
        raise ValueError(
            f"This soft prompt has {learner.prompt.shape[1]} numbers a token, but "
            f"{base_model.name} takes {base_model.hidden_size}; it was learnt in front of "
            f"{learner.source.name}."
        )


def check_fits(base_model: BaseModel, tokens: int) -> None:
    """Raise ValueError if a row of so many tokens, soft prompt included, is too long."""
    if tokens > base_model.context_length:
        raise ValueError(
            f"The problem is too long: {tokens} tokens with the soft prompt, where "
            f"{base_model.name} reads {base_model.context_length}."
        )


def encode_for(
    base_model: BaseModel, learner: Learner, question: str, answer: str | None
) -> Encoded:
    """Token ids in the format that the learner learns in, worked examples included."""
    config = learner.config
    examples = worked_examples(config.shots)
    return encode(base_model, question, answer, config.chat_template, examples)


def completion_targets(
    base_model: BaseModel,
    learner: Learner,
    question: str,
    weights: Sequence[tuple[tuple[int, ...], float]],
) -> tuple[Target, ...]:
    """Completions (token ids) of one question, each with the weight of its tokens.

    They share everything that comes before them, which runs once for all.
    """
    encoded = encode_for(base_model, learner, question, None)
    head, last = encoded.head + encoded.question[:-1], encoded.question[-1:]
    return tuple(
        Target(head, last + ids[:-1], ids, (weight,) * len(ids)) for ids, weight in weights
    )
