"""What the passes say about targets: their losses, the gradient, and what greedy decoding would do.

Targets of many soft prompts run together, in passes that fit into memory. Their losses are summed,
and one backward pass gives every prompt the gradient of its own loss, because no row sees another's
prompt. Everything from the logits on is float32.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import torch
import torch.nn.functional as F

from learner.learning.targets import Target
from learner.model.base_model import BaseModel
from learner.model.forward import Batch, split_passes
from learner.model.memory import in_halves, training_budget
from learner.model.token_choice import most_likely

Result = TypeVar("Result")

Work = tuple[torch.Tensor, Sequence[Target]]
"""A soft prompt [soft tokens, hidden] and the targets behind it."""


@dataclass(frozen=True)
class Found:
    """What was found for one soft prompt.

    ``losses`` holds the weighed loss of each predicted token, ``hits`` whether it was the most
    likely one: a tensor a target, on the CPU. ``gradient`` is [soft tokens, hidden].
    """

    losses: tuple[torch.Tensor, ...]
    hits: tuple[torch.Tensor, ...]
    gradient: torch.Tensor

    def loss(self, targets: int | None = None) -> float:
        """The loss of the first so many targets, or of all; 0 for none."""
        chosen = self.losses[:targets]
        return float(torch.cat(chosen).sum()) if chosen else 0.0


def find_gradients(base_model: BaseModel, work: Sequence[Work]) -> list[Found]:
    """Losses, hits and gradient for each soft prompt, all from the same passes.

    Raises OutOfMemory if not even the half of a pass fits into memory.
    """
    device = base_model.device
    lengths = [len(prompt) for prompt, _ in work]
    targets = [target for _, own in work for target in own]
    prompts = torch.cat([prompt for prompt, _ in work]).to(device).requires_grad_()

    def learn(
        members: Sequence[int], logits: torch.Tensor, predicted: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        weight = torch.tensor(
            [targets[i].weight for i in members for _ in targets[i].predicted], device=device
        )
        loss = F.cross_entropy(logits, predicted, reduction="none") * weight
        (gradient,) = torch.autograd.grad(loss.sum(), prompts)
        return loss.detach(), most_likely(logits.detach()) == predicted, gradient

    losses, hits, parts = zip(*_in_passes(base_model, work, prompts, learn), strict=True)
    # One transfer, and so one wait for the device, for everything that came out.
    summed = torch.stack(parts).sum(dim=0).flatten()
    found = torch.cat((summed, *losses, *(hit.float() for hit in hits))).cpu()
    sizes = [len(target.predicted) for target in targets]
    tokens = sum(sizes)
    gradient, loss, hit = found.split((found.numel() - 2 * tokens, tokens, tokens))
    gradients = gradient.view(-1, base_model.hidden_size).split(lengths)
    of_target = iter(zip(loss.split(sizes), hit.bool().split(sizes), strict=True))
    results = []
    for (_, own), one in zip(work, gradients, strict=True):
        mine = list(islice(of_target, len(own)))
        results.append(Found(tuple(row for row, _ in mine), tuple(row for _, row in mine), one))
    return results


def log_likelihoods(base_model: BaseModel, work: Sequence[Work]) -> list[tuple[float, ...]]:
    """The log-probability (nats) of what each target predicts; weights play no part."""

    def look(members: Sequence[int], logits: torch.Tensor, predicted: torch.Tensor) -> torch.Tensor:
        return -F.cross_entropy(logits, predicted, reduction="none")

    with torch.no_grad():
        prompts = torch.cat([prompt for prompt, _ in work]).to(base_model.device)
        found = _in_passes(base_model, work, prompts, look)
    targets = [target for _, own in work for target in own]
    tokens = torch.cat(found).cpu().split([len(target.predicted) for target in targets])
    sums = iter([float(row.sum()) for row in tokens])
    return [tuple(islice(sums, len(own))) for _, own in work]


def _in_passes(
    base_model: BaseModel,
    work: Sequence[Work],
    prompts: torch.Tensor,
    look: Callable[[Sequence[int], torch.Tensor, torch.Tensor], Result],
) -> list[Result]:
    """What ``look`` makes of each pass over the targets, all of them in order, as fits into memory.

    It gets the members of the pass, by index, their logits [tokens, vocabulary] in float32 and the
    tokens that should follow. ``prompts`` are all soft prompts one after another, on the device.
    """
    lengths = [len(prompt) for prompt, _ in work]
    rows = [target.row(i) for i, (_, own) in enumerate(work) for target in own]
    wanted = [target.predicted for _, own in work for target in own]

    def run(members: Sequence[int]) -> Result:
        batch = Batch(base_model, [rows[i] for i in members], lengths)
        predicted = torch.tensor([token for i in members for token in wanted[i]])
        logits = batch.logits(prompts).float()
        return look(members, logits, predicted.to(base_model.device))

    return [
        result
        for members in split_passes(rows, lengths, training_budget(base_model))
        for result in in_halves(run, members, base_model.device)
    ]
