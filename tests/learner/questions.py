"""Questions and soft prompts to complete, and what of a completion is the same every time."""

import torch

from learner.model.completion import Ask, Completion

QUESTIONS = (
    "What comes next: 2, 4, 6, 8?",
    "Alice is taller than Bob. Who is the tallest?",
    "Did it rain?",
    "There are 12 apples in 3 boxes. How many apples are in each box, if all hold the same?",
)

PROMPTS = tuple(
    torch.randn((length, 32), generator=torch.Generator().manual_seed(length))
    for length in (1, 4, 8)
)

MANY = [Ask(q, chat, p) for q in QUESTIONS for chat in (True, False) for p in (None, *PROMPTS[:2])]


def without_times(completions: tuple[Completion, ...]) -> list[tuple[str, int, bool]]:
    return [(done.text, done.tokens, done.finished) for done in completions]
