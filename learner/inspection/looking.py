"""Looking at a pass itself, not only at its answers; and texts in a soft prompt's place.

Whoever owns the device runs such a look between other work (`OnModel`), so it is cut into slices
that take about as long as a turn there.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import torch

from learner.model.base_model import BaseModel

Item = TypeVar("Item")
Found = TypeVar("Found")

OnModel = Callable[[Callable[[BaseModel], Any]], Any]
"""Has a function run where the base model is, and returns what that returned."""

SLICE_SECONDS = 0.25
MOST_TEXT_TOKENS = 256  # of a text in a soft prompt's place


def in_slices(
    on_model: OnModel,
    look: Callable[..., list[Found]],
    items: Sequence[Item],
) -> Iterator[Found]:
    """What ``look(base_model, items)`` finds for each item, in order, a slice at a time."""
    size, start = 1, 0
    while start < len(items):
        began = time.perf_counter()
        part = items[start : start + size]
        found = on_model(partial(look, items=part))
        pace = (time.perf_counter() - began) / len(part)
        yield from found
        start += len(part)
        size = max(1, min(4 * size, int(SLICE_SECONDS / max(pace, 1e-6))))


def text_ids(base_model: BaseModel, text: str) -> list[int]:
    """The tokens of a text. Raises ValueError if there are none, or too many to stand in front."""
    ids = base_model.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
    if not ids:
        raise ValueError("There is no text to compare with.")
    if len(ids) > MOST_TEXT_TOKENS:
        raise ValueError(
            f"The text is too long: {len(ids)} tokens, where {MOST_TEXT_TOKENS} can be compared."
        )
    return ids


def token_texts(base_model: BaseModel, tokens: Sequence[int]) -> list[str]:
    """The text of each token."""
    backend = base_model.tokenizer.backend_tokenizer
    return [backend.decode([token], skip_special_tokens=False) for token in tokens]


def token_prompt(base_model: BaseModel, ids: Sequence[int]) -> torch.Tensor:
    """Tokens in a soft prompt's place: their input embeddings, float32 [tokens, hidden], CPU.

    The model reads a text so exactly as it reads its tokens.
    """
    return base_model.embed(torch.tensor(ids)).float().cpu()
