"""Completions: batched decoding, greedy or sampled, streamed token by token.

Questions with different soft prompts and in different formats are answered as one batch, each
prefix read once. Decoding is greedy unless a seed is given, so that an answer is a property of the
model and the prompt; with a seed it is drawn at temperature 1 (`token_choice`). The model's
own ``generation_config`` (sampling, repetition penalty) plays no part.
A row that has ended leaves the batch. Rows that do not fit into memory together are decoded one
after another in parts, which share the prefixes that were read; should memory run out nevertheless,
a part goes on in halves, where it was.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from learner.model.base_model import BaseModel
from learner.model.decoding_cache import Prefixes
from learner.model.formatting import Examples, decode, encode, format_of
from learner.model.forward import Batch, PrefixKey, Row, row_length, split_passes
from learner.model.memory import OutOfMemory, attempt, decoding_budget, give_back
from learner.model.token_choice import TokenChoice

# Ended rows are computed along until they are this share of the batch: then moving the keys and
# values of the rest costs less than what they would cost.
ENDED_SHARE = 0.25
# Tokens between two waits for the device. What is written beyond the end of a row is dropped.
TOKENS_A_WAIT = {"cuda": 4, "cpu": 1}
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
    it ended by itself; ``seconds`` runs from the start of the batch to this row's last token.
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
    decoding = _Decoding(base_model, asks, max_new_tokens, prefixes)
    while decoding.advance():
        pass
    return decoding.completions()


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
    decoding = _Decoding(base_model, asks, max_new_tokens, prefixes)
    while decoding.advance():
        yield decoding.completions()
    if not asks:
        yield ()


class _Decoding:
    """The state of one batch: what every row has written, and which rows still write.

    Rows are decoded in parts, as many at a time as fit into memory; mostly that is all of them.
    """

    def __init__(
        self,
        base_model: BaseModel,
        asks: Sequence[Ask],
        max_new_tokens: int,
        prefixes: Prefixes | None,
    ) -> None:
        if max_new_tokens < 1:
            raise ValueError(f"A completion has at least 1 token, not {max_new_tokens}.")
        self._began = time.perf_counter()
        self._base_model = base_model
        self._max_new_tokens = max_new_tokens
        self._asks = asks
        self._formats = [format_of(base_model, ask.chat_template) for ask in asks]
        self._written: list[list[int]] = [[] for _ in asks]
        self._finished = [False] * len(asks)
        self._seconds = [0.0] * len(asks)
        self._entropy = [None if ask.seed is None else 0.0 for ask in asks]  # summed over tokens
        self._final: dict[int, Completion] = {}
        distinct = {id(ask.prompt): ask.prompt for ask in asks if ask.prompt is not None}
        numbers = {key: number for number, key in enumerate(distinct)}
        self._prompts = list(distinct.values())
        self._on_device = _on_device(base_model, self._prompts)
        self._lengths = [len(prompt) for prompt in self._prompts]
        self._asked = [_row(base_model, ask, numbers.get(id(ask.prompt))) for ask in asks]
        for row in self._asked:
            length = row_length(row, self._lengths) + max_new_tokens
            if length > base_model.context_length:
                raise ValueError(
                    f"The question is too long: {length} tokens with soft prompt and completion, "
                    f"where {base_model.name} reads {base_model.context_length}."
                )
        budget = decoding_budget(base_model)
        parts = split_passes(self._asked, self._lengths, budget, max_new_tokens)
        if prefixes is None and len(parts) > 1:
            prefixes = Prefixes()
        self._prefixes = prefixes
        self._parts = deque((rows, False) for rows in parts)  # to come, and whether each is a half
        # The part that is being decoded.
        self._rows: list[int] = []  # the ask of each row of the batch, ended ones too
        self._is_half = False
        self._batch: Batch | None = None
        self._tokens: torch.Tensor | None = None  # the newest token of each row of the batch
        self._choice: TokenChoice | None = None

    def advance(self) -> bool:
        """Write on in every row of the part; False if all rows had ended before.

        Raises OutOfMemory.
        """
        if all(map(self._ended, self._rows)):
            self._batch = None
            if not self._parts:
                return False
            self._rows, self._is_half = self._parts.popleft()
        while not (written := attempt(self._write, self._base_model.device)):
            self._halve()
        now = time.perf_counter() - self._began
        for tokens, entropies in written[0]:
            for i, token, entropy in zip(self._rows, tokens, entropies, strict=True):
                if not self._ended(i):
                    self._finished[i] = self._ends(i, int(token))
                    self._written[i].append(int(token))
                    self._seconds[i] = now
                    drawn_from = self._entropy[i]
                    self._entropy[i] = None if drawn_from is None else drawn_from + entropy
        return True

    def _write(self) -> list[tuple[list[float], list[float]]]:
        """Tokens and entropies of all rows of the batch, a few times; one wait for the device."""
        writing = [place for place, i in enumerate(self._rows) if not self._ended(i)]
        left = self._max_new_tokens - len(self._written[self._rows[writing[0]]])
        if self._batch is not None and len(writing) <= (1 - ENDED_SHARE) * len(self._rows):
            self._retire(writing)
        steps = []
        with torch.inference_mode():
            for _ in range(min(left, TOKENS_A_WAIT[self._base_model.device.type])):
                logits = self._begin(left) if self._batch is None else self._next()
                assert self._choice is not None
                self._tokens, entropy = self._choice.choose(logits)
                steps.append(torch.stack((self._tokens.double(), entropy)))
        return [(tokens, entropies) for tokens, entropies in torch.stack(steps).tolist()]

    def _begin(self, room: int) -> torch.Tensor:
        """Read the rows of the part, with what they have written; logits of their next tokens."""
        written = [self._written[i] for i in self._rows]
        rows = [
            replace(self._asked[i], tokens=self._asked[i].tokens + tuple(tokens))
            for i, tokens in zip(self._rows, written, strict=True)
        ]
        seeds = [self._asks[i].seed for i in self._rows]
        device, most = self._base_model.device, self._max_new_tokens
        choice = TokenChoice(seeds, most, device, step=len(written[0]))
        known, to_store = {}, []
        if self._prefixes is not None:
            for key in dict.fromkeys(row.prefix for row in rows):
                prefix = self._prefixes.get(self._prompt(key), key[1])
                if prefix is not None:
                    known[key] = prefix
            # What sampled rows share is their question, which nobody else will ask.
            asked = [row.prefix for row, seed in zip(rows, seeds, strict=True) if seed is None]
            to_store = [key for key in dict.fromkeys(asked) if key not in known]
        batch = Batch(self._base_model, rows, self._lengths, room, known, to_store)
        logits = batch.logits(self._on_device)
        if self._prefixes is not None:
            for key, prefix in batch.stored.items():
                self._prefixes.put(self._prompt(key), key[1], prefix)
        self._batch, self._choice = batch, choice
        return logits

    def _next(self) -> torch.Tensor:
        assert self._batch is not None and self._tokens is not None
        return self._batch.next_logits(self._tokens)

    def _prompt(self, key: PrefixKey) -> torch.Tensor | None:
        return None if key[0] is None else self._prompts[key[0]]

    def _halve(self) -> None:
        """Memory ran out: go on with half of the rows that still write, and the rest after them."""
        writing = [i for i in self._rows if not self._ended(i)]
        if self._is_half or len(writing) < 2:
            raise OutOfMemory(len(writing), self._base_model.device)
        middle = (len(writing) + 1) // 2
        self._batch = self._tokens = self._choice = None
        self._rows, self._is_half = writing[:middle], True
        self._parts.appendleft((writing[middle:], True))
        give_back(self._base_model.device)

    def completions(self) -> tuple[Completion, ...]:
        """What all rows have written so far."""
        return tuple(self._completion(i) for i in range(len(self._written)))

    def _retire(self, writing: list[int]) -> None:
        """Drop all rows of the batch but those at these places."""
        assert self._batch is not None and self._tokens is not None and self._choice is not None
        self._batch.keep(writing)
        self._choice.keep(writing)
        self._tokens = self._tokens[writing]
        self._rows = [self._rows[place] for place in writing]

    def _ended(self, i: int) -> bool:
        return self._finished[i] or len(self._written[i]) == self._max_new_tokens

    def _ends(self, i: int, token: int) -> bool:
        """Whether this token, the next of row i, is the end of its completion."""
        layout = self._formats[i]
        if token in layout.end_ids:
            return True
        if not layout.ends_at_newline:
            return False
        text = decode(self._base_model, [token])
        if "\n" not in text:
            return False
        return "\n" in text.lstrip() or bool(self._text(i))

    def _completion(self, i: int) -> Completion:
        if i in self._final:
            return self._final[i]
        written, entropy = self._written[i], self._entropy[i]
        completion = Completion(
            text=self._text(i),
            tokens=len(written),
            finished=self._finished[i],
            seconds=self._seconds[i],
            ids=tuple(written),
            entropy=None if entropy is None or not written else entropy / len(written),
        )
        if self._ended(i):
            self._final[i] = completion
        return completion

    def _text(self, i: int) -> str:
        """What row i has written, without what is no complete character yet."""
        text = decode(self._base_model, self._written[i]).strip()
        if self._formats[i].ends_at_newline:
            text = text.split("\n", 1)[0].rstrip()
        return text if self._finished[i] else text.rstrip(UNDECODED)


def _row(base_model: BaseModel, ask: Ask, prompt: int | None) -> Row:
    encoded = encode(base_model, ask.question, None, ask.chat_template, ask.examples)
    if ask.seed is None:
        return Row(prompt, encoded.head, encoded.question)
    return Row(prompt, encoded.head + encoded.question[:-1], encoded.question[-1:])


def _on_device(base_model: BaseModel, prompts: list[torch.Tensor]) -> torch.Tensor | None:
    """All prompts one after another on the model's device; ValueError if one is of another size."""
    for prompt in prompts:
        if prompt.ndim != 2 or prompt.shape[1] != base_model.hidden_size:
            raise ValueError(
                f"A soft prompt for {base_model.name} has {base_model.hidden_size} numbers a "
                f"token; this one has the shape {tuple(prompt.shape)}."
            )
    return torch.cat(prompts).to(base_model.device) if prompts else None
