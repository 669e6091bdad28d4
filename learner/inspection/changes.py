"""What changed in the answers: problems that flipped, both ways, and how the answers begin now.

Beside the change from untrained to trained stands the control: the change from one untrained prompt
to another. What flips there flips by chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial, reduce

import torch

from arena import Problem
from learner.inspection.looking import OnModel, in_slices, token_texts
from learner.inspection.subject import Change, Subject, change, scores
from learner.measuring import Answers, Score
from learner.model.base_model import BaseModel
from learner.model.formatting import Examples, encode
from learner.model.forward import Batch, Row

SHOWN = 3  # problems shown of each kind of flip
BEGINNINGS = 6  # first tokens that are shown


@dataclass(frozen=True)
class Flip:
    """A problem whose verdict changed, with both answers; ``gained`` or lost.

    It has been right ever since so many episodes; None: it is not, or no moments are known.
    """

    problem: Problem
    before: str
    after: str
    gained: bool
    since: int | None


@dataclass(frozen=True)
class Beginning:
    """A first token of answers, and its mean probability behind either prompt."""

    text: str
    before: float
    after: float


@dataclass(frozen=True)
class Changes:
    """All that changed. ``families`` and ``difficulties`` have gained, lost and n of each.

    ``first_right`` has, for each problem, the episodes after which it was right for the first time
    and stayed so to the end; None: it is not right in the end, or no moments are known.
    """

    before: Score
    after: Score
    change: Change
    control: Change
    families: dict[str, tuple[int, int, int]]
    difficulties: dict[int, tuple[int, int, int]]
    flips: tuple[Flip, ...]
    beginnings: tuple[Beginning, ...]
    first_right: tuple[int | None, ...]


def changes(
    answers: Answers,
    on_model: OnModel,
    subject: Subject,
    other_untrained: torch.Tensor,
    problems: Sequence[Problem],
    moments: Sequence[tuple[int, Score]] = (),
) -> Changes:
    """Compare the answers to the problems, two or more, before and after training.

    ``other_untrained`` is another prompt that has learnt nothing; ``moments`` are scores of these
    very problems after so many episodes, in order.
    """
    prompts = {"before": subject.untrained, "after": subject.trained, "other": other_untrained}
    found = scores(answers, subject, prompts, problems)
    before, after = found["before"], found["after"]
    families = [problem.family for problem in problems]
    difficulties = [problem.difficulty for problem in problems]
    since = tuple(first_right(moments, i) for i in range(len(problems)))
    return Changes(
        before,
        after,
        change(before, after),
        change(before, found["other"]),
        _counts(families, before, after),
        _counts(difficulties, before, after),
        _shown(answers, subject, problems, before, after, since),
        _beginnings(on_model, subject, problems),
        since,
    )


def first_right(moments: Sequence[tuple[int, Score]], problem: int) -> int | None:
    """The episodes from which on the problem was right at every moment."""
    since = None
    for episodes, score in moments:
        if not score.right[problem]:
            since = None
        elif since is None:
            since = episodes
    return since


def first_tokens(
    base_model: BaseModel,
    items: Sequence[Problem],
    prompts: Sequence[torch.Tensor],
    chat_template: bool,
    examples: Examples,
) -> list[torch.Tensor]:
    """For each problem, how likely each first token of an answer is: [prompts, vocabulary]."""
    rows = []
    for item in items:
        encoded = encode(base_model, item.question, None, chat_template, examples)
        rows += [Row(i, encoded.head, encoded.question) for i in range(len(prompts))]
    batch = Batch(base_model, rows, [len(prompt) for prompt in prompts])
    with torch.inference_mode():
        logits = batch.logits(torch.cat(list(prompts)).to(base_model.device))
        return list(logits.float().softmax(dim=-1).cpu().split(len(prompts)))


def _beginnings(
    on_model: OnModel, subject: Subject, problems: Sequence[Problem]
) -> tuple[Beginning, ...]:
    look = partial(
        first_tokens,
        prompts=[subject.untrained, subject.trained],
        chat_template=subject.chat_template,
        examples=subject.examples,
    )
    # One after the other: each is as large as two vocabularies.
    likely = in_slices(on_model, look, problems)
    mean = reduce(torch.add, likely) / len(problems)
    moved = (mean[1] - mean[0]).abs().topk(BEGINNINGS).indices.tolist()
    texts = on_model(partial(token_texts, tokens=moved))
    return tuple(
        Beginning(text, float(mean[0, token]), float(mean[1, token]))
        for token, text in zip(moved, texts, strict=True)
    )


def _counts(keys: Sequence, before: Score, after: Score) -> dict:
    """Gained, lost and n of each key."""
    counts = {key: [0, 0, 0] for key in sorted(set(keys))}
    for key, then, now in zip(keys, before.right, after.right, strict=True):
        counts[key][0] += now and not then
        counts[key][1] += then and not now
        counts[key][2] += 1
    return {key: tuple(count) for key, count in counts.items()}


def _shown(
    answers: Answers,
    subject: Subject,
    problems: Sequence[Problem],
    before: Score,
    after: Score,
    since: Sequence[int | None],
) -> tuple[Flip, ...]:
    """A few flips each way, with what was answered."""
    verdicts = list(zip(before.right, after.right, strict=True))
    gained = [i for i, verdict in enumerate(verdicts) if verdict == (False, True)][:SHOWN]
    lost = [i for i, verdict in enumerate(verdicts) if verdict == (True, False)][:SHOWN]
    numbers = gained + lost
    chosen = [problems[i] for i in numbers]
    if not chosen:
        return ()
    texts = []
    for prompt in (subject.untrained, subject.trained):
        asked = subject.asked(chosen, prompt)
        *_, completions = answers([asked.ask(problem) for problem in chosen])
        texts.append([completion.text for completion in completions])
    return tuple(
        Flip(problems[i], then, now, i in gained, since[i])
        for i, then, now in zip(numbers, *texts, strict=True)
    )
