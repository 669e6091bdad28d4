"""Keys and values of rows that are being decoded."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from learner.packing import Layout, Segment, token_rows


class CachedRows:
    """Keys and values of rows that are being decoded, for one new token a row and pass.

    Rows are aligned at their ends (padding on the left), so that a new token goes to the same
    column of every row. Buffers have room for all tokens to come: nothing is copied to append.
    """

    def __init__(
        self, segments: Sequence[Segment], rows: Sequence[int], room: int, device: torch.device
    ) -> None:
        """``rows`` are the segments to decode after, each with the prefix it continues."""
        layout = Layout(segments)
        tokens = [
            np.concatenate(
                [
                    layout.starts[i] + np.arange(layout.lengths[i])
                    for i in (segments[row].prefix, row)
                    if i is not None
                ]
            )
            for row in rows
        ]
        self._filled = max(len(row) for row in tokens)
        self._room = self._filled + room
        padding = np.array([self._filled - len(row) for row in tokens])
        index = np.stack([np.pad(row, (self._filled - len(row), 0), "edge") for row in tokens])
        self._index = torch.from_numpy(index.ravel()).to(device)
        self._rows = len(rows)
        hidden = np.arange(self._room) < padding[:, None]
        self._hidden = torch.from_numpy(hidden)[:, None, None].to(device) if hidden.any() else None
        self._mask: torch.Tensor | None = None
        self._layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def fill(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> None:
        """Take a layer's keys and values of the rows from a packed pass [1, kv_heads, T, D]."""
        self._layers[layer] = (self._buffer(key), self._buffer(value))

    def advance(self) -> None:
        """Make place for the next token of every row; called once before each pass."""
        self._filled += 1

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all rows but these (indices on the device, in order)."""
        self._layers = {
            layer: (keys.index_select(0, rows), values.index_select(0, rows))
            for layer, (keys, values) in self._layers.items()
        }
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

    def _buffer(self, packed: torch.Tensor) -> torch.Tensor:
        heads, width = packed.shape[1], packed.shape[3]
        buffer = packed.new_empty((self._rows, heads, self._room, width))
        rows = token_rows(packed).index_select(0, self._index)
        buffer[:, :, : self._filled] = rows.view(self._rows, -1, heads, width).transpose(1, 2)
        return buffer
