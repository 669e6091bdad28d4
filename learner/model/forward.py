"""The one forward pass: rows of many learners, formats and lengths behind prefixes they share.

A row stands behind a *prefix*: a learner's soft prompt and the constant head of the format. Rows
with the same prefix share it, so it runs once, and its keys and values serve all of them, with
gradient in training. Everything is laid end to end in one sequence with no padding (see
`attention`), positions count from each row's own start, and logits are computed only where
they are asked for. A row that shares its prefix with nobody is simply one piece with it.

Training, decoding and the look inside call it.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from learner.model.attention import PackedSegments, run_packed, run_step
from learner.model.base_model import BaseModel
from learner.model.decoding_cache import CachedRows, DecodedRows, Prefix
from learner.model.memory import Budget, cached_bytes
from learner.model.packing import Layout, Segment
from learner.model.static_cache import static_rows

PrefixKey = tuple[int | None, tuple[int, ...]]
"""What a prefix is made of: the number of a prompt (None: no prompt) and the head."""


@dataclass(frozen=True)
class Row:
    """Tokens behind a prefix: prompt number ``prompt`` (None: the base model alone) and ``head``.

    ``predictions`` logits are wanted: after each of the row's last tokens, that many.
    """

    prompt: int | None
    head: tuple[int, ...]
    tokens: tuple[int, ...]
    predictions: int = 1

    @property
    def prefix(self) -> PrefixKey:
        return self.prompt, self.head


class Batch:
    """Rows laid out for one pass over a base model."""

    def __init__(
        self,
        base_model: BaseModel,
        rows: Sequence[Row],
        prompt_lengths: Sequence[int],
        known: Mapping[PrefixKey, Prefix] | None = None,
        to_store: Sequence[PrefixKey] = (),
        decoded: DecodedRows | None = None,
        room: int = 0,
    ) -> None:
        """``prompt_lengths`` are the soft tokens of each prompt that the rows refer to.

        Prefixes that are ``known`` are not read again; those ``to_store`` are in ``stored``
        afterwards. The rows join those that are ``decoded``, to write up to ``room`` tokens after
        the pass. None of these has a gradient.
        """
        known = known or {}
        layout = PackedRows(rows, prompt_lengths, known)
        device = base_model.device
        rounded = _compiles_shapes(base_model)
        tokens, self._predictions = len(layout.ids), len(layout.keep)
        filler = _rounded(tokens) - tokens if rounded else 0
        spare = _rounded(self._predictions) - self._predictions if rounded else 0
        segments = Layout(layout.segments, filler, rounded)
        self.stored = {
            key: Prefix(_prefix_length(key, prompt_lengths))
            for key in to_store
            if key in layout.prefix_starts
        }
        self._base_model = base_model
        self._ids = torch.tensor(layout.ids + [0] * filler, device=device)
        self._keep = torch.from_numpy(np.pad(layout.keep, (0, spare), "edge")).to(device)
        self._soft_places = torch.tensor(layout.soft_places, device=device)
        self._soft_sources = torch.tensor(layout.soft_sources, device=device)
        if decoded is not None:
            decoded.join(segments, layout.row_segments, room)
        self._packed = PackedSegments(
            segments,
            device,
            decoded,
            [known[key] for key in layout.known],
            [(layout.prefix_starts[key], prefix) for key, prefix in self.stored.items()],
        )

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


def next_logits(base_model: BaseModel, rows: DecodedRows, tokens: torch.Tensor) -> torch.Tensor:
    """Logits [rows, vocabulary] after one more token of every row; to be read before the next.

    ``tokens`` [rows] are on the device.
    """
    return rows.next_logits(partial(run_step, base_model.model), tokens)


def decoded_rows(
    base_model: BaseModel, rows: int, columns: int, before: DecodedRows | None = None
) -> DecodedRows:
    """Where so many rows of so many tokens are kept, with those from ``before`` among them.

    That is where a CUDA graph can repeat a step, if possible.
    """
    if before is not None and before.holds(rows, columns):
        return before
    token, device = cached_bytes(base_model), base_model.device
    after: DecodedRows | None = static_rows(base_model.fixtures, rows, columns, token, device)
    if after is None:
        after = CachedRows(device)
    if before is not None and len(before):
        after.take_over(*before.taken())
    return after


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


def split_passes(
    rows: Sequence[Row],
    prompt_lengths: Sequence[int],
    budget: Budget,
    room: int = 0,
    known: Container[PrefixKey] = (),
) -> list[list[int]]:
    """Cut rows (by index, in order) into passes that the budget holds, at least a row each.

    ``room`` is how many tokens every row has yet to decode, at most. Prefixes that are ``known``
    are not read.
    """
    passes: list[list[int]] = []
    tokens = taken = 0
    prefixes: set[PrefixKey] = set()
    for i, row in enumerate(rows):
        length = row_length(row, prompt_lengths)
        new = len(row.tokens) if row.prefix in prefixes or row.prefix in known else length
        takes = budget.bytes(new, length, row.predictions, room)
        if not passes or tokens + new > budget.tokens or taken + takes > budget.free:
            passes.append([])
            tokens, taken, prefixes = 0, 0, set()
            new = len(row.tokens) if row.prefix in known else length
            takes = budget.bytes(new, length, row.predictions, room)
        passes[-1].append(i)
        prefixes.add(row.prefix)
        tokens += new
        taken += takes
    return passes


def pass_tokens(rows: Sequence[Row], prompt_lengths: Sequence[int]) -> int:
    """Tokens that a pass over these rows reads, each prefix once."""
    prefixes = {row.prefix for row in rows}
    return sum(len(row.tokens) for row in rows) + sum(
        _prefix_length(key, prompt_lengths) for key in prefixes
    )


def _prefix_length(key: PrefixKey, prompt_lengths: Sequence[int]) -> int:
    prompt, head = key
    return (0 if prompt is None else prompt_lengths[prompt]) + len(head)


class PackedRows:
    """Where rows stand in the packed sequence; plain numbers, before any tensor is made."""

    def __init__(
        self,
        rows: Sequence[Row],
        prompt_lengths: Sequence[int],
        known: Mapping[PrefixKey, Prefix] | None = None,
    ) -> None:
        known = known or {}
        self.ids: list[int] = []
        self.segments: list[Segment] = []
        self.soft_places: list[int] = []  # packed positions of soft tokens ...
        self.soft_sources: list[int] = []  # ... and their rows among all prompts
        self.prefix_starts: dict[PrefixKey, int] = {}  # where each that is read begins
        self.known: list[PrefixKey] = []  # those that are not, in the order of their segments
        self.row_segments = [0] * len(rows)
        self._first_source = np.concatenate(([0], np.cumsum(prompt_lengths, dtype=int)))
        self._prompt_lengths = prompt_lengths
        groups: dict[PrefixKey, list[int]] = {}
        for i, row in enumerate(rows):
            groups.setdefault(row.prefix, []).append(i)
        last = np.empty(len(rows), dtype=np.int64)
        for key, members in groups.items():
            prompt, head = key
            shared = None
            if key in known:
                shared = len(self.segments)
                self.known.append(key)
                self.segments.append(Segment(known[key].length, stored=True))
            elif head or prompt is not None:
                self.prefix_starts[key] = len(self.ids)
                if len(members) > 1:
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
