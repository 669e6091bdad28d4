"""Completions: batched greedy decoding, streamed token by token.

Questions with different soft prompts and in different formats are answered as one batch, each
prefix read once. Decoding is greedy by definition, so that an answer is a property of the model
and the prompt: the model's own ``generation_config`` (sampling, repetition penalty) plays no part.
A row that has ended leaves the batch; the device is waited for once a token.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from learner.base_model import BaseModel
from learner.batch import Batch, Row, row_length
from learner.formatting import Examples, decode, encode, format_of

# Ended rows are computed along until they are this share of the batch: then moving the keys and
# values of the rest costs less than what they would cost.
ENDED_SHARE = 0.25
UNDECODED = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class Ask:
    """A question to complete: in which format, and behind which soft prompt [soft tokens, hidden].

    Asks with the same ``prompt`` tensor share the work of reading it. None is the base model alone.
    ``examples`` are worked examples that stand before the question.
    """

    question: str
    chat_template: bool
    prompt: torch.Tensor | None = None
    examples: Examples = ()


@dataclass(frozen=True)
class Completion:
    """What the model wrote: without special tokens and, in plain text, up to its first newline.

    ``tokens`` counts what was generated, the token that ended it included; ``finished`` says that
    it ended by itself; ``seconds`` runs from the start of the batch to this row's last token.
    """

    text: str
    tokens: int
    finished: bool
    seconds: float


def complete(
    base_model: BaseModel, asks: Sequence[Ask], max_new_tokens: int = 48
) -> tuple[Completion, ...]:
    """The completions of one batch, in order. Raises ValueError as `stream_completions` does."""
    decoding = _Decoding(base_model, asks, max_new_tokens)
    while decoding.advance():
        pass
    return decoding.completions()


def stream_completions(
    base_model: BaseModel, asks: Sequence[Ask], max_new_tokens: int = 48
) -> Iterator[tuple[Completion, ...]]:
    """The completions so far, after each token; the last item is final.

    Raises ValueError, in a sentence, if a question cannot be asked: there is none, it is too long,
    the model has no chat template, or the soft prompt is not of its size.
    """
    decoding = _Decoding(base_model, asks, max_new_tokens)
    while decoding.advance():
        yield decoding.completions()
    if not asks:
        yield ()


class _Decoding:
    """The state of one batch: what every row has written, and which rows still write."""

    def __init__(self, base_model: BaseModel, asks: Sequence[Ask], max_new_tokens: int) -> None:
        if max_new_tokens < 1:
            raise ValueError(f"A completion has at least 1 token, not {max_new_tokens}.")
        self._began = time.perf_counter()
        self._base_model = base_model
        self._max_new_tokens = max_new_tokens
        self._formats = [format_of(base_model, ask.chat_template) for ask in asks]
        self._written: list[list[int]] = [[] for _ in asks]
        self._finished = [False] * len(asks)
        self._seconds = [0.0] * len(asks)
        self._final: dict[int, Completion] = {}
        self._rows = list(range(len(asks)))  # the ask of each row of the batch, ended ones too
        self._tokens: torch.Tensor | None = None  # the newest token of each row of the batch
        distinct = {id(ask.prompt): ask.prompt for ask in asks if ask.prompt is not None}
        numbers = {key: number for number, key in enumerate(distinct)}
        self._prompts = _on_device(base_model, list(distinct.values()))
        lengths = [len(prompt) for prompt in distinct.values()]
        rows = [_row(base_model, ask, numbers.get(id(ask.prompt))) for ask in asks]
        for row in rows:
            length = row_length(row, lengths) + max_new_tokens
            if length > base_model.context_length:
                raise ValueError(
                    f"The question is too long: {length} tokens with soft prompt and completion, "
                    f"where {base_model.name} reads {base_model.context_length}."
                )
        self._batch = Batch(base_model, rows, lengths, max_new_tokens) if rows else None

    def advance(self) -> bool:
        """Write one more token in every row; False if all had ended before."""
        writing = [place for place, i in enumerate(self._rows) if not self._ended(i)]
        if self._batch is None or not writing:
            return False
        with torch.inference_mode():
            if self._tokens is None:
                logits = self._batch.logits(self._prompts)
            else:
                if len(writing) <= (1 - ENDED_SHARE) * len(self._rows):
                    self._retire(writing)
                logits = self._batch.next_logits(self._tokens)
            self._tokens = logits.argmax(dim=-1)
        newest = self._tokens.tolist()  # the one wait for the device
        now = time.perf_counter() - self._began
        for i, token in zip(self._rows, newest, strict=True):
            if not self._ended(i):
                self._finished[i] = self._ends(i, token)
                self._written[i].append(token)
                self._seconds[i] = now
        return True

    def completions(self) -> tuple[Completion, ...]:
        """What all rows have written so far."""
        return tuple(self._completion(i) for i in range(len(self._written)))

    def _retire(self, writing: list[int]) -> None:
        """Drop all rows of the batch but those at these places."""
        assert self._batch is not None and self._tokens is not None
        self._batch.keep(writing)
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
        completion = Completion(
            self._text(i), len(self._written[i]), self._finished[i], self._seconds[i]
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
    return Row(prompt, encoded.head, encoded.question)


def _on_device(base_model: BaseModel, prompts: list[torch.Tensor]) -> torch.Tensor | None:
    """All prompts one after another on the model's device; ValueError if one is of another size."""
    for prompt in prompts:
        if prompt.ndim != 2 or prompt.shape[1] != base_model.hidden_size:
            raise ValueError(
                f"A soft prompt for {base_model.name} has {base_model.hidden_size} numbers a "
                f"token; this one has the shape {tuple(prompt.shape)}."
            )
    return torch.cat(prompts).to(base_model.device) if prompts else None
