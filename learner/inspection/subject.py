"""What is looked into: a trained soft prompt, the untrained one beside it, and how it is asked."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from arena import Problem
from arena.statistics import SIGNIFICANT, Interval, mcnemar_exact, paired_difference
from learner.learning.learner import Learner
from learner.learning.worked_examples import worked_examples
from learner.measuring import SHARED, Answers, Measurement, Score, measured
from learner.model.formatting import Examples

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, eq=False)
class Subject:
    """A ``trained`` soft prompt and the ``untrained`` one it began as, float32 [vectors, hidden].

    ``untrained`` is what most methods put back, and their first control. Both are asked in one
    format, behind the same worked examples.
    """

    trained: torch.Tensor
    untrained: torch.Tensor
    chat_template: bool = False
    examples: Examples = ()

    @property
    def vectors(self) -> int:
        """How many vectors it has."""
        return len(self.trained)

    def with_vectors(self, kept: Sequence[bool]) -> torch.Tensor:
        """The trained prompt with the vectors that are not ``kept`` as they were untrained.

        Leaving them out instead would move all that follows to other positions.
        """
        return torch.where(torch.tensor(kept)[:, None], self.trained, self.untrained)

    def asked(self, problems: Sequence[Problem], prompt: torch.Tensor | None) -> Measurement:
        """The problems asked as the subject is, behind another prompt, or behind none."""
        prompts = {} if prompt is None else {SHARED: prompt}
        return Measurement(problems, self.chat_template, prompts, self.examples)


@dataclass(frozen=True)
class Change:
    """A paired change in accuracy with its 95 % score interval, and McNemar's p-value."""

    value: float
    interval: Interval
    gained: int
    lost: int
    p_value: float

    @property
    def gains(self) -> bool:
        """Whether it is a gain that can be told from chance."""
        return self.value > 0 and self.p_value < SIGNIFICANT


def subject_of(learner: Learner, untrained: Learner) -> Subject:
    """A learner as a subject, beside the untrained learner that its settings start from.

    Where it started elsewhere (from what others learnt, or before it was imported), that is still
    an untrained prompt of the same length.
    """
    if untrained.prompt.shape != learner.prompt.shape:
        raise ValueError(
            f"The soft prompt has {len(learner.prompt)} vectors, but its settings say "
            f"{len(untrained.prompt)}; look into one whose settings are its own."
        )
    config = learner.config
    return Subject(
        learner.prompt, untrained.prompt, config.chat_template, worked_examples(config.shots)
    )


def scores(
    answers: Answers,
    subject: Subject,
    prompts: Mapping[Name, torch.Tensor | None],
    problems: Sequence[Problem],
) -> dict[Name, Score]:
    """How the problems are answered behind each of the prompts (None: the model alone), by name.

    All are asked together. Raises ValueError without problems, and what ``answers`` raises.
    """
    asked = [subject.asked(problems, prompt) for prompt in prompts.values()]
    return dict(zip(prompts, measured(answers, asked), strict=True))


def change(before: Score, after: Score) -> Change:
    """How accuracy changed from one score to another on the same problems."""
    test = mcnemar_exact(before.right, after.right)
    interval = paired_difference(test.gained, test.lost, after.n)
    value = (test.gained - test.lost) / after.n
    return Change(value, interval, test.gained, test.lost, test.p_value)
