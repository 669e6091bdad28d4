"""A training pass at fixed addresses, for a CUDA graph to repeat: attention under one dense mask.

Where every kernel that is launched counts, attention over packed segments costs least as a product
of all tokens with all tokens, of which a mask leaves what segments may see; passes are short, so
the arithmetic that is wasted hardly shows. Sizes are rounded up: tokens of the filler see
themselves, and predictions of the filler are the caller's to leave out.

What `learner.model.attention` does in blocks keeps a number that is not finite within its segment.
Here it reaches every row (a masked weight of zero times NaN is NaN): who finds one runs the pass
again in blocks.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from learner.model.attention import run_packed
from learner.model.base_model import BaseModel
from learner.model.forward import PackedRows

MOST_TOKENS = 2048  # beyond, blocks are less work
LEAST_PREDICTIONS, LEAST_SOFT = 16, 8

Size = tuple[int, int, int]
"""Tokens, predictions and soft tokens that a pass has room for."""


class DensePass:
    """The tensors of passes of one size, and the forward pass over them."""

    def __init__(self, base_model: BaseModel, size: Size) -> None:
        tokens, predictions, soft = size
        device = base_model.device
        self._model = base_model.model
        self._tokens = torch.zeros((5, tokens), dtype=torch.int64, device=device)
        self._keep = torch.zeros(predictions, dtype=torch.int64, device=device)
        self._mask: torch.Tensor | None = None
        self.positions = self._tokens[1:2]
        self.prompts = torch.zeros((soft, base_model.hidden_size), device=device).requires_grad_()
        self.predicted = torch.zeros_like(self._keep)
        self.weight = torch.zeros(predictions, device=device)

    @property
    def bytes(self) -> int:
        """What stays; what arises in between, graphs share."""
        fixed = (self._tokens, self._keep, self.prompts, self.predicted, self.weight)
        return sum(tensor.nbytes for tensor in fixed)

    def load(
        self,
        rows: PackedRows,
        prompts: torch.Tensor,
        predicted: Sequence[int],
        weight: Sequence[float],
    ) -> None:
        """Put in what the next pass runs over.

        ``prompts`` are all soft prompts one after another; ``predicted`` and ``weight`` go with the
        rows' predictions, those of the filler have the weight 0.
        """
        tokens = np.zeros(self._tokens.shape, dtype=np.int64)
        ids, place, segment, prefix, soft = tokens
        used = len(rows.ids)
        ids[:used] = rows.ids
        segment[:] = prefix[:] = -1 - np.arange(len(ids))  # a filler token is a segment of its own
        soft[:] = -1
        start = 0
        for number, one in enumerate(rows.segments):
            own = slice(start, start + one.length)
            before = 0 if one.prefix is None else rows.segments[one.prefix].length
            place[own] = before + np.arange(one.length)
            segment[own] = number
            prefix[own] = number if one.prefix is None else one.prefix
            start += one.length
        soft[rows.soft_places] = rows.soft_sources
        with torch.no_grad():
            self._tokens.copy_(torch.from_numpy(tokens))
            self.prompts[: len(prompts)] = prompts
            for fixed, given in (
                (self._keep, torch.from_numpy(rows.keep)),
                (self.predicted, torch.tensor(predicted)),
                (self.weight, torch.tensor(weight)),
            ):
                fixed.copy_(F.pad(given, (0, len(fixed) - len(given))))

    def logits(self) -> torch.Tensor:
        """Logits [predictions, vocabulary] in the model's dtype, those of the filler too."""
        ids, _, segment, prefix, soft = self._tokens.unbind()
        words = self._model.get_input_embeddings()(ids)
        learnt = self.prompts.to(words.dtype).index_select(0, soft.clamp(min=0))
        embeddings = torch.where(soft[:, None] < 0, words, learnt)
        number = torch.arange(len(ids), device=ids.device)
        own = (segment[:, None] == segment) & (number[:, None] >= number)
        seen = own | (prefix[:, None] == segment) & (prefix != segment)[:, None]
        mask = torch.zeros(seen.shape, dtype=words.dtype, device=ids.device)
        self._mask = mask.masked_fill_(seen.logical_not(), -torch.inf)[None, None]
        return run_packed(self._model, self, embeddings, self._keep)

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> torch.Tensor:
        """Attention of query [1, heads, T, D], key and value [1, kv_heads, T, D].

        Returns [1, T, heads, D].
        """
        groups = query.shape[1] // key.shape[1]
        key, value = (_repeated(states, groups) for states in (key, value))
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask=self._mask, scale=scale
        ).transpose(1, 2)


def dense_size(rows: PackedRows, soft: int) -> Size | None:
    """The size of a pass that holds these rows behind so many soft tokens; None if none should."""
    tokens = len(rows.ids)
    if tokens > MOST_TOKENS:
        return None
    step = max(64, 1 << max(0, tokens.bit_length() - 4))
    return (
        -(-tokens // step) * step,
        _power(len(rows.keep), LEAST_PREDICTIONS),
        _power(soft, LEAST_SOFT),
    )


def _power(number: int, least: int) -> int:
    """The first power of two from ``number`` on, or ``least``."""
    return max(least, 1 << (number - 1).bit_length())


def _repeated(states: torch.Tensor, groups: int) -> torch.Tensor:
    """[1, kv_heads, T, D] -> [1, kv_heads * groups, T, D]."""
    _, heads, tokens, width = states.shape
    wide = states[:, :, None].expand(1, heads, groups, tokens, width)
    return wide.reshape(1, heads * groups, tokens, width)
