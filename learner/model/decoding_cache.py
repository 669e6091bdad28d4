"""Keys and values that outlive the pass they arose in: of decoded rows, and of prefixes.

A prefix is read once for as long as it stays the same: its keys and values are kept (`Prefixes`),
and rows of later passes continue them as if it stood in the pass.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from weakref import ref

import numpy as np
import torch
import torch.nn.functional as F

from learner.model.packing import Layout

States = dict[int, tuple[torch.Tensor, torch.Tensor]]
"""Keys and values by layer."""


class Attends(Protocol):
    """What a layer's queries, keys and values are handed to."""

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> torch.Tensor: ...


Step = Callable[[Attends, torch.Tensor, torch.Tensor], torch.Tensor]
"""Runs a model over one token a row [rows], at positions [rows, 1]: logits [rows, vocabulary]."""


class DecodedRows(Protocol):
    """Rows that are being decoded: filled by a pass, then a token a row and step."""

    def fill(self, layer: int, keys: torch.Tensor, values: torch.Tensor, heads: int) -> None: ...

    def next_logits(self, step: Step, tokens: torch.Tensor) -> torch.Tensor: ...

    def keep(self, rows: torch.Tensor) -> None: ...


PREFIX_BYTES = 64 << 20  # kept at most, of all prefixes; one of 33 tokens takes 0.4 MB at 0.5B


class CachedRows:
    """Keys and values of rows that are being decoded, for one new token a row and pass.

    Rows are aligned at their ends (padding on the left), so that a new token goes to the same
    column of every row. Buffers have room for all tokens to come: nothing is copied to append.
    """

    def __init__(
        self, layout: Layout, rows: Sequence[int], room: int, device: torch.device
    ) -> None:
        """``rows`` are the segments to decode after, each with the prefix it continues."""
        tokens = [layout.tokens_of(row) for row in rows]
        self._filled = max(len(row) for row in tokens)
        self._room = self._filled + room
        padding = np.array([self._filled - len(row) for row in tokens])
        index = np.stack([np.pad(row, (self._filled - len(row), 0), "edge") for row in tokens])
        self._index = torch.from_numpy(index.ravel()).to(device)
        self._rows = len(rows)
        hidden = np.arange(self._room) < padding[:, None]
        self._hidden = torch.from_numpy(hidden)[:, None, None].to(device) if hidden.any() else None
        self._mask: torch.Tensor | None = None
        self._positions = torch.tensor([len(row) for row in tokens], device=device)[:, None]
        self._layers: States = {}

    def fill(self, layer: int, keys: torch.Tensor, values: torch.Tensor, heads: int) -> None:
        """Take the rows' share of a packed pass's keys and values [sources, heads * D]."""
        self._layers[layer] = (self._buffer(keys, heads), self._buffer(values, heads))

    def next_logits(self, step: Step, tokens: torch.Tensor) -> torch.Tensor:
        """Logits [rows, vocabulary] after one more token [rows] of every row, on the device."""
        self._filled += 1
        logits = step(self, tokens, self._positions)
        self._positions = self._positions + 1
        return logits

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all rows but these (indices on the device, in order)."""
        self._layers = {
            layer: (keys.index_select(0, rows), values.index_select(0, rows))
            for layer, (keys, values) in self._layers.items()
        }
        self._positions = self._positions.index_select(0, rows)
        if self._hidden is not None:
            self._hidden = self._hidden.index_select(0, rows)
            self._mask = None

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> torch.Tensor:
        """Attention of one token a row: query [B, heads, 1, D], key and value [B, kv_heads, 1, D].

        Returns [B, 1, heads, D].
        """
        keys, values = self._layers[layer]
        column = self._filled - 1
        keys[:, :, column] = key[:, :, 0]
        values[:, :, column] = value[:, :, 0]
        rows, heads, _, width = query.shape
        folded = query.view(rows, key.shape[1], -1, width)
        if self._hidden is not None and self._mask is None:
            zeros = torch.zeros(self._hidden.shape, dtype=query.dtype, device=query.device)
            self._mask = zeros.masked_fill_(self._hidden, -torch.inf)
        mask = None if self._mask is None else self._mask[..., : self._filled]
        output = F.scaled_dot_product_attention(
            folded,
            keys[:, :, : self._filled],
            values[:, :, : self._filled],
            attn_mask=mask,
            scale=scale,
        )
        return output.reshape(rows, 1, heads, -1)

    def _buffer(self, states: torch.Tensor, heads: int) -> torch.Tensor:
        width = states.shape[1] // heads
        buffer = states.new_empty((self._rows, heads, self._room, width))
        rows = states.index_select(0, self._index).view(self._rows, -1, heads, width)
        buffer[:, :, : self._filled] = rows.transpose(1, 2)
        return buffer


@dataclass(frozen=True, eq=False)
class Prefix:
    """A prefix of ``length`` tokens: keys and values [length, kv_heads * D] of every layer."""

    length: int
    states: States = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(keys.nbytes + values.nbytes for keys, values in self.states.values())


class Prefixes:
    """Prefixes of one base model that were read, those used last; for one thread.

    A prefix is known by its soft prompt, the very tensor, which must not be changed in place (None:
    the base model alone), and by the token ids that follow it.
    """

    def __init__(self, max_bytes: int = PREFIX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[
            tuple[int, tuple[int, ...]], tuple[Callable[[], torch.Tensor | None], Prefix]
        ] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, prompt: torch.Tensor | None, head: tuple[int, ...]) -> Prefix | None:
        """The prefix, if it is kept."""
        key = (id(prompt), head)
        if key not in self._kept:
            return None
        prompt_then, prefix = self._kept[key]
        if prompt_then() is not prompt:  # gone, and its id is another's now
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return prefix

    def put(self, prompt: torch.Tensor | None, head: tuple[int, ...], prefix: Prefix) -> None:
        """Keep a prefix, until its prompt is gone or it has not been used for longest."""
        key = (id(prompt), head)
        self._drop(key)
        self._kept[key] = (_nothing if prompt is None else ref(prompt), prefix)
        self._bytes += prefix.bytes
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: tuple[int, tuple[int, ...]]) -> None:
        if key in self._kept:
            self._bytes -= self._kept.pop(key)[1].bytes


def _nothing() -> None:
    """What the base model alone has for a soft prompt."""
