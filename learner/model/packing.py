"""Packed segments and the padded blocks that attention runs on, as plain index arrays.

Segments lie end to end in one sequence. Attention takes them in blocks of similar length, each
segment padded to its block's longest, with its prefix in front of its keys. Padding repeats a token
of the same segment, so that a number which is not finite stays inside the segment it arose in (a
masked weight of zero times NaN is NaN).

A *stored* segment is no part of the sequence: its keys and values are known from an earlier pass,
and count as standing behind the sequence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

BLOCK_STEP = 16  # blocks are padded to multiples of this where shapes are rounded


@dataclass(frozen=True)
class Segment:
    """``length`` tokens that continue segment number ``prefix``, or start afresh (None).

    Only a prefix can be ``stored``.
    """

    length: int
    prefix: int | None = None
    stored: bool = False


@dataclass(frozen=True)
class Block:
    """B segments padded to L queries and S keys: where their tokens come from, and who sees whom.

    ``queries`` [B, L] and ``keys`` [B, S] are packed positions, real where the ``_real`` arrays
    say so; ``visible`` [B or 1, L, S].
    """

    queries: np.ndarray
    queries_real: np.ndarray
    keys: np.ndarray
    keys_real: np.ndarray
    visible: np.ndarray


class Layout:
    """Where segments start in the packed sequence, what precedes them, and their blocks.

    ``filler`` tokens without a meaning follow the last segment, stored ones follow those.
    ``rounded`` pads blocks to multiples of ``BLOCK_STEP``.
    """

    def __init__(self, segments: Sequence[Segment], filler: int = 0, rounded: bool = False) -> None:
        self.segments = tuple(segments)
        self.lengths = np.array([segment.length for segment in segments])
        self._packed = np.array([not segment.stored for segment in segments])
        packed, stored = self.lengths * self._packed, self.lengths * ~self._packed
        self.tokens = int(packed.sum())  # without the filler
        self.total = self.tokens + filler
        self.sources = self.total + int(stored.sum())  # whatever has keys and values
        self.starts = np.where(
            self._packed, np.cumsum(packed) - packed, self.total + np.cumsum(stored) - stored
        )
        self.before = np.array(
            [0 if s.prefix is None else segments[s.prefix].length for s in segments]
        )
        self._prefix_starts = np.array(
            [self.starts[i if s.prefix is None else s.prefix] for i, s in enumerate(segments)]
        )
        self._step = BLOCK_STEP if rounded else 1
        counted = np.arange(self.tokens) - np.repeat(self.starts - self.before, packed)
        self.positions = np.concatenate((counted, np.zeros(filler, dtype=np.int64)))
        self.blocks = [self._block(members) for members in self._alike()]

    def tokens_of(self, segment: int) -> np.ndarray:
        """Where the tokens of a segment come from, those of the prefix it continues in front."""
        chain = (self.segments[segment].prefix, segment)
        return np.concatenate(
            [self.starts[i] + np.arange(self.lengths[i]) for i in chain if i is not None]
        )

    def _alike(self) -> list[np.ndarray]:
        """Segments of a kind (with a prefix, without) and of similar length, longest first."""
        groups = []
        for kind in (self.before == 0, self.before > 0):
            members = np.flatnonzero(kind & self._packed)
            members = members[np.argsort(-self.lengths[members], kind="stable")]
            while len(members):
                longest = self.lengths[members[0]]
                similar = (self.lengths[members] > longest // 2) | (longest <= 32)
                groups.append(members[similar])
                members = members[~similar]
        return groups

    def _block(self, members: np.ndarray) -> Block:
        lengths, before = self.lengths[members, None], self.before[members, None]
        longest, longest_before = int(lengths.max()), int(before.max())
        column = np.arange(self._round(longest))
        own = self.starts[members, None] + np.minimum(column, lengths - 1)
        offset = np.arange(longest_before) - (longest_before - before)  # prefixes end together
        prefix = self._prefix_starts[members, None] + np.maximum(offset, 0)
        after = np.arange(self._round(longest_before + longest) - longest_before)
        own_keys = self.starts[members, None] + np.minimum(after, lengths - 1)
        causal = np.broadcast_to(column[:, None] >= after, (*own.shape, len(after)))
        seen = np.broadcast_to((offset >= 0)[:, None], (*own.shape, longest_before))
        visible = np.concatenate((seen, causal), axis=2)
        return Block(
            queries=own,
            queries_real=np.broadcast_to(column < lengths, own.shape),
            keys=np.concatenate((prefix, own_keys), axis=1),
            keys_real=np.concatenate((offset >= 0, after < lengths), axis=1),
            visible=visible if (before != before[0]).any() else visible[:1],
        )

    def _round(self, length: int) -> int:
        return -(-length // self._step) * self._step


def token_rows(states: torch.Tensor) -> torch.Tensor:
    """[1, heads, T, D] -> [T, heads * D], one row a token."""
    return states.transpose(1, 2).reshape(states.shape[2], -1)


class Gather:
    """Rows of a matrix by index, many times over, with a fast and deterministic gradient.

    The gradient of a source row is the sum over the places it was copied to, itself a gather
    (`embedding_bag`, accumulated in float32), where autograd's own would scatter. Places that are
    not ``real`` are padding: their values are never used, so they pass no gradient on.
    """

    def __init__(
        self, index: np.ndarray, real: np.ndarray, sources: int, device: torch.device
    ) -> None:
        self._identity = len(index) == sources and bool((index == np.arange(sources)).all())
        places = np.flatnonzero(real)
        counts = np.bincount(index[places], minlength=sources)
        order = places[np.argsort(index[places], kind="stable")]
        self._index = torch.from_numpy(index).to(device)
        self._places = torch.from_numpy(order).to(device)
        self._offsets = torch.from_numpy(np.cumsum(counts) - counts).to(device)

    def take(self, rows: torch.Tensor) -> torch.Tensor:
        """rows [sources, width] -> [len(index), width]."""
        if self._identity:
            return rows
        if not rows.requires_grad:
            return rows.index_select(0, self._index)
        return _Take.apply(rows, self._index, self._places, self._offsets)


class _Take(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        rows: torch.Tensor,
        index: torch.Tensor,
        places: torch.Tensor,
        offsets: torch.Tensor,
    ) -> torch.Tensor:
        ctx.save_for_backward(places, offsets)
        return rows.index_select(0, index)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        places, offsets = ctx.saved_tensors
        gradient = F.embedding_bag(places, gradient.contiguous(), offsets, mode="sum")
        return gradient, None, None, None
