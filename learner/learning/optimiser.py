"""Adam, and clipping, for many learners at once."""

import math
from collections.abc import Sequence

import torch

from learner.learning.learner import Learner

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Adam's usual constants (Kingma & Ba, 2015)


def clipped(
    learners: Sequence[Learner], gradients: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients [K, n, d] cut to the norm that each learner's config allows, and norms [K] before.

    As `torch.nn.utils.clip_grad_norm_` does it, for each learner by itself.
    """
    norms = gradients.flatten(1).norm(dim=1)
    limit = torch.tensor([learner.config.max_grad_norm for learner in learners])
    return gradients * (limit / (norms + 1e-6)).clamp(max=1.0)[:, None, None], norms


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
