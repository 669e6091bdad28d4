"""The one forward pass: rows of many learners, formats and lengths behind prefixes they share.

A row stands behind a *prefix*: a learner's soft prompt and the constant head of the format. Rows
with the same prefix share it, so it runs once, and its keys and values serve all of them, with
gradient in training. Everything is laid end to end in one sequence with no padding (see
`learner.attention`), positions count from each row's own start, and logits are computed only where
they are asked for. A row that shares its prefix with nobody is simply one piece with it.

Training and decoding are the only callers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from learner.attention import PackedSegments, no_mask, run_packed
from learner.base_model import BaseModel
from learner.decoding_cache import CachedRows
from learner.packing import Segment

TRAINING_BYTES = 4 << 30  # what one training pass may keep in memory


@dataclass(frozen=True)
class Row:
    """Tokens behind a prefix: prompt number ``prompt`` (None: the base model alone) and ``head``.

    ``predictions`` logits are wanted: after each of the row's last tokens, that many.
    """

    prompt: int | None
    head: tuple[int, ...]
    tokens: tuple[int, ...]
    predictions: int = 1


class Batch:
    """Rows laid out for one pass over a base model."""

    def __init__(
        self,
        base_model: BaseModel,
        rows: Sequence[Row],
        prompt_lengths: Sequence[int],
        decode_room: int = 0,
    ) -> None:
        """``prompt_lengths`` are the soft tokens of each prompt that the rows refer to.

        With ``decode_room`` the pass keeps keys and values to decode that many tokens after it.
        """
        layout = _Layout(rows, prompt_lengths)
        device = base_model.device
        rounded = _compiles_shapes(base_model)
        tokens, self._predictions = len(layout.ids), len(layout.keep)
        filler = _rounded(tokens) - tokens if rounded else 0
        spare = _rounded(self._predictions) - self._predictions if rounded else 0
        self._base_model = base_model
        self._ids = torch.tensor(layout.ids + [0] * filler, device=device)
        self._keep = torch.from_numpy(np.pad(layout.keep, (0, spare), "edge")).to(device)
        self._soft_places = torch.tensor(layout.soft_places, device=device)
        self._soft_sources = torch.tensor(layout.soft_sources, device=device)
        self.cache = (
            CachedRows(layout.segments, layout.row_segments, decode_room, device)
            if decode_room
            else None
        )
        self._packed = PackedSegments(layout.segments, device, self.cache, filler, rounded)
        self._next_positions = torch.tensor(layout.row_ends, device=device)[:, None]

    def __len__(self) -> int:
        """How many tokens the pass runs over, fillers included."""
        return len(self._ids)

    def logits(self, prompts: torch.Tensor | None) -> torch.Tensor:
        """Logits [sum of predictions, vocabulary] in row order, in the model's dtype.

        ``prompts`` are all soft prompts one after another [sum of prompt lengths, hidden] on the
        model's device, whatever their dtype; gradients flow back to them and to nothing else.
        """
        embeddings = self._base_model.model.get_input_embeddings()(self._ids)
        if prompts is not None and len(self._soft_places):
            soft = prompts.to(embeddings.dtype).index_select(0, self._soft_sources)
            embeddings = embeddings.index_copy(0, self._soft_places, soft)
        logits = run_packed(self._base_model.model, self._packed, embeddings, self._keep)
        return logits[: self._predictions]

    def next_logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits [rows, vocabulary] after one more token for every row that is still decoded.

        ``tokens`` [rows] are on the device. Needs ``decode_room`` and a first pass of `logits`.
        """
        assert self.cache is not None
        self.cache.advance()
        logits = self._base_model.model(
            input_ids=tokens[:, None],
            position_ids=self._next_positions,
            attention_mask=no_mask(self._base_model.embeddings),
            use_cache=False,
            logits_to_keep=1,
            segments=self.cache,
        ).logits[:, 0]
        self._next_positions = self._next_positions + 1
        return logits

    def keep(self, rows: Sequence[int]) -> None:
        """Go on decoding only these of the rows, in this order."""
        assert self.cache is not None
        index = torch.tensor(rows, device=self._base_model.device)
        self.cache.keep(index)
        self._next_positions = self._next_positions.index_select(0, index)


def row_length(row: Row, prompt_lengths: Sequence[int]) -> int:
    """Tokens of a row together with its whole prefix."""
    soft = 0 if row.prompt is None else prompt_lengths[row.prompt]
    return soft + len(row.head) + len(row.tokens)


def _compiles_shapes(base_model: BaseModel) -> bool:
    """Whether sizes are rounded up, so that few distinct ones occur.

    On a CPU, half-precision matrix products run on kernels that oneDNN compiles for every new
    shape: with 2.13 and AMX that made a pass over the embedded model half as long again.
    """
    return base_model.device.type == "cpu" and base_model.dtype != torch.float32


def _rounded(size: int) -> int:
    """The next multiple of 16; from 512 on of a larger power of two, at most 6 % more."""
    step = 1 << max(4, size.bit_length() - 5)
    return -(-size // step) * step


def max_training_tokens(base_model: BaseModel) -> int:
    """How long a training pass may be, so that what it keeps for its backward pass is bounded.

    A layer keeps about 20 numbers a token for each of its hidden units and 3 for each of its
    intermediate ones (measured on Qwen2, from above). Beyond a few thousand tokens a longer pass
    is no faster either.
    """
    config = base_model.model.config.get_text_config()
    hidden = config.hidden_size
    numbers = 20 * hidden + 3 * (getattr(config, "intermediate_size", None) or 4 * hidden)
    token_bytes = config.num_hidden_layers * numbers * base_model.dtype.itemsize
    return max(512, min(8192, TRAINING_BYTES // token_bytes))


def split_passes(
    rows: Sequence[Row], prompt_lengths: Sequence[int], max_tokens: int
) -> list[list[int]]:
    """Cut rows (by index, in order) into passes of at most ``max_tokens``, at least a row each."""
    passes: list[list[int]] = []
    tokens = 0
    prefixes: set[tuple[int | None, tuple[int, ...]]] = set()
    for i, row in enumerate(rows):
        prefix = (row.prompt, row.head)
        new = row_length(row, prompt_lengths) if prefix not in prefixes else len(row.tokens)
        if not passes or tokens + new > max_tokens:
            passes.append([])
            tokens, prefixes = 0, set()
            new = row_length(row, prompt_lengths)
        passes[-1].append(i)
        prefixes.add(prefix)
        tokens += new
    return passes


class _Layout:
    """Where everything stands in the packed sequence; plain numbers, before any tensor is made."""

    def __init__(self, rows: Sequence[Row], prompt_lengths: Sequence[int]) -> None:
        self.ids: list[int] = []
        self.segments: list[Segment] = []
        self.soft_places: list[int] = []  # packed positions of soft tokens ...
        self.soft_sources: list[int] = []  # ... and their rows among all prompts
        self.row_segments = [0] * len(rows)
        self.row_ends = [row_length(row, prompt_lengths) for row in rows]
        self._first_source = np.concatenate(([0], np.cumsum(prompt_lengths, dtype=int)))
        self._prompt_lengths = prompt_lengths
        groups: dict[tuple[int | None, tuple[int, ...]], list[int]] = {}
        for i, row in enumerate(rows):
            groups.setdefault((row.prompt, row.head), []).append(i)
        last = np.empty(len(rows), dtype=np.int64)
        for (prompt, head), members in groups.items():
            shared = None
            if len(members) > 1 and (head or prompt is not None):
                shared = len(self.segments)
                self._add_segment(prompt, head, None)
            for i in members:
                self.row_segments[i] = len(self.segments)
                if shared is None:
                    self._add_segment(prompt, head + rows[i].tokens, None)
                else:
                    self._add_segment(None, rows[i].tokens, shared)
                last[i] = len(self.ids) - 1
        wanted = np.array([row.predictions for row in rows])
        ends = np.cumsum(wanted)
        back = np.repeat(ends, wanted) - 1 - np.arange(ends[-1])
        self.keep = np.repeat(last, wanted) - back

    def _add_segment(self, prompt: int | None, tokens: tuple[int, ...], prefix: int | None) -> None:
        soft = 0 if prompt is None else self._prompt_lengths[prompt]
        if prompt is not None:
            first = int(self._first_source[prompt])
            self.soft_places += range(len(self.ids), len(self.ids) + soft)
            self.soft_sources += range(first, first + soft)
        self.ids += [0] * soft  # any id: the soft token's vector takes its place
        self.ids += tokens
        self.segments.append(Segment(soft + len(tokens), prefix))
