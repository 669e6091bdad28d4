"""Attention over packed segments: how many rows share a prefix, and one pass, inside any model.

A batch is one sequence [1, T] of *segments* laid end to end with nothing between them: prefixes,
rows that continue a prefix, rows that stand alone. Everything a transformer does token by token
(projections, norms, feed-forward) then runs on exactly the tokens there are. Only attention has to
know who may see whom: a token sees its own segment up to itself, and all of the prefix its segment
continues. `PackedSegments` does that by gathering segments of similar length into small padded
blocks, with the keys and values of their prefix in front of their own; gradients sum back over all
rows that share the prefix. `CachedRows` is the same for decoding, one token a row at a time.

A model takes part through transformers' attention interface, without being modified: it calls
`segment_attention` in place of its own attention, with what is passed to its forward as
``segments``. Without it, the model attends as it always did.

Padding repeats a token of the same segment, so that a number which is not finite stays inside the
segment it arose in (a masked weight of zero times NaN is NaN).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "packed_segments"
# Options of `segment_attention` that change what attention means; a model that sets one of them
# cannot be run packed. (A sliding window is no such option: rows are kept shorter than it.)
UNSUPPORTED = ("softcap", "s_aux", "position_bias", "cache")
MAX_SCORES = 1 << 25  # attention scores that a block may keep in memory for the backward pass


class Attends(Protocol):
    """What `segment_attention` hands a layer's queries, keys and values to."""

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> torch.Tensor: ...


@dataclass(frozen=True)
class Segment:
    """``length`` tokens that continue segment number ``prefix``, or start afresh (None)."""

    length: int
    prefix: int | None = None


def segment_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    segments: Attends | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """A transformers attention function: query [B, heads, L, D], key and value [B, kv_heads, L, D].

    Returns [B, L, heads, D]. With ``segments`` None it is transformers' own SDPA attention.
    """
    if segments is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
    if any(options.get(name) is not None for name in UNSUPPORTED):
        raise NotImplementedError(f"attention with {', '.join(UNSUPPORTED)} cannot be packed")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    layer = module.layer_idx
    assert isinstance(layer, int)
    return segments.attend(layer, query, key, value, scale), None


def enable_segment_attention(model: PreTrainedModel) -> bool:
    """Have the model attend through `segment_attention`; False if it cannot.

    Whether it can is found out by running it: two rows behind one packed prefix must give the same
    logits as each of them alone does in the model's ordinary forward.
    """
    AttentionInterface.register(NAME, segment_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    layers = getattr(model.config.get_text_config(), "layer_types", None) or ()
    if not {"full_attention", "sliding_attention"}.issuperset(layers):
        return False
    embed = model.get_input_embeddings()
    ids = torch.arange(3, 12, device=model.device)
    prefix, first, second = ids.split((3, 2, 4))
    packed = PackedSegments((Segment(3), Segment(2, 0), Segment(4, 0)), model.device)
    try:
        model.set_attn_implementation(NAME)
        with torch.no_grad():
            alone = [
                model(input_ids=torch.cat((prefix, row))[None], use_cache=False).logits[0, -1]
                for row in (first, second)
            ]
            keep = torch.tensor((4, 8), device=model.device)
            together = run_packed(model, packed, embed(ids), keep)
    except (TypeError, ValueError, RuntimeError):
        return False
    expected = torch.stack(alone).float()
    error = (together.float() - expected).norm() / expected.norm()
    return bool(error < (1e-3 if model.dtype == torch.float32 else 5e-2))


def run_packed(
    model: PreTrainedModel, packed: "PackedSegments", embeddings: torch.Tensor, keep: torch.Tensor
) -> torch.Tensor:
    """Logits [len(keep), vocabulary] at the packed positions ``keep`` of embeddings [T, hidden]."""
    return model(
        inputs_embeds=embeddings[None],
        position_ids=packed.positions,
        attention_mask=no_mask(embeddings),
        use_cache=False,
        logits_to_keep=keep,
        segments=packed,
    ).logits[0]


def no_mask(like: torch.Tensor) -> torch.Tensor:
    """A 4-D mask, which transformers passes on as it is, so it builds no [T, T] mask."""
    return like.new_zeros((1, 1, 1, 1))


class PackedSegments:
    """Who sees whom in one packed sequence of segments, as gather indices on the device."""

    def __init__(
        self,
        segments: Sequence[Segment],
        device: torch.device,
        cache: "CachedRows | None" = None,
    ) -> None:
        lengths = np.array([segment.length for segment in segments])
        self._starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
        self._lengths = lengths
        self._prefixes = [segment.prefix for segment in segments]
        self._device = device
        self._cache = cache
        self._masks: dict[tuple[int, torch.dtype], list[torch.Tensor]] = {}
        before = [0 if p is None else int(lengths[p]) for p in self._prefixes]
        self._before = np.array(before)
        positions = np.arange(int(lengths.sum())) - np.repeat(self._starts - self._before, lengths)
        self.positions = torch.from_numpy(positions)[None].to(device)
        self._blocks = _blocks(lengths, self._before)
        self._gather()

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> torch.Tensor:
        """Attention of packed query [1, heads, T, D], key and value [1, kv_heads, T, D].

        Returns [1, T, heads, D].
        """
        if self._cache is not None:
            self._cache.fill(layer, key, value)
        heads, kv_heads = query.shape[1], key.shape[1]
        if len(self._lengths) == 1 and not _fused_is_slow(query):
            return F.scaled_dot_product_attention(
                query, key, value, is_causal=True, scale=scale, enable_gqa=heads != kv_heads
            ).transpose(1, 2)
        outputs = [
            _from_folded(
                _attend(
                    _to_folded(q.view(len(block), -1, heads, query.shape[3]), kv_heads),
                    k.view(len(block), -1, kv_heads, key.shape[3]).transpose(1, 2),
                    v.view(len(block), -1, kv_heads, value.shape[3]).transpose(1, 2),
                    mask,
                    scale,
                ),
                heads,
            )
            for block, q, k, v, mask in zip(
                self._blocks,
                self._query.take(_tokens(query)).split(self._query_sizes),
                self._key.take(_tokens(key)).split(self._key_sizes),
                self._key.take(_tokens(value)).split(self._key_sizes),
                self._masks_of(heads // kv_heads, query.dtype),
                strict=True,
            )
        ]
        padded = torch.cat(outputs) if len(outputs) > 1 else outputs[0]
        return self._output.take(padded).view(1, -1, heads, value.shape[3])

    def _gather(self) -> None:
        """Index tensors between packed tokens and the padded blocks."""
        queries, keys, query_valid, key_valid = [], [], [], []
        self._visible: list[np.ndarray] = []
        for block in self._blocks:
            start, length, before = self._starts[block], self._lengths[block], self._before[block]
            prefix_start = np.array(
                [0 if (p := self._prefixes[i]) is None else self._starts[p] for i in block]
            )
            longest, longest_before = int(length.max()), int(before.max())
            column = np.arange(longest)
            own = start[:, None] + np.minimum(column, length[:, None] - 1)
            own_valid = column < length[:, None]
            offset = np.arange(longest_before) - (longest_before - before)[:, None]
            front = np.where(
                before[:, None] > 0, prefix_start[:, None] + np.maximum(offset, 0), start[:, None]
            )
            queries.append(own.ravel())
            query_valid.append(own_valid.ravel())
            keys.append(np.concatenate((front, own), axis=1).ravel())
            key_valid.append(np.concatenate((offset >= 0, own_valid), axis=1).ravel())
            causal = np.broadcast_to(column[:, None] >= column, (len(block), longest, longest))
            seen = np.broadcast_to((offset >= 0)[:, None], (len(block), longest, longest_before))
            visible = np.concatenate((seen, causal), axis=2)
            self._visible.append(visible if (before != longest_before).any() else visible[:1])
        total = int(self._lengths.sum())
        query_index, valid = np.concatenate(queries), np.concatenate(query_valid)
        place = np.empty(total, dtype=np.int64)
        place[query_index[valid]] = np.flatnonzero(valid)
        self._query = Gather(query_index, valid, total, self._device)
        self._output = Gather(place, np.ones(total, dtype=bool), len(valid), self._device)
        self._key = Gather(np.concatenate(keys), np.concatenate(key_valid), total, self._device)
        self._query_sizes = [len(index) for index in queries]
        self._key_sizes = [len(index) for index in keys]

    def _masks_of(self, groups: int, dtype: torch.dtype) -> list[torch.Tensor]:
        """Additive masks [rows or 1, 1, groups * L, S] a block, once for all layers alike."""
        if (groups, dtype) not in self._masks:
            masks = []
            for visible in self._visible:
                mask = torch.zeros(visible.shape, dtype=dtype)
                mask.masked_fill_(torch.from_numpy(~visible), -torch.inf)
                masks.append(mask[:, None].repeat(1, 1, groups, 1).to(self._device))
            self._masks[groups, dtype] = masks
        return self._masks[groups, dtype]


class Gather:
    """Rows of a matrix by index, many times over, with a fast and deterministic gradient.

    The gradient of a source row is the sum over the places it was copied to, itself a gather
    (`embedding_bag`, accumulated in float32), where autograd's own would scatter. Places that are
    not ``valid`` are padding: their values are never used, so they pass no gradient on.
    """

    def __init__(
        self, index: np.ndarray, valid: np.ndarray, sources: int, device: torch.device
    ) -> None:
        self._identity = len(index) == sources and bool((index == np.arange(sources)).all())
        places = np.flatnonzero(valid)
        counts = np.bincount(index[places], minlength=sources)
        order = places[np.argsort(index[places], kind="stable")]
        self._index = torch.from_numpy(index).to(device)
        self._places = torch.from_numpy(order).to(device)
        self._offsets = torch.from_numpy(np.cumsum(counts) - counts).to(device)

    def take(self, rows: torch.Tensor) -> torch.Tensor:
        """rows [sources, width] -> [len(index), width]."""
        if self._identity:
            return rows
        if not (torch.is_grad_enabled() and rows.requires_grad):
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
        return (
            F.embedding_bag(places, gradient.contiguous(), offsets, mode="sum"),
            None,
            None,
            None,
        )


class CachedRows:
    """Keys and values of rows that are being decoded, for one new token a row and pass.

    Rows are aligned at their ends (padding on the left), so that a new token goes to the same
    column of every row. Buffers have room for all tokens to come: nothing is copied to append.
    """

    def __init__(
        self, segments: Sequence[Segment], rows: Sequence[int], room: int, device: torch.device
    ) -> None:
        """``rows`` are the segments to decode after, each with the prefix it continues."""
        lengths = np.array([segment.length for segment in segments])
        starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
        tokens = [
            np.concatenate(
                [
                    starts[i] + np.arange(lengths[i])
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
        rows = _tokens(packed).index_select(0, self._index)
        buffer[:, :, : self._filled] = rows.view(self._rows, -1, heads, width).transpose(1, 2)
        return buffer


def _attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor, scale: float
) -> torch.Tensor:
    """Softmax attention of query [B, kv_heads, N, D] over S keys; mask [B or 1, 1, N, S]."""
    rows, heads, queries, _ = query.shape
    keys = key.shape[2]
    if not _fused_is_slow(query) or rows * heads * queries * keys > MAX_SCORES:
        return F.scaled_dot_product_attention(query, key, value, mask, scale=scale)
    scores = torch.baddbmm(
        mask.expand(rows, heads, queries, keys).reshape(-1, queries, keys),
        query.reshape(rows * heads, queries, -1),
        key.reshape(rows * heads, keys, -1).transpose(1, 2),
        alpha=scale,
    )
    weights = torch.softmax(scores, dim=-1)
    output = torch.bmm(weights, value.reshape(rows * heads, keys, -1))
    return output.view(rows, heads, queries, -1)


def _fused_is_slow(query: torch.Tensor) -> bool:
    """Whether to write attention out: in training in half precision on a CPU.

    PyTorch's fused attention has a backward pass there that takes three to six times as long
    (measured with 2.13 and AMX); everywhere else it is as fast or faster, in fewer operations.
    """
    return query.device.type == "cpu" and query.requires_grad and query.dtype != torch.float32


def _blocks(lengths: np.ndarray, before: np.ndarray) -> list[np.ndarray]:
    """Segments of a kind (with a prefix, without) and of similar length, to be padded together."""
    blocks = []
    for kind in (before == 0, before > 0):
        members = np.flatnonzero(kind)
        members = members[np.argsort(-lengths[members], kind="stable")]
        while len(members):
            longest = lengths[members[0]]
            similar = (lengths[members] > longest // 2) | (longest <= 32)
            blocks.append(members[similar])
            members = members[~similar]
    return blocks


def _tokens(states: torch.Tensor) -> torch.Tensor:
    """[1, heads, T, D] -> [T, heads * D], one row a token."""
    return states.transpose(1, 2).reshape(states.shape[2], -1)


def _to_folded(query: torch.Tensor, kv_heads: int) -> torch.Tensor:
    """[B, L, heads, D] -> [B, kv_heads, groups * L, D]: queries of one key head stand together."""
    rows, length, heads, width = query.shape
    grouped = query.view(rows, length, kv_heads, heads // kv_heads, width)
    return grouped.permute(0, 2, 3, 1, 4).reshape(rows, kv_heads, -1, width)


def _from_folded(output: torch.Tensor, heads: int) -> torch.Tensor:
    """[B, kv_heads, groups * L, D] -> [B * L, heads * D], one row a token."""
    rows, kv_heads, _, width = output.shape
    grouped = output.view(rows, kv_heads, heads // kv_heads, -1, width)
    return grouped.permute(0, 3, 1, 2, 4).reshape(-1, heads * width)
