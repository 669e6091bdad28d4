"""Keys and values at fixed addresses, for decoding steps that a CUDA graph repeats.

Rows stand in an `Arena`: a step runs over its first so many rows, and over all of its columns,
whatever is in them; what a row may see is masked. Rows are aligned at their starts: token i of a
row stands in column i. So the column of a row's newest token is all that a step has to know of the
row: where the next token goes, its position, and what it sees. Each row may be at a depth of its
own, rows join behind those that are there, and when some leave, the others move up.
"""

from collections.abc import Callable, Sequence
from weakref import ref

import numpy as np
import torch
import torch.nn.functional as F

from learner.model.cuda_graphs import Fixtures, Repeated
from learner.model.decoding_cache import States, Step
from learner.model.packing import Layout

# A step takes hardly longer for more rows: at 0.5B on an H200 1.8 ms for 1 or 4, 2.1 for 64, 3.7
# for 512. So few sizes do, and few graphs are captured.
ROWS = (1, 4, 64, 128, 256, 512, 1024)
COLUMN_STEP = 64


class Arena:
    """Room for ``rows`` rows of at most ``columns`` tokens, ``token`` bytes each in all layers."""

    def __init__(self, rows: int, columns: int, token: int, device: torch.device) -> None:
        self.rows, self.columns = rows, columns
        self.bytes = rows * columns * token
        self.layers: States = {}
        with torch.inference_mode(False):  # they outlive the mode that they may be made in
            self.column = torch.zeros(rows, dtype=torch.int64, device=device)  # of newest tokens
            self.tokens = torch.zeros(rows, dtype=torch.int64, device=device)  # the newest ones
            self.number = torch.arange(columns, device=device)
        self._device = device
        self._steps: dict[int, Repeated[torch.Tensor]] = {}
        self._lent: Callable[[], StaticRows | None] = _nobody

    @property
    def is_lent(self) -> bool:
        """Whether there are rows in it: for as long as their `StaticRows` is alive."""
        return self._lent() is not None

    def lend(self) -> "StaticRows":
        rows = StaticRows(self)
        self._lent = ref(rows)
        return rows

    def layer(self, layer: int, like: torch.Tensor, heads: int) -> tuple[torch.Tensor, ...]:
        """Keys and values [rows, kv_heads, columns, D] of a layer, of the kind of ``like``."""
        if layer not in self.layers:
            shape = (self.rows, heads, self.columns, like.shape[1] // heads)
            with torch.inference_mode(False):
                # Zeros: a masked weight of zero times what is no number is none.
                keys, values = (
                    torch.zeros(shape, dtype=like.dtype, device=self._device) for _ in range(2)
                )
            self.layers[layer] = keys, values
        return self.layers[layer]

    def step(self, step: Step, rows: int) -> torch.Tensor:
        """Logits [rows, vocabulary] after one more token of each of the first rows."""
        if rows not in self._steps:
            window, tokens = _Window(self.layers, self.column[:rows], self.number), self.tokens

            def run() -> torch.Tensor:
                return step(window, tokens[:rows], window.advance())

            self._steps[rows] = Repeated(run, self._device)
        return self._steps[rows]()


class StaticRows:
    """Rows that are being decoded in an arena; what `CachedRows` is to growing views."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._count = self._joined = 0
        self._index = torch.empty(0)

    def __len__(self) -> int:
        return self._count

    def holds(self, rows: int, columns: int) -> bool:
        return rows <= self._arena.rows and columns <= self._arena.columns

    def join(self, layout: Layout, rows: Sequence[int], room: int) -> None:
        arena = self._arena
        self._joined, self._count = self._count, self._count + len(rows)
        tokens = [layout.tokens_of(row) for row in rows]
        # Every column is written, behind a row's end with its last token: what stood there before,
        # a number that is not finite say, is gone.
        index = [np.pad(row, (0, arena.columns - len(row)), "edge") for row in tokens]
        newest = torch.tensor([len(row) - 1 for row in tokens])
        self._index = torch.from_numpy(np.concatenate(index)).to(arena.column.device)
        arena.column[self._joined : self._count] = newest.to(arena.column.device)

    def fill(self, layer: int, keys: torch.Tensor, values: torch.Tensor, heads: int) -> None:
        own = slice(self._joined, self._count)
        for kept, given in zip(self._arena.layer(layer, keys, heads), (keys, values), strict=True):
            rows = given.index_select(0, self._index)
            rows = rows.view(self._count - self._joined, self._arena.columns, heads, -1)
            kept[own] = rows.transpose(1, 2)

    def next_logits(self, step: Step, tokens: torch.Tensor) -> torch.Tensor:
        self._arena.tokens[: self._count] = tokens
        return self._arena.step(step, _at_least(self._count, ROWS))[: self._count]

    def keep(self, rows: Sequence[int]) -> None:
        self._count = len(rows)
        moved = [(place, row) for place, row in enumerate(rows) if place != row]
        if not moved:
            return
        places, sources = torch.tensor(moved, device=self._arena.column.device).T
        for states in (*self._arena.layers.values(), (self._arena.column,)):
            for kept in states:
                kept.index_copy_(0, places, kept.index_select(0, sources))

    def taken(self) -> tuple[States, list[int]]:
        return self._arena.layers, (self._arena.column[: self._count] + 1).tolist()

    def take_over(self, states: States, lengths: Sequence[int]) -> None:
        arena, self._count = self._arena, len(lengths)
        arena.column[: self._count] = torch.tensor(lengths, device=arena.column.device) - 1
        for layer, taken in states.items():
            _, heads, columns, width = taken[0].shape
            kept = arena.layer(layer, taken[0].new_empty((0, heads * width)), heads)
            for own, given in zip(kept, taken, strict=True):
                own[: self._count] = 0  # also what was there and may be no number
                own[: self._count, :, :columns] = given[: self._count]


def static_rows(
    fixtures: Fixtures, rows: int, columns: int, token: int, device: torch.device
) -> StaticRows | None:
    """Room for so many rows of so many tokens in an arena that is kept, or in a new one.

    None if there are too many, or no room for another arena; ``token`` are the bytes of one token.
    """
    if not fixtures.max_bytes or rows > ROWS[-1]:
        return None
    columns = -(-columns // COLUMN_STEP) * COLUMN_STEP
    for number in range(2):  # a second one, should somebody's rows be in the first
        key = (_at_least(rows, ROWS), columns, number)
        arena = fixtures.get(key)
        if arena is None:
            arena = Arena(*key[:2], token, device)
            if not fixtures.put(key, arena):
                return None
        if isinstance(arena, Arena) and not arena.is_lent:
            return arena.lend()
    return None


class _Window:
    """The first rows of an arena in a step, as `learner.model.attention` sees them."""

    def __init__(self, layers: States, column: torch.Tensor, number: torch.Tensor) -> None:
        self._layers = layers
        self._column = column
        self._number = number
        self._masks: dict[torch.dtype, torch.Tensor] = {}

    def advance(self) -> torch.Tensor:
        """Make place for the next token of every row; their positions [rows, 1]."""
        # Rows that have ended, or left, go on beside the others, and stay within the arena.
        self._column.add_(1).clamp_(max=len(self._number) - 1)
        self._masks = {}
        return self._column[:, None]

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> torch.Tensor:
        """Attention of one token a row: query [B, heads, 1, D], key and value [B, kv_heads, 1, D].

        Returns [B, 1, heads, D].
        """
        keys, values = (states[: len(query)] for states in self._layers[layer])
        for kept, new in ((keys, key), (values, value)):
            kept.scatter_(2, self._column[:, None, None, None].expand_as(new), new)
        rows, heads, _, width = query.shape
        output = F.scaled_dot_product_attention(
            query.view(rows, key.shape[1], -1, width),
            keys,
            values,
            attn_mask=self._mask(query.dtype),
            scale=scale,
        )
        return output.reshape(rows, 1, heads, -1)

    def _mask(self, dtype: torch.dtype) -> torch.Tensor:
        if dtype not in self._masks:
            unseen = self._number > self._column[:, None]
            mask = torch.zeros(unseen.shape, dtype=dtype, device=unseen.device)
            self._masks[dtype] = mask.masked_fill_(unseen, -torch.inf)[:, None, None]
        return self._masks[dtype]


def _at_least(number: int, sizes: Sequence[int]) -> int:
    return next(size for size in sizes if size >= number)


def _nobody() -> None:
    """Who has borrowed an arena that nobody has."""
