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
    """Rows that are being decoded, a slot each: they join by a pass, then write a token a step.

    Token i of a row stands in column i of its slot. So a row's length is all that a step must know
    of it: in which column its next token goes, at which position, and what it sees.
    """

    def __len__(self) -> int: ...

    def holds(self, rows: int, columns: int) -> bool:
        """Whether there is room for so many rows of so many tokens."""
        ...

    def join(self, layout: Layout, rows: Sequence[int], room: int) -> None:
        """Take up these segments of a packed pass, each with the prefix that it continues.

        The pass is run next, and fills them in; each may write ``room`` tokens yet.
        """

    def fill(self, layer: int, keys: torch.Tensor, values: torch.Tensor, heads: int) -> None:
        """Take the joining rows' share of a packed pass's keys and values [sources, heads * D]."""

    def next_logits(self, step: Step, tokens: torch.Tensor) -> torch.Tensor:
        """Logits [rows, vocabulary] after one more token [rows] of every row, on the device."""
        ...

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all rows but these, which stand in this order then."""

    def taken(self) -> tuple[States, list[int]]:
        """Keys and values [slots, heads, columns, D] of every layer, and the rows' lengths."""
        ...

    def take_over(self, states: States, lengths: Sequence[int]) -> None:
        """Go on with the rows of another, where there are none yet."""


ROOM_STEP, SLOT_STEP = 32, 16  # slots grow by so many columns, or so many at a time
MOST_UNUSED = 4  # times what the rows need: so much is let go of
PREFIX_BYTES = 64 << 20  # kept at most, of all prefixes; one of 33 tokens takes 0.4 MB at 0.5B


class CachedRows:
    """`DecodedRows` in slots that grow as they are needed; what a row leaves, the next one takes.

    Slots have columns for all tokens to come: nothing is copied to write one. A step runs over as
    many columns as the longest row has tokens. Where rows are never all gone, what a crowd took,
    or one long row, is given back once most of it is unused.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._layers: States = {}  # [slots, heads, columns, D], more slots than rows perhaps
        self._room = 0  # columns that each slot must have
        self._needs: list[int] = []  # columns that each row may fill
        self._lengths: list[int] = []
        self._columns = self._slots = torch.zeros(0, dtype=torch.int64, device=device)
        self._mask: torch.Tensor | None = None
        self._joined = 0  # rows before those that joined last
        self._index = torch.zeros((0, 0), dtype=torch.int64)  # where those come from

    def __len__(self) -> int:
        return len(self._lengths)

    def holds(self, rows: int, columns: int) -> bool:
        return True

    def join(self, layout: Layout, rows: Sequence[int], room: int) -> None:
        tokens = [layout.tokens_of(row) for row in rows]
        lengths = [len(row) for row in tokens]
        index = np.stack([np.pad(row, (0, max(lengths) - len(row)), "edge") for row in tokens])
        self._index = torch.from_numpy(index).to(self._device)
        self._needs += [length + room for length in lengths]
        self._room = max(self._room, _room_of(self._needs))
        self._joined = len(self)
        self._set([*self._lengths, *lengths])

    def fill(self, layer: int, keys: torch.Tensor, values: torch.Tensor, heads: int) -> None:
        before = self._layers.get(layer, (None, None))
        self._layers[layer] = (
            self._filled(before[0], keys, heads),
            self._filled(before[1], values, heads),
        )

    def next_logits(self, step: Step, tokens: torch.Tensor) -> torch.Tensor:
        positions = self._columns[:, None]
        self._lengths = [length + 1 for length in self._lengths]
        self._columns = self._columns + 1
        self._mask = None
        return step(self, tokens, positions)

    def keep(self, rows: Sequence[int]) -> None:
        moved = [(to, row) for to, row in enumerate(rows) if to != row]
        if moved:
            to, source = torch.tensor(moved, device=self._device).t()
            for states in self._layers.values():
                for kept in states:
                    kept[to] = kept[source]
        self._needs = [self._needs[row] for row in rows]
        self._set([self._lengths[row] for row in rows])
        if not rows:
            self._layers, self._room = {}, 0
        elif self._layers:
            self._shrink()

    def taken(self) -> tuple[States, list[int]]:
        return self._layers, self._lengths

    def take_over(self, states: States, lengths: Sequence[int]) -> None:
        self._layers = {
            layer: (keys[: len(lengths)].clone(), values[: len(lengths)].clone())
            for layer, (keys, values) in states.items()
        }
        self._room = next(iter(states.values()))[0].shape[2]
        self._needs = [self._room] * len(lengths)
        self._set([*lengths])

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> torch.Tensor:
        """Attention of one token a row: query [B, heads, 1, D], key and value [B, kv_heads, 1, D].

        Returns [B, 1, heads, D].
        """
        keys, values = self._layers[layer]
        keys[self._slots, :, self._columns - 1] = key[:, :, 0]
        values[self._slots, :, self._columns - 1] = value[:, :, 0]
        rows, heads, _, width = query.shape
        longest = max(self._lengths)
        output = F.scaled_dot_product_attention(
            query.view(rows, key.shape[1], -1, width),
            keys[:rows, :, :longest],
            values[:rows, :, :longest],
            attn_mask=self._mask_of(query.dtype),
            scale=scale,
        )
        return output.reshape(rows, 1, heads, -1)

    def _shrink(self) -> None:
        """Move to a smaller place, if this one has become far too large."""
        held, _, columns, _ = next(iter(self._layers.values()))[0].shape
        slots = -(-len(self) // SLOT_STEP) * SLOT_STEP
        room = _room_of(self._needs)
        if MOST_UNUSED * slots * room > held * columns:
            return
        self._layers = {
            layer: (keys[:slots, :, :room].clone(), values[:slots, :, :room].clone())
            for layer, (keys, values) in self._layers.items()
        }
        self._room = room

    def _set(self, lengths: list[int]) -> None:
        self._lengths = lengths
        self._columns = torch.tensor(lengths, dtype=torch.int64, device=self._device)
        self._slots = torch.arange(len(lengths), device=self._device)
        self._mask = None

    def _mask_of(self, dtype: torch.dtype) -> torch.Tensor | None:
        """What each row sees [rows, 1, 1, columns], once for all layers; None if all see all."""
        if self._mask is None and len(set(self._lengths)) > 1:
            columns = torch.arange(max(self._lengths), device=self._device)
            unseen = columns >= self._columns[:, None]
            mask = torch.zeros(unseen.shape, dtype=dtype, device=self._device)
            self._mask = mask.masked_fill_(unseen, -torch.inf)[:, None, None]
        return self._mask

    def _filled(self, kept: torch.Tensor | None, states: torch.Tensor, heads: int) -> torch.Tensor:
        """What was kept, or a larger place with it, and the slots of those who join filled."""
        before, after = self._joined, len(self)
        if kept is None or kept.shape[0] < after or kept.shape[2] < self._room:
            # Half as many again: rows of an exam join by the dozen, and not all are copied then.
            slots = -(-max(after, 3 * before // 2) // SLOT_STEP) * SLOT_STEP if before else after
            larger = states.new_empty((slots, heads, self._room, states.shape[1] // heads))
            if kept is not None and before:
                larger[:before, :, : kept.shape[2]] = kept[:before]
                larger[:before, :, kept.shape[2] :] = 0
            kept = larger
        taken = states.index_select(0, self._index.ravel()).view(*self._index.shape, heads, -1)
        joining = kept[before:after]
        joining[:, :, : taken.shape[1]] = taken.transpose(1, 2)
        # What stood there may be no number, and a weight of zero times that is none either.
        joining[:, :, taken.shape[1] :] = 0
        return kept


def _room_of(needs: Sequence[int]) -> int:
    """Columns of a slot in which any of the rows finds room."""
    return -(-max(needs) // ROOM_STEP) * ROOM_STEP


def prefix_of(rows: DecodedRows, row: int) -> "Prefix":
    """A copy of all that stands in a row's slot, for others to continue."""
    layers, lengths = rows.taken()
    length = lengths[row]

    def copied(states: torch.Tensor) -> torch.Tensor:
        return states[row, :, :length].transpose(0, 1).reshape(length, -1).clone()

    states = {layer: (copied(keys), copied(values)) for layer, (keys, values) in layers.items()}
    return Prefix(length, states)


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
