"""Completions: batched decoding, greedy or sampled, streamed token by token.

Questions with different soft prompts and in different formats are answered in one running batch:
rows join it and leave it at any token, and each prefix is read once. Decoding is greedy unless a
seed is given, so that an answer is a property of the model and the prompt; with a seed it is drawn
at temperature 1 (`token_choice`). The model's own ``generation_config`` (sampling, repetition
penalty) plays no part.

Where somebody else must not wait for long, prompts are read in chunks and a token is written after
a few of them: nothing takes longer than it may, whoever joins. Rows that do not fit into memory
join as others leave; should it run out nevertheless, all go on where they were, half of them at a
time.
"""

import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import torch

from learner.model.base_model import BaseModel
from learner.model.decoding_cache import DecodedRows, Prefix, Prefixes, prefix_of
from learner.model.formatting import Examples, decode, encode, format_of
from learner.model.forward import (
    Batch,
    PrefixKey,
    Row,
    decoded_rows,
    next_logits,
    row_length,
    split_passes,
)
from learner.model.memory import OutOfMemory, attempt, decoding_budget, give_back, planned
from learner.model.pace import Paces, worked
from learner.model.token_choice import choose, random_numbers
from learner.model.turns import Turns, finished

# Tokens between two waits for the device. What is written beyond the end of a row is dropped.
TOKENS_A_WAIT = {"cuda": 4, "cpu": 1}
LOOKED_AT = 256  # rows that wait, when the next chunk is put together
CHUNKS_A_TOKEN = 4  # read before one: the more rows a step has, the less each of them costs
LONG = 2  # times as long as a chunk: then a prompt is read in parts
UNDECODED = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class Ask:
    """A question to complete: in which format, and behind which soft prompt [soft tokens, hidden].

    Asks with the same ``prompt`` tensor share the work of reading it. None is the base model alone.
    ``examples`` are worked examples that stand before the question. With a ``seed`` the completion
    is sampled, and asks of one question share the work of reading it too.
    """

    question: str
    chat_template: bool
    prompt: torch.Tensor | None = None
    examples: Examples = ()
    seed: int | None = None


@dataclass(frozen=True)
class Completion:
    """What the model wrote: without special tokens and, in plain text, up to its first newline.

    ``tokens`` counts what was generated, the token that ended it included; ``finished`` says that
    it ended by itself; ``seconds`` runs from when it was asked to its last token.
    ``ids`` are those tokens. ``entropy`` is the mean entropy (nats) of the distributions that they
    were drawn from; None where nothing was drawn.
    """

    text: str
    tokens: int
    finished: bool
    seconds: float
    ids: tuple[int, ...] = ()
    entropy: float | None = None


def complete(
    base_model: BaseModel,
    asks: Sequence[Ask],
    max_new_tokens: int = 48,
    prefixes: Prefixes | None = None,
) -> tuple[Completion, ...]:
    """The completions of one batch, in order. As `stream_completions`, whose last item it is."""
    return finished(complete_in_turns(base_model, asks, max_new_tokens, prefixes=prefixes))


def complete_in_turns(
    base_model: BaseModel,
    asks: Sequence[Ask],
    max_new_tokens: int,
    paces: Paces | None = None,
    prefixes: Prefixes | None = None,
) -> Turns[tuple[Completion, ...]]:
    """As `complete`, with a pause after each chunk that is read and each token that is written."""
    rows = [Writing(base_model, ask, max_new_tokens) for ask in asks]
    batch = RunningBatch(base_model, prefixes, paces)
    batch.add(rows)
    while batch.advance():
        _raise_first(rows)
        yield
    return tuple(row.completion() for row in rows)


def stream_completions(
    base_model: BaseModel,
    asks: Sequence[Ask],
    max_new_tokens: int = 48,
    prefixes: Prefixes | None = None,
) -> Iterator[tuple[Completion, ...]]:
    """The completions so far, after each token (on CUDA, after every few); the last item is final.

    ``prefixes`` are this base model's that were read before; those read now are added to them.

    Raises ValueError, in a sentence, if a question cannot be asked: there is none, it is too long,
    the model has no chat template, or the soft prompt is not of its size; and OutOfMemory.
    """
    rows = [Writing(base_model, ask, max_new_tokens) for ask in asks]
    batch = RunningBatch(base_model, prefixes)
    batch.add(rows)
    while batch.advance():
        _raise_first(rows)
        yield tuple(row.completion() for row in rows)
    if not asks:
        yield ()


def _raise_first(rows: Sequence["Writing"]) -> None:
    for row in rows:
        if row.error is not None:
            raise row.error


class Writing:
    """A row: what is asked, what was written so far, and whether that is all."""

    def __init__(self, base_model: BaseModel, ask: Ask, max_new_tokens: int) -> None:
        """Raises ValueError, in a sentence, if it cannot be asked."""
        if max_new_tokens < 1:
            raise ValueError(f"A completion has at least 1 token, not {max_new_tokens}.")
        self.ask = ask
        self.error: Exception | None = None  # why it ended before its end
        self.written: list[int] = []
        self.part: Prefix | None = None  # what has been read of a prompt that is read in parts ...
        self.part_ids = 0  # ... with so many of its token ids
        self._base_model = base_model
        self._most = max_new_tokens
        self._format = format_of(base_model, ask.chat_template)
        self._head, self._question = _tokens(base_model, ask)
        self._finished = False
        self._began = time.perf_counter()
        self._seconds = 0.0
        self._entropy = 0.0  # summed over the tokens
        self._numbers = [] if ask.seed is None else random_numbers(ask.seed, max_new_tokens)
        soft = 0 if ask.prompt is None else len(_checked(base_model, ask.prompt))
        length = soft + len(self._head) + len(self._question) + max_new_tokens
        if length > base_model.context_length:
            raise ValueError(
                f"The question is too long: {length} tokens with soft prompt and completion, "
                f"where {base_model.name} reads {base_model.context_length}."
            )

    @property
    def ended(self) -> bool:
        """Whether nothing more is written."""
        return self._finished or self.left == 0 or self.error is not None

    @property
    def left(self) -> int:
        """How many tokens it may write yet."""
        return self._most - len(self.written)

    @property
    def head_length(self) -> int:
        """Token ids that it may share with others, its prefix's."""
        return len(self._head)

    def row(self, prompt: int | None) -> Row:
        """What is to be read of it, behind soft prompt number ``prompt``."""
        if self.part is None:
            return Row(prompt, self._head, (*self._question, *self.written))
        ids = (*self._head, *self._question, *self.written)
        return Row(prompt, ids[: self.part_ids], ids[self.part_ids :])

    def number(self, ahead: int) -> float:
        """The random number of its token after the next ``ahead``."""
        return self._numbers[min(len(self.written) + ahead, self._most - 1)]

    def write(self, token: int, entropy: float, now: float) -> None:
        """Its next token, drawn from a distribution of this entropy; none after its end."""
        if not self.ended:
            self._finished = self._ends(token)
            self.written.append(token)
            self._entropy += entropy
            self._seconds = now - self._began

    def completion(self) -> Completion:
        """What it has written so far."""
        drawn = bool(self._numbers and self.written)
        return Completion(
            text=self._text(),
            tokens=len(self.written),
            finished=self._finished,
            seconds=self._seconds,
            ids=tuple(self.written),
            entropy=self._entropy / len(self.written) if drawn else None,
        )

    def _ends(self, token: int) -> bool:
        """Whether this token, the next, is the end of it."""
        if token in self._format.end_ids:
            return True
        if not self._format.ends_at_newline:
            return False
        text = decode(self._base_model, [token])
        if "\n" not in text:
            return False
        return "\n" in text.lstrip() or bool(self._text())

    def _text(self) -> str:
        """What was written, without what is no complete character yet."""
        text = decode(self._base_model, self.written).strip()
        if self._format.ends_at_newline:
            text = text.split("\n", 1)[0].rstrip()
        return text if self._finished else text.rstrip(UNDECODED)


class RunningBatch:
    """Rows that are decoded together; they join and leave at any token. For one thread.

    With paces, `advance` takes no longer than they say: prompts are read in chunks of as many
    tokens as fit into the seconds of ``chunk``, a few chunks in turn with a token for the rows
    there are, which are no more than fit into those of ``step``. Without, all are read first that
    fit into memory.
    """

    def __init__(
        self,
        base_model: BaseModel,
        prefixes: Prefixes | None = None,
        paces: Paces | None = None,
    ) -> None:
        self._base_model = base_model
        self._prefixes = Prefixes() if prefixes is None else prefixes
        self._chunk = paces.chunk if paces else None
        self._step = paces.step if paces else None
        self._unread: deque[Writing] = deque()
        self._rows: list[Writing] = []  # in the order of their slots
        self._decoded: DecodedRows | None = None
        self._newest = torch.empty(0)  # the newest token of each row
        self._read_since = 0  # chunks, since a token was written
        self._most: int | None = None  # rows, once memory has run out

    def __len__(self) -> int:
        """How many rows there are, those included that were not read yet."""
        return len(self._rows) + len(self._unread)

    @property
    def unread(self) -> int:
        """How many of them were not."""
        return len(self._unread)

    def add(self, rows: Sequence[Writing]) -> None:
        """Have these rows join, in order, as soon as there is room."""
        self._unread.extend(rows)

    def drop(self, rows: Collection[Writing]) -> None:
        """Have these rows leave before their next token."""
        self._unread = deque(row for row in self._unread if row not in rows)
        self._close_up([row not in rows for row in self._rows])

    def clear(self) -> list[Writing]:
        """Have all rows leave; returns them."""
        self._put_back()
        rows = list(self._unread)
        self._unread.clear()
        self._most = None
        return rows

    def advance(self) -> list[Writing]:
        """Read a chunk of prompts, or write a token; the rows that it was about, if any are left.

        A row that does not fit into memory alone ends with an error. Whatever is raised leaves all
        rows to be read again.
        """
        self._close_up([not row.ended for row in self._rows])
        if not len(self):
            self._most = None
            return []
        turn = self._chunk is None or not self._rows or self._read_since < CHUNKS_A_TOKEN
        reads = self._unread and turn
        chunk = self._next_chunk() if reads else []
        self._read_since = self._read_since + 1 if chunk else 0
        about = chunk or list(self._rows)
        run = partial(self._read, chunk) if chunk else self._write
        try:
            with torch.inference_mode():
                fits = attempt(run, self._base_model.device)
        except Exception:  # whatever it is, it is raised again once the rows are as they were
            self._put_back()
            raise
        if not fits:
            self._run_out(max(1, len(self._rows) + len(chunk)))
        return about

    def _next_chunk(self) -> list[Writing]:
        """The rows to be read next: as many as memory, the paces and the batch have room for."""
        most = len(self._unread) if self._chunk is None else min(LOOKED_AT, len(self._unread))
        for limit in (self._most, self._step.size if self._step else None):
            if limit is not None:
                most = min(most, max(limit, 1) - len(self._rows))
        waiting = list(islice(self._unread, max(0, most)))
        if not waiting:
            return []
        budget, room = decoding_budget(self._base_model), self._room(waiting)
        prompts = _prompts(waiting)
        lengths, rows = [len(prompt) for prompt in prompts], _rows(waiting, prompts)
        if self._rows:
            needed = budget.bytes(len(rows[0].tokens), row_length(rows[0], lengths), 1, room)
            if needed > planned(self._base_model.device):
                return []
        if self._chunk is not None:
            budget = replace(budget, tokens=min(budget.tokens, self._chunk.size))
        known = self._known(waiting, rows)
        return [waiting[i] for i in split_passes(rows, lengths, budget, room, known)[0]]

    def _read(self, chunk: Sequence[Writing]) -> None:
        """Read these rows, the first that wait, and write their next tokens."""
        device = self._base_model.device
        began = worked(device)
        prompts = _prompts(chunk)
        lengths, rows = [len(prompt) for prompt in prompts], _rows(chunk, prompts)
        known, room = self._known(chunk, rows), self._room(chunk)
        soft = torch.cat(prompts).to(device) if prompts else None
        unread = len(rows[0].tokens) if known else row_length(rows[0], lengths)
        if self._chunk is not None and len(chunk) == 1 and unread > LONG * self._chunk.size:
            self._read_part(chunk[0], rows[0], known, soft)
            return
        # What sampled rows share is their question, which nobody else will ask.
        asked = [row.prefix for row, own in zip(rows, chunk, strict=True) if own.ask.seed is None]
        to_store = [key for key in dict.fromkeys(asked) if key not in known]
        columns = max(row_length(row, lengths) for row in rows) + room
        count = len(self._rows) + len(chunk)
        self._decoded = decoded_rows(self._base_model, count, columns, self._decoded)
        batch = Batch(self._base_model, rows, lengths, known, to_store, self._decoded, room)
        newest, entropies = choose(batch.logits(soft), _numbers(chunk, 0))
        self._newest = torch.cat((self._newest.to(newest), newest))
        tokens, entropy = torch.stack((newest.double(), entropies)).tolist()
        for (number, head), prefix in batch.stored.items():
            self._prefixes.put(None if number is None else prompts[number], head, prefix)
        for row in chunk:
            self._unread.popleft()
            row.part = None
        self._rows.extend(chunk)
        _write_down(chunk, tokens, entropy)
        if self._chunk is not None:
            self._chunk.measured(len(batch), worked(self._base_model.device) - began)

    def _read_part(
        self,
        writing: Writing,
        row: Row,
        known: Mapping[PrefixKey, Prefix],
        prompt: torch.Tensor | None,
    ) -> None:
        """Read as much of a long prompt as a chunk may hold; others may share its head."""
        assert self._chunk is not None
        began, soft = worked(self._base_model.device), 0 if prompt is None else len(prompt)
        ids = row.head + row.tokens
        before = len(row.head) if known else 0
        after = before + max(1, self._chunk.size - (0 if known else soft))
        if before < writing.head_length < after:
            after = writing.head_length
        part = Row(row.prompt, ids[:before], ids[before:after])
        decoded = decoded_rows(self._base_model, 1, soft + after)
        lengths = [] if prompt is None else [soft]
        batch = Batch(self._base_model, [part], lengths, known, decoded=decoded)
        batch.logits(prompt)
        writing.part, writing.part_ids = prefix_of(decoded, 0), after
        if after == writing.head_length and writing.ask.seed is None:
            self._prefixes.put(writing.ask.prompt, ids[:after], writing.part)
        self._chunk.measured(len(batch), worked(self._base_model.device) - began)

    def _write(self) -> None:
        """Write the next token of every row, a few times; one wait for the device."""
        assert self._decoded is not None
        began, steps = worked(self._base_model.device), []
        most = TOKENS_A_WAIT[self._base_model.device.type]
        for step in range(min(most, max(row.left for row in self._rows))):
            logits = next_logits(self._base_model, self._decoded, self._newest)
            self._newest, entropies = choose(logits, _numbers(self._rows, step))
            steps.append(torch.stack((self._newest.double(), entropies)))
        for tokens, entropy in torch.stack(steps).tolist():
            _write_down(self._rows, tokens, entropy)
        if self._step is not None:
            took = worked(self._base_model.device) - began
            self._step.measured(len(self._rows), took / len(steps))

    def _room(self, rows: Sequence[Writing]) -> int:
        """Tokens that a row may write yet, those included that are dropped."""
        return max(row.left for row in rows) + TOKENS_A_WAIT[self._base_model.device.type]

    def _known(self, waiting: Sequence[Writing], rows: Sequence[Row]) -> dict[PrefixKey, Prefix]:
        """What has been read before of what these rows begin with."""
        found = {
            row.prefix: writing.part or self._prefixes.get(writing.ask.prompt, row.head)
            for writing, row in zip(waiting, rows, strict=True)
        }
        return {key: prefix for key, prefix in found.items() if prefix is not None}

    def _close_up(self, stays: Sequence[bool]) -> None:
        """Drop the rows that do not stay; the last ones move to where they were."""
        count = sum(stays)
        if self._decoded is None or count == len(self._rows):
            return
        moving = iter([i for i in range(count, len(stays)) if stays[i]])
        order = [i if stays[i] else next(moving) for i in range(count)]
        with torch.inference_mode():
            self._decoded.keep(order)
            self._newest = self._newest[
                torch.tensor(order, dtype=torch.int64).to(self._newest.device)
            ]
        self._rows = [self._rows[i] for i in order]
        if not order:
            self._decoded = None

    def _put_back(self) -> None:
        """Let go of what has been read of all rows, and have them wait."""
        self._unread.extendleft(reversed([row for row in self._rows if not row.ended]))
        self._rows = []
        self._decoded = None
        self._newest = torch.empty(0)

    def _run_out(self, rows: int) -> None:
        """Memory ran out over so many rows: half of them go on, the others after them."""
        self._put_back()
        if rows == 1:
            alone = self._unread.popleft()
            alone.part, alone.error = None, OutOfMemory(1, self._base_model.device)
        self._most = (rows + 1) // 2
        give_back(self._base_model.device)


def _prompts(rows: Sequence[Writing]) -> list[torch.Tensor]:
    """The soft prompts of the rows, each once."""
    prompts = {id(row.ask.prompt): row.ask.prompt for row in rows}
    return [prompt for prompt in prompts.values() if prompt is not None]


def _rows(writings: Sequence[Writing], prompts: Sequence[torch.Tensor]) -> list[Row]:
    """What is to be read of the rows, by the numbers of their prompts."""
    numbers = {id(prompt): number for number, prompt in enumerate(prompts)}
    return [one.row(numbers.get(id(one.ask.prompt))) for one in writings]


def _numbers(rows: Sequence[Writing], ahead: int) -> dict[int, float]:
    """The random numbers of the rows that are sampled, for the token after the next ``ahead``."""
    return {i: row.number(ahead) for i, row in enumerate(rows) if row.ask.seed is not None}


def _write_down(rows: Sequence[Writing], tokens: Sequence[float], entropy: Sequence[float]) -> None:
    now = time.perf_counter()
    for row, token, drawn_from in zip(rows, tokens, entropy, strict=True):
        row.write(int(token), drawn_from, now)


def _tokens(base_model: BaseModel, ask: Ask) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Token ids that others may share, and a row's own: of samples, all but the last are shared."""
    encoded = encode(base_model, ask.question, None, ask.chat_template, ask.examples)
    if ask.seed is None:
        return encoded.head, encoded.question
    return encoded.head + encoded.question[:-1], encoded.question[-1:]


def _checked(base_model: BaseModel, prompt: torch.Tensor) -> torch.Tensor:
    """The soft prompt; ValueError if it is of another size than the model's."""
    if prompt.ndim != 2 or prompt.shape[1] != base_model.hidden_size:
        raise ValueError(
            f"A soft prompt for {base_model.name} has {base_model.hidden_size} numbers a "
            f"token; this one has the shape {tuple(prompt.shape)}."
        )
    return prompt
