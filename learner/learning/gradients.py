"""What the passes say about targets: their losses, the gradient, and what greedy decoding would do.

Targets of many soft prompts run together, in passes that fit into memory. Their losses are summed,
and one backward pass gives every prompt the gradient of its own loss, because no row sees another's
prompt. Everything from the logits on is float32.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

import torch
import torch.nn.functional as F

from learner.learning.targets import Target
from learner.model.base_model import BaseModel
from learner.model.cuda_graphs import Repeated
from learner.model.dense_pass import DensePass, Size, dense_size
from learner.model.forward import Batch, PackedRows, Row, pass_tokens, split_passes
from learner.model.memory import in_halves, training_budget
from learner.model.pace import Paces, worked
from learner.model.token_choice import most_likely
from learner.model.turns import Turns

A_LITTLE_MORE = 1.5  # times as many tokens as a pass should have: then it is cut

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


def find_gradients(
    base_model: BaseModel,
    work: Sequence[Work],
    paces: Paces | None = None,
    repeated: bool = True,
) -> Turns[list[Found]]:
    """Losses, hits and gradient for each soft prompt, all from the same passes.

    Pauses after each pass; ``paces`` bound the tokens of one. Short passes are repeated as CUDA
    graphs, where there is CUDA and unless they may not be. Raises OutOfMemory if not even the half
    of a pass fits into memory.
    """
    device = base_model.device
    lengths = [len(prompt) for prompt, _ in work]
    targets = [target for _, own in work for target in own]
    prompts = torch.cat([prompt for prompt, _ in work]).to(device).requires_grad_()

    def learn(
        members: Sequence[int], rows: Sequence[Row], predicted: Sequence[int]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        weight = [weight for i in members for weight in targets[i].weights]
        if repeated and base_model.fixtures.max_bytes:
            packed = PackedRows(rows, lengths)
            step = _repeated_step(base_model, packed, len(prompts))
            if step is not None:
                return step(packed, prompts.detach(), predicted, weight)
        logits = Batch(base_model, rows, lengths).logits(prompts)
        return _learnt(
            logits,
            torch.tensor(predicted, device=device),
            torch.tensor(weight, device=device),
            prompts,
        )

    passes = yield from _in_passes(base_model, work, learn, paces)
    losses, hits, parts = zip(*passes, strict=True)
    # One transfer, and so one wait for the device, for everything that came out.
    summed = torch.stack(parts).sum(dim=0).flatten()
    found = torch.cat((summed, *losses, *(hit.float() for hit in hits))).cpu()
    if repeated and len(work) > 1 and not found.isfinite().all():
        # Under a dense mask it would have reached every other soft prompt too.
        return (yield from find_gradients(base_model, work, paces, repeated=False))
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


def log_likelihoods(
    base_model: BaseModel, work: Sequence[Work], paces: Paces | None = None
) -> Turns[list[tuple[float, ...]]]:
    """The log-probability (nats) of what each target predicts; weights play no part."""

    lengths = [len(prompt) for prompt, _ in work]

    def look(members: Sequence[int], rows: Sequence[Row], predicted: Sequence[int]) -> torch.Tensor:
        logits = Batch(base_model, rows, lengths).logits(prompts).float()
        expected = torch.tensor(predicted, device=base_model.device)
        return -F.cross_entropy(logits, expected, reduction="none")

    prompts = torch.cat([prompt for prompt, _ in work]).to(base_model.device)
    found = yield from _in_passes(base_model, work, look, paces)
    targets = [target for _, own in work for target in own]
    tokens = torch.cat(found).cpu().split([len(target.predicted) for target in targets])
    sums = iter([float(row.sum()) for row in tokens])
    return [tuple(islice(sums, len(own))) for _, own in work]


def _learnt(
    logits: torch.Tensor, predicted: torch.Tensor, weight: torch.Tensor, prompts: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Weighed losses and hits of a pass [predictions], and the gradient of their sum."""
    logits = logits.float()
    loss = F.cross_entropy(logits, predicted, reduction="none") * weight
    (gradient,) = torch.autograd.grad(loss.sum(), prompts)
    return loss.detach(), most_likely(logits.detach()) == predicted, gradient


class _RepeatedStep:
    """Passes of one size, forward and back, at fixed addresses."""

    def __init__(self, base_model: BaseModel, size: Size) -> None:
        dense = self._dense = DensePass(base_model, size)

        def run() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            return _learnt(dense.logits(), dense.predicted, dense.weight, dense.prompts)

        self._run = Repeated(run, base_model.device)
        self.bytes = dense.bytes
        self.is_lent = False  # nothing is left in it from one pass to the next

    def __call__(
        self,
        rows: PackedRows,
        prompts: torch.Tensor,
        predicted: Sequence[int],
        weight: Sequence[float],
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """As `_learnt`."""
        self._dense.load(rows, prompts, predicted, weight)
        loss, hits, gradient = self._run()
        count = len(predicted)
        return loss[:count].clone(), hits[:count].clone(), gradient[: len(prompts)].clone()


def _repeated_step(base_model: BaseModel, rows: PackedRows, soft: int) -> _RepeatedStep | None:
    """The one for such rows behind so many soft tokens; None where there should be none."""
    fixtures, size = base_model.fixtures, dense_size(rows, soft)
    if size is None or size[0] * training_budget(base_model).token > fixtures.max_bytes:
        return None
    kept = fixtures.get(size)
    if kept is None:
        kept = _RepeatedStep(base_model, size)
        if not fixtures.put(size, kept):
            return None
    return kept if isinstance(kept, _RepeatedStep) else None


def _in_passes(
    base_model: BaseModel,
    work: Sequence[Work],
    run: Callable[[Sequence[int], Sequence[Row], Sequence[int]], Result],
    paces: Paces | None,
) -> Turns[list[Result]]:
    """What ``run`` makes of each pass over the targets, all of them in order, as fits into memory.

    It gets the members of the pass, by index, their rows, and the tokens that should follow.
    """
    lengths = [len(prompt) for prompt, _ in work]
    rows = [target.row(i) for i, (_, own) in enumerate(work) for target in own]
    wanted = [target.predicted for _, own in work for target in own]

    def run_over(members: Sequence[int]) -> Result:
        predicted = [token for i in members for token in wanted[i]]
        return run(members, [rows[i] for i in members], predicted)

    budget = training_budget(base_model)
    if paces is not None:
        # A little too much is no reason for a second pass, which reads the prefixes once more.
        size, whole = paces.training.size, pass_tokens(rows, lengths)
        size = whole if whole <= A_LITTLE_MORE * size else size
        budget = replace(budget, tokens=min(budget.tokens, size))
    results: list[Result] = []
    for members in split_passes(rows, lengths, budget):
        began = worked(base_model.device)
        results += in_halves(run_over, members, base_model.device)
        if paces is not None:
            tokens = pass_tokens([rows[i] for i in members], lengths)
            paces.training.measured(tokens, worked(base_model.device) - began)
        yield
    return results
