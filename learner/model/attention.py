"""Attention over packed segments: how many rows share a prefix, and one pass, inside any model.

A batch is one sequence [1, T] of *segments* laid end to end with nothing between them: prefixes,
rows that continue a prefix, rows that stand alone. Everything a transformer does token by token
(projections, norms, feed-forward) then runs on exactly the tokens there are. Only attention has to
know who may see whom: a token sees its own segment up to itself, and all of the prefix its segment
continues. `PackedSegments` does that in small padded blocks (see `packing`), with the keys
and values of a prefix in front of those of every segment that continues it; gradients sum back over
all of them. `decoding_cache` is the same for decoding, one token a row at a time, and holds
the keys and values of prefixes that were read before.

A model takes part through transformers' attention interface: it calls `segment_attention` in place
of its own attention, with what is passed to its forward as ``segments``. Without it, the model
attends as it always did.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from learner.model.decoding_cache import Attends, DecodedRows, Prefix
from learner.model.frozen_layers import lighten, restore_last_layer, runs_where_wanted
from learner.model.packing import Gather, Layout, Segment, token_rows

NAME = "packed_segments"
# Options of `segment_attention` that change what attention means; a model that sets one of them
# cannot be run packed. (A sliding window is no such option: rows are kept shorter than it.)
UNSUPPORTED = ("softcap", "s_aux", "position_bias", "cache")
MAX_SCORES = 1 << 25  # attention scores that a block may keep in memory for the backward pass


class Packed(Attends, Protocol):
    """Attention of a packed pass, whose tokens stand at ``positions`` [1, T] of their texts."""

    positions: torch.Tensor


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
    """Have a frozen model attend through `segment_attention`, and cheaply; False if it cannot.

    Whether it can is found out by running it: two rows behind one packed prefix must give the same
    logits as each of them alone did in the model's ordinary forward. A last layer that does not
    stand running only where predictions are wanted runs everywhere.
    """
    AttentionInterface.register(NAME, segment_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    layers = getattr(model.config.get_text_config(), "layer_types", None) or ()
    if not {"full_attention", "sliding_attention"}.issuperset(layers):
        return False
    embed = model.get_input_embeddings()
    ids = torch.arange(3, 12, device=model.device)
    prefix, first, second = ids.split((3, 2, 4))
    layout = Layout((Segment(3), Segment(2, 0), Segment(4, 0)))
    packed = PackedSegments(layout, model.device)
    try:
        model.set_attn_implementation(NAME)
        with torch.no_grad():
            alone = [
                model(input_ids=torch.cat((prefix, row))[None], use_cache=False).logits[0, -1]
                for row in (first, second)
            ]
            expected = torch.stack(alone).float()
            keep = torch.tensor((4, 8), device=model.device)

            def agrees() -> bool:
                together = run_packed(model, packed, embed(ids), keep)
                error = (together.float() - expected).norm() / expected.norm()
                return bool(error < (1e-3 if model.dtype == torch.float32 else 0.1))

            lighten(model)
            if agrees():
                return True
            restore_last_layer(model)
            return agrees()
    except (TypeError, ValueError, RuntimeError):
        return False


def run_packed(
    model: PreTrainedModel, packed: Packed, embeddings: torch.Tensor, keep: torch.Tensor
) -> torch.Tensor:
    """Logits [len(keep), vocabulary] at the packed positions ``keep`` of embeddings [T, hidden]."""
    where: dict[str, Any] = {"logits_to_keep": keep}
    if runs_where_wanted(model):
        where = {"wanted": keep}  # the last layer gives nothing else
    return model(
        inputs_embeds=embeddings[None],
        position_ids=packed.positions,
        attention_mask=no_mask(embeddings),
        use_cache=False,
        segments=packed,
        **where,
    ).logits[0]


def run_step(
    model: PreTrainedModel, rows: Attends, tokens: torch.Tensor, positions: torch.Tensor
) -> torch.Tensor:
    """Logits [rows, vocabulary] after one token a row [rows], at positions [rows, 1]."""
    embeddings = model.get_input_embeddings()(tokens[:, None])
    return model(
        inputs_embeds=embeddings,
        position_ids=positions,
        attention_mask=no_mask(embeddings),
        use_cache=False,
        logits_to_keep=1,
        segments=rows,
    ).logits[:, 0]


def no_mask(like: torch.Tensor) -> torch.Tensor:
    """A 4-D mask, which transformers passes on as it is, so it builds no [T, T] mask."""
    return like.new_zeros((1, 1, 1, 1))


class PackedSegments:
    """Attention of a packed pass: each segment to itself and to the prefix it continues.

    ``cache`` takes the keys and values of the pass, to decode after it. ``stored`` are the stored
    segments of the layout, in order; ``to_store`` those to be filled: at which packed position each
    begins.
    """

    def __init__(
        self,
        layout: Layout,
        device: torch.device,
        cache: DecodedRows | None = None,
        stored: Sequence[Prefix] = (),
        to_store: Sequence[tuple[int, Prefix]] = (),
    ) -> None:
        self.positions = torch.from_numpy(layout.positions)[None].to(device)
        self._cache = cache
        self._stored = stored
        self._to_store = to_store
        self._device = device
        self._blocks = layout.blocks
        self._single = len(layout.segments) == 1
        self._masks: dict[tuple[int, torch.dtype], list[torch.Tensor]] = {}
        queries, queries_real, keys, keys_real = (
            np.concatenate([getattr(block, name).ravel() for block in layout.blocks])
            for name in ("queries", "queries_real", "keys", "keys_real")
        )
        place = np.zeros(layout.total, dtype=np.int64)
        place[queries[queries_real]] = np.flatnonzero(queries_real)
        placed = np.arange(layout.total) < layout.tokens
        self._query = Gather(queries, queries_real, layout.total, device)
        self._key = Gather(keys, keys_real, layout.sources, device)
        self._output = Gather(place, placed, len(queries), device)

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> torch.Tensor:
        """Attention of packed query [1, heads, T, D], key and value [1, kv_heads, T, D].

        Returns [1, T, heads, D].
        """
        heads, kv_heads = query.shape[1], key.shape[1]
        single = self._single and not _fused_is_slow(query)
        if not single or self._cache is not None or self._to_store:
            keys, values = self._states(layer, key, value)
        if single:
            return F.scaled_dot_product_attention(
                query, key, value, is_causal=True, scale=scale, enable_gqa=heads != kv_heads
            ).transpose(1, 2)
        query_sizes = [block.queries.size for block in self._blocks]
        key_sizes = [block.keys.size for block in self._blocks]
        outputs = [
            _from_folded(
                _attend(
                    _to_folded(q.view(len(block.queries), -1, heads, query.shape[3]), kv_heads),
                    k.view(len(block.keys), -1, kv_heads, key.shape[3]).transpose(1, 2),
                    v.view(len(block.keys), -1, kv_heads, value.shape[3]).transpose(1, 2),
                    mask,
                    scale,
                ),
                heads,
            )
            for block, q, k, v, mask in zip(
                self._blocks,
                self._query.take(token_rows(query)).split(query_sizes),
                self._key.take(keys).split(key_sizes),
                self._key.take(values).split(key_sizes),
                self._masks_of(heads // kv_heads, query.dtype),
                strict=True,
            )
        ]
        padded = torch.cat(outputs) if len(outputs) > 1 else outputs[0]
        return self._output.take(padded).view(1, -1, heads, value.shape[3])

    def _states(
        self, layer: int, key: torch.Tensor, value: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values [sources, kv_heads * D] of all that may be seen; kept where asked for."""
        keys, values = token_rows(key), token_rows(value)
        for start, prefix in self._to_store:
            own = slice(start, start + prefix.length)
            prefix.states[layer] = (keys[own].clone(), values[own].clone())
        if self._stored:
            known = [prefix.states[layer] for prefix in self._stored]
            keys = torch.cat((keys, *(earlier for earlier, _ in known)))
            values = torch.cat((values, *(earlier for _, earlier in known)))
        if self._cache is not None:
            self._cache.fill(layer, keys, values, key.shape[1])
        return keys, values

    def _masks_of(self, groups: int, dtype: torch.dtype) -> list[torch.Tensor]:
        """Additive masks [rows or 1, 1, groups * L, S] a block, once for all layers alike."""
        if (groups, dtype) not in self._masks:
            masks = []
            for block in self._blocks:
                mask = torch.zeros(block.visible.shape, dtype=dtype)
                mask.masked_fill_(torch.from_numpy(~block.visible), -torch.inf)
                masks.append(mask[:, None].repeat(1, 1, groups, 1).to(self._device))
            self._masks[groups, dtype] = masks
        return self._masks[groups, dtype]


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
