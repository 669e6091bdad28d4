"""Learning from a person's thumbs: what they liked becomes likelier, what they disliked less so.

Each marked completion y of a question is a case of its own, and the loss is the binary
cross-entropy of its mark against p(y), the chance that the learner says exactly that:

    loss = mean over the marks of  − log p(y)  where the thumb is up,  − log (1 − p(y))  where down

A mark between −1 and 1, as the mean of many people's thumbs is, counts as the thumb that it is
nearer to, and by its size: the mean is weighted by it. Completions without a mark take no part.
There is no baseline, as a grader's reward has (`reward`), so a person who only dislikes is learnt
from too: what they dislike is pushed down as far as it is likely at all (unlikelihood; Welleck et
al., 2020, "Neural Text Generation with Unlikelihood Training"). With − log p negated in its place,
nothing would ever be unlikely enough, and pushing it further takes what was liked down with it
(likelihood displacement; Razin et al., 2024). Measured on the embedded model, one liked and three
disliked of four samples, the liked one came to 0.54 from 0.09 where that loss brought it to 0.40;
and with all four disliked that loss left the likely ones where they were.

One click takes a few small steps of Adam, with moments of its own, since a person expects to be
learnt from alone and not to be drowned by the momentum of the last run; the learner's own moments,
and its count of steps, stay as they were. It ends as soon as the loss has halved (0.09 liked comes
to 0.3, 0.5 to 0.7), because what is learnt should be seen and the rest should stay. How many steps
that takes depends on the model; how large they are goes by the size of its word embeddings.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from learner.learning.gradients import find_gradients, log_likelihoods
from learner.learning.learner import MAX_HISTORY, Learner, StepRecord
from learner.learning.optimiser import adam
from learner.learning.reward import MAX_SAMPLE_TOKENS
from learner.learning.signal import Signal
from learner.learning.step_report import Marked, StepReport, refused
from learner.learning.targets import (
    Target,
    check_fits,
    check_prompt,
    completion_targets,
    encode_for,
)
from learner.model.base_model import BaseModel
from learner.model.pace import Paces
from learner.model.turns import Turns

MAX_MARKED = 16
RATE = 0.1  # Adam's learning rate, in standard deviations of the word embeddings
MAX_STEPS = 12
GOAL = 0.5  # of the loss at the start: then the click is done
MOST = 0.999  # a likelier completion counts as one that is this likely


@dataclass(frozen=True)
class Thumbs:
    """A question and the marked completions of it: their token ids and a mark each.

    A mark is +1 or −1, or between them but not 0, as the mean of many people's is. Raises
    ValueError, in a sentence, if nothing is marked or a mark is something else.
    """

    question: str
    completions: tuple[tuple[int, ...], ...]
    marks: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.marks:
            raise ValueError("Mark at least one answer with a thumb up or down.")
        if len(self.marks) != len(self.completions) or len(self.marks) > MAX_MARKED:
            raise ValueError(f"Up to {MAX_MARKED} answers are learnt from, with one mark each.")
        if not all(0 < abs(mark) <= 1 for mark in self.marks):
            raise ValueError("A mark is +1 (thumb up), -1 (thumb down) or between them, not 0.")
        if not all(0 < len(ids) <= MAX_SAMPLE_TOKENS for ids in self.completions):
            raise ValueError(f"An answer to mark has 1 to {MAX_SAMPLE_TOKENS} tokens.")

    def loss(self, log_p: Sequence[float]) -> float:
        """The mean binary cross-entropy (nats) of the marks, given log p of each completion."""
        terms = [
            abs(mark) * (-p if mark > 0 else -_log_rest(p))
            for p, mark in zip(log_p, self.marks, strict=True)
        ]
        return sum(terms) / self._size

    def weights(self, log_p: Sequence[float]) -> list[float]:
        """What a nat of each completion's cross-entropy counts in the loss, at these log p."""
        return [
            abs(mark) * (1.0 if mark > 0 else -math.exp(min(p, 0.0) - _log_rest(p))) / self._size
            for p, mark in zip(log_p, self.marks, strict=True)
        ]

    @property
    def liked(self) -> int:
        """How many are marked up."""
        return sum(mark > 0 for mark in self.marks)

    @property
    def _size(self) -> float:
        return sum(map(abs, self.marks))


def learn_from_thumbs(
    base_model: BaseModel, learner: Learner, thumbs: Thumbs, paces: Paces | None = None
) -> Turns[tuple[Learner, StepReport]]:
    """What the learner makes of one person's marks, in the format that its config names.

    Pauses after each pass over the model, of which there are many.

    Whatever keeps it from learning is said in the report and leaves it as it was.
    """
    try:
        targets = _targets(base_model, learner, thumbs)
    except ValueError as error:
        return learner, refused(str(error))
    zeros = torch.zeros_like(learner.prompt)
    rate = RATE * base_model.embedding_spread
    walker = replace(
        learner,
        config=replace(learner.config, learning_rate=rate),
        first_moment=zeros,
        second_moment=zeros,
        steps=0,
    )
    log_p = start = best = yield from _log_likelihoods(base_model, walker, targets, paces)
    if not math.isfinite(thumbs.loss(start)):
        return learner, refused("This soft prompt has numbers that are not finite; undo or reset.")
    prompt, grad_norm = learner.prompt, 0.0
    for _ in range(MAX_STEPS):
        weighed = [
            replace(target, weights=(weight,) * len(target.predicted))
            for target, weight in zip(targets, thumbs.weights(log_p), strict=True)
        ]
        (found,) = yield from find_gradients(base_model, [(walker.prompt, weighed)], paces)
        grad_norm = grad_norm or float(found.gradient.norm())
        (after,), (first,), (second,) = adam([walker], found.gradient[None])
        walker = replace(
            walker, prompt=after, first_moment=first, second_moment=second, steps=walker.steps + 1
        )
        log_p = yield from _log_likelihoods(base_model, walker, targets, paces)
        if thumbs.loss(log_p) < thumbs.loss(best):
            prompt, best = after.clone(), log_p
        if not thumbs.loss(log_p) > GOAL * thumbs.loss(start):  # also where it is not a number
            break
    if prompt is learner.prompt:
        return learner, refused("No small step brings the learner closer to these marks.")
    record = StepRecord(
        step=learner.steps,
        episodes=learner.episodes + 1,
        loss=thumbs.loss(start),
        correct=thumbs.liked,
        total=len(thumbs.marks),
        grad_norm=grad_norm,
        chat_template=learner.config.chat_template,
        signal=THUMBS.name,
        samples=len(thumbs.marks),
        reward=thumbs.liked / len(thumbs.marks),
    )
    marked = tuple(
        Marked(mark, math.exp(then), math.exp(now))
        for mark, then, now in zip(thumbs.marks, start, best, strict=True)
    )
    report = StepReport(record.loss, grad_norm, (), True, "", marked=marked)
    history = (*learner.history, record)[-MAX_HISTORY:]
    return replace(learner, prompt=prompt, episodes=record.episodes, history=history), report


def _targets(base_model: BaseModel, learner: Learner, thumbs: Thumbs) -> tuple[Target, ...]:
    """One target for each marked completion, in order; ValueError if they do not fit the model."""
    check_prompt(base_model, learner)
    encoded = encode_for(base_model, learner, thumbs.question, None)
    text = len(encoded.head) + len(encoded.question)
    check_fits(base_model, len(learner.prompt) + text + max(map(len, thumbs.completions)))
    pairs = [(ids, 1.0) for ids in thumbs.completions]
    return completion_targets(base_model, learner, thumbs.question, pairs)


def _log_likelihoods(
    base_model: BaseModel, learner: Learner, targets: Sequence[Target], paces: Paces | None
) -> Turns[tuple[float, ...]]:
    (found,) = yield from log_likelihoods(base_model, [(learner.prompt, targets)], paces)
    return found


def _log_rest(log_p: float) -> float:
    """log (1 − p), for a p that is at most ``MOST``."""
    return math.log1p(-math.exp(min(log_p, math.log(MOST))))


THUMBS = Signal(
    "thumbs",
    "Your thumbs",
    rows=lambda config: 1,
    loss="nats an answer",
    right=None,
)
