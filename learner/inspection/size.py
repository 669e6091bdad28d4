"""How small can it be: fewer bits a number, lower rank, fewer vectors.

The prompt is rounded, flattened to a rank, or cut to the vectors that matter most, and asked again.
The smallest is the one of the fewest bytes of which it is sure, at 95 %, that it loses less than
``MARGIN`` against the whole prompt (a paired interval): not to have seen a loss would be no proof
of anything with few problems.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from arena import Problem
from learner.inspection.subject import Change, Subject, change, scores
from learner.learning.learner import Learner
from learner.measuring import Answers, Score

BITS = (32, 16, 8, 4, 3, 2, 1)
MARGIN = 0.05  # of accuracy that may be lost
SCALE_BYTES = 2  # a float16 scale for each vector, where numbers are rounded to few levels
RANKS = (1, 2, 3, 4, 6, 8)


class Way(NamedTuple):
    """To make it smaller: so many ``bits`` a number, a ``rank``, and some vectors ``kept``."""

    bits: int
    rank: int
    kept: tuple[int, ...]


@dataclass(frozen=True)
class Smaller:
    """A smaller prompt: how it was made, its ``bytes``, its score, and the change from the whole.

    ``loses_nothing`` says that it is sure, at 95 %, to lose less than ``MARGIN``, or is the whole.
    """

    bits: int
    rank: int
    kept: tuple[int, ...]
    bytes: int
    score: Score
    change: Change
    loses_nothing: bool


@dataclass(frozen=True)
class Size:
    """Accuracy against each way of making it smaller, and the smallest that loses nothing."""

    whole: Score
    bytes: int
    bits: tuple[Smaller, ...]
    rank: tuple[Smaller, ...]
    vectors: tuple[Smaller, ...]
    both: tuple[Smaller, ...]  # the fewest vectors that lose nothing, in fewer bits
    smallest: Smaller | None  # of all of these; None: nothing smaller is sure to do


def rounded(prompt: torch.Tensor, bits: int) -> torch.Tensor:
    """The prompt in so many bits a number: float, or levels of a scale that each vector has.

    16 bits are IEEE's half precision; one bit is the sign, times the vector's mean magnitude.
    """
    if bits >= 32:
        return prompt.clone()
    if bits == 16:
        return prompt.half().float()
    if bits == 1:
        scale = prompt.abs().mean(dim=1, keepdim=True).half().float()
        return torch.where(prompt < 0, -scale, scale)
    levels = 2 ** (bits - 1) - 1
    scale = (prompt.abs().amax(dim=1, keepdim=True) / levels).clamp(min=1e-7).half().float()
    return (prompt / scale).round().clamp(-levels, levels) * scale


def flattened(prompt: torch.Tensor, rank: int) -> torch.Tensor:
    """The nearest prompt (least squares) of at most this rank."""
    u, s, v = torch.linalg.svd(prompt, full_matrices=False)
    return (u[:, :rank] * s[:rank]) @ v[:rank]


def stored_bytes(vectors: int, hidden: int, bits: int, rank: int | None = None) -> int:
    """What such a prompt takes, without any file around it."""
    numbers = vectors * hidden
    if rank is not None and rank < min(vectors, hidden):
        numbers = min(numbers, rank * (vectors + hidden))
    return -(-numbers * bits // 8) + (SCALE_BYTES * vectors if bits < 16 else 0)


def size(
    answers: Answers, subject: Subject, order: Sequence[int], problems: Sequence[Problem]
) -> Size:
    """Try all of it on these problems, two or more; ``order`` has the vectors, best first."""
    n, hidden = subject.trained.shape
    everything = tuple(range(n))
    bits = [Way(bits, n, everything) for bits in BITS]
    ranks = [Way(32, rank, everything) for rank in RANKS if rank < n]
    counts = [Way(32, n, tuple(sorted(order[:count]))) for count in _counts(n)]
    tried = _tried(answers, subject, [*bits, *ranks, *counts], problems)
    few = next((way.kept for way in reversed(counts) if tried[way].loses_nothing), None)
    both = [Way(bits, len(few), few) for bits in BITS[1:]] if few else []
    tried |= _tried(answers, subject, both, problems) if both else {}
    whole = stored_bytes(n, hidden, 32)
    good = [one for one in tried.values() if one.loses_nothing and one.bytes < whole]

    def found(ways: Sequence[Way]) -> tuple[Smaller, ...]:
        return tuple(tried[way] for way in ways)

    return Size(
        tried[bits[0]].score,
        whole,
        *(found(bits), found(ranks), found(counts), found(both)),
        min(good, key=lambda one: one.bytes, default=None),
    )


def made_smaller(prompt: torch.Tensor, bits: int, rank: int, kept: Sequence[int]) -> torch.Tensor:
    """The prompt cut to the vectors ``kept``, flattened to a rank, in so many bits a number."""
    few = prompt[list(kept)]
    return rounded(flattened(few, rank) if rank < len(few) else few, bits)


def smallest_of(learner: Learner, found: Size) -> Learner | None:
    """The learner with the smallest prompt that loses nothing in place of its own, to be saved."""
    one = found.smallest
    if one is None:
        return None
    prompt = made_smaller(learner.prompt, one.bits, one.rank, one.kept)
    return replace(
        learner,
        config=replace(learner.config, soft_tokens=len(prompt)),
        prompt=prompt,
        first_moment=torch.zeros_like(prompt),
        second_moment=torch.zeros_like(prompt),
    )


def _tried(
    answers: Answers,
    subject: Subject,
    ways: Sequence[Way],
    problems: Sequence[Problem],
) -> dict[Way, Smaller]:
    prompts: dict[Way | None, torch.Tensor] = {None: subject.trained}
    prompts |= {way: made_smaller(subject.trained, *way) for way in ways}
    found = scores(answers, subject, prompts, problems)
    smaller = {}
    for way in ways:
        bytes_taken = stored_bytes(len(way.kept), subject.trained.shape[1], way.bits, way.rank)
        lost = change(found[None], found[way])
        sure = lost.interval.low > -MARGIN or torch.equal(prompts[way], subject.trained)
        smaller[way] = Smaller(*way, bytes_taken, found[way], lost, sure)
    return smaller


def _counts(n: int) -> list[int]:
    """How many vectors to keep, fewer and fewer: all of these up to 8, then by halves."""
    counts = [n // 2**halves for halves in range(n.bit_length()) if n // 2**halves > 8]
    return [count for count in (*counts, *range(min(n, 8), 0, -1)) if count < n]
