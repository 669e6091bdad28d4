"""Nearest words, as the failure they are.

The usual answer to "what does it say?": for each vector, the token whose input embedding has the
highest cosine with it. A prompt can be good near any text at all (Khashabi et al., 2021), so this
is shown with what takes it apart: the same for the untrained prompt, how many vectors kept the word
that they began as, and how well the words do as a plain prefix. Did they say what was learnt, they
would work.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch.nn.functional import normalize

from arena import Problem
from learner.inspection.looking import OnModel, token_prompt, token_texts
from learner.inspection.subject import Subject, scores
from learner.measuring import Answers, Score
from learner.model.base_model import BaseModel

WORDS = 3  # nearest to each vector
ROWS = 1 << 14  # of the vocabulary that are compared at a time


@dataclass(frozen=True)
class Word:
    """A token as text, its id, and the cosine of its embedding with the vector."""

    text: str
    token: int
    cosine: float


Nearest = tuple[tuple[Word, ...], ...]
"""The nearest words of each vector, nearest first."""


@dataclass(frozen=True)
class NearestWords:
    """The nearest words before and after training, and what they are worth.

    ``unchanged`` vectors have the same nearest word as before; ``as_text`` is the score of the
    trained prompt's nearest words in its place, ``untrained_as_text`` that of the untrained one's.
    """

    trained: Nearest
    untrained: Nearest
    unchanged: int
    as_text: Score
    untrained_as_text: Score
    whole: Score


def nearest(base_model: BaseModel, prompt: torch.Tensor) -> Nearest:
    """The words nearest to each vector of a prompt, by cosine, nearest first."""
    known = min(len(base_model.tokenizer), base_model.vocabulary_size)
    units = normalize(prompt.to(base_model.device), dim=1)
    found = []
    for start in range(0, known, ROWS):  # not all at once, in float32: that is a gigabyte
        table = normalize(base_model.embeddings[start : min(start + ROWS, known)].float(), dim=1)
        cosines, places = (units @ table.T).topk(min(WORDS, len(table)), dim=1)
        found.append((cosines, places + start))
    cosines, tokens = (torch.cat(part, dim=1) for part in zip(*found, strict=True))
    cosines, best = cosines.topk(WORDS, dim=1)
    tokens = tokens.gather(1, best)
    return tuple(
        tuple(map(Word, token_texts(base_model, own), own, own_cosines))
        for own, own_cosines in zip(tokens.tolist(), cosines.tolist(), strict=True)
    )


def nearest_words(
    answers: Answers, on_model: OnModel, subject: Subject, problems: Sequence[Problem]
) -> NearestWords:
    """The nearest words of both prompts, tried out as text on the problems."""
    trained, untrained = (
        on_model(partial(nearest, prompt=prompt)) for prompt in (subject.trained, subject.untrained)
    )
    prompts = {"whole": subject.trained}
    for name, found in (("trained", trained), ("untrained", untrained)):
        prompts[name] = on_model(partial(token_prompt, ids=[own[0].token for own in found]))
    tried = scores(answers, subject, prompts, problems)
    pairs = zip(trained, untrained, strict=True)
    return NearestWords(
        trained,
        untrained,
        sum(now[0].token == then[0].token for now, then in pairs),
        tried["trained"],
        tried["untrained"],
        tried["whole"],
    )
