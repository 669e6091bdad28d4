"""Acts like: which text, in the soft prompt's place, makes the model answer most as it does.

For each problem the soft prompt's own answer is taken, and at every token of it the distributions
of the next token behind the soft prompt and behind the text are compared: KL(soft ‖ text), summed
over the answer, in nats. 0 is no difference. Texts are ranked by its mean over problems; those that
are not told from the first one (paired, after Holm's correction) share its place.

It ranks the texts that it is given and knows no others. Beside each stands how well it does as a
plain prefix. There are two controls. The same ranking of the untrained prompt: a method that names
the same text for it would have read nothing off the training. And nonsense, also on a line of its
own as headings are: where that comes as close, it is not the words that count. (So it is with the
embedded model: any line above the question makes it answer.)
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch

from arena import Problem
from arena.crossed import crossed_mean
from arena.statistics import SIGNIFICANT, Interval, holm
from learner.inspection.looking import OnModel, in_slices, text_ids, token_prompt
from learner.inspection.subject import Subject, scores
from learner.learning.worked_examples import worked_examples
from learner.measuring import Answers, Score
from learner.model.base_model import BaseModel
from learner.model.formatting import Examples, encode
from learner.model.forward import Batch, Row, split_passes
from learner.model.memory import in_halves, training_budget

LONGEST_ANSWER = 16  # tokens that are compared

# What kind of text it is.
VOUCHES, INSTRUCTS, EXAMPLES, DOUBTS, NONSENSE, LINE, NOTHING, YOURS = (
    "says the answers are right",
    "an instruction",
    "right worked examples",
    "says nothing of the kind",
    "nonsense",
    "nonsense on a line of its own",
    "nothing at all",
    "your text",
)
TEXTS = {
    VOUCHES: (
        "Answer key\n",
        "Solutions\n",
        "Checked answers\n",
        "Worked examples\n",
        "Teacher's copy\n",
    ),
    INSTRUCTS: (
        "Answer each question correctly with just the answer.\n",
        "You are a careful assistant. Give the right answer and nothing else.\n",
        "Think step by step before you answer.\n",
    ),
    DOUBTS: (
        "Worksheet, not filled in yet\n",
        "Questions without answers\n",
        "Please leave the answers blank.\n",
    ),
}
BLANK = "____"
LINE_BREAKS = ("\n", "Ċ", "<0x0A>")  # as vocabularies write it: plain, byte by byte, as a byte


@dataclass(frozen=True, eq=False)
class Candidate:
    """A text that may stand in the soft prompt's place; ``prompt`` None is nothing at all."""

    kind: str
    text: str
    tokens: int
    prompt: torch.Tensor | None


@dataclass(frozen=True)
class Likeness:
    """How a candidate compares: mean divergence in nats an answer, and its score as a prefix.

    ``first`` says that nothing listed is closer, as far as the problems tell.
    """

    kind: str
    text: str
    tokens: int
    divergence: float
    interval: Interval
    score: Score
    first: bool


@dataclass(frozen=True)
class Ranking:
    """The candidates, closest first, of the trained prompt and of the untrained one (control)."""

    trained: tuple[Likeness, ...]
    untrained: tuple[Likeness, ...]
    problems: int


def candidates(base_model: BaseModel, vectors: int, own: Sequence[str] = ()) -> list[Candidate]:
    """The listed texts, worked examples, nonsense of as many tokens as vectors, nothing, and
    ``own`` texts that somebody would like to compare. Raises ValueError for one that cannot be."""
    texts = [(kind, text) for kind, group in TEXTS.items() for text in group]
    for shots in (1, 2):
        texts.append((EXAMPLES, _rows(worked_examples(shots))))
    blank = tuple((question, BLANK) for question, _ in worked_examples(2))
    texts.append((DOUBTS, _rows(blank)))
    texts += [(YOURS, text if text.endswith("\n") else f"{text}\n") for text in own]
    listed = []
    for kind, text in texts:
        ids = text_ids(base_model, text)
        listed.append(Candidate(kind, text, len(ids), token_prompt(base_model, ids)))
    line_break = text_ids(base_model, "\n")
    for seed in range(2):
        words = nonsense(base_model, vectors, seed)
        for kind, ids in ((NONSENSE, words), (LINE, words + line_break)):
            text = base_model.tokenizer.backend_tokenizer.decode(ids)
            listed.append(Candidate(kind, text, len(ids), token_prompt(base_model, ids)))
    return [*listed, Candidate(NOTHING, "", 0, None)]


def nonsense(base_model: BaseModel, tokens: int, seed: int) -> list[int]:
    """Ordinary tokens drawn at random, none of which breaks the line."""
    tokenizer = base_model.tokenizer
    known = min(len(tokenizer), base_model.vocabulary_size)
    written = tokenizer.convert_ids_to_tokens(list(range(known)))
    ordinary = [
        token
        for token, text in enumerate(written)
        if token not in tokenizer.added_tokens_decoder
        and text is not None
        and not any(line_break in text for line_break in LINE_BREAKS)
    ]
    return random.Random(seed).choices(ordinary, k=tokens)


def likeness(
    answers: Answers,
    on_model: OnModel,
    subject: Subject,
    listed: Sequence[Candidate],
    problems: Sequence[Problem],
    control_problems: int = 10,
) -> Ranking:
    """Rank the candidates on these problems, two or more.

    Those of the untrained prompt on the first ``control_problems``, two or more: there is no need
    of many where what it acts like is far from all the rest.
    """
    found = as_prefixes(answers, subject, listed, problems)
    few = problems[:control_problems]
    return Ranking(
        trained=ranked(answers, on_model, subject, subject.trained, listed, found, problems),
        untrained=ranked(answers, on_model, subject, subject.untrained, listed, found, few),
        problems=len(problems),
    )


def as_prefixes(
    answers: Answers,
    subject: Subject,
    listed: Sequence[Candidate],
    problems: Sequence[Problem],
) -> list[Score]:
    """How well each candidate does as a plain prefix."""
    prompts = {one: one.prompt for one in listed}
    return list(scores(answers, subject, prompts, problems).values())


@dataclass(frozen=True)
class Said:
    """A question, and what was answered to it: token ids, the one that ended it included."""

    question: str
    ids: tuple[int, ...]


def divergences(
    base_model: BaseModel,
    items: Sequence[Said],
    reference: torch.Tensor,
    others: Sequence[torch.Tensor | None],
    chat_template: bool,
    examples: Examples,
) -> list[list[float]]:
    """KL(reference ‖ other) in nats an answer, for each answer and each of the other prompts.

    The answers are the reference's own. Raises ValueError if a row is too long, and OutOfMemory.
    """
    prompts, rows = [reference], []
    places: list[int | None] = [0]
    for other in others:
        places.append(None if other is None else len(prompts))
        prompts += [] if other is None else [other]
    for item in items:
        encoded = encode(base_model, item.question, None, chat_template, examples)
        tokens = encoded.question + item.ids[:-1]
        rows += [Row(place, encoded.head, tokens, len(item.ids)) for place in places]
    lengths = [len(prompt) for prompt in prompts]
    on_device = torch.cat(prompts).to(base_model.device)

    def run(members: Sequence[int]) -> list[torch.Tensor]:
        batch = Batch(base_model, [rows[i] for i in members], lengths)
        with torch.inference_mode():
            logits = torch.log_softmax(batch.logits(on_device).float(), dim=-1).cpu()
        return list(logits.split([rows[i].predictions for i in members]))

    found: list[list[float]] = [[] for _ in items]
    soft = torch.empty(0)
    passes = split_passes(rows, lengths, training_budget(base_model))
    parts = (part for members in passes for part in in_halves(run, members, base_model.device))
    for i, log_p in enumerate(one for part in parts for one in part):
        problem, place = divmod(i, len(places))
        if place == 0:  # the reference comes first
            soft = log_p
        else:
            found[problem].append(float((soft.exp() * (soft - log_p)).sum()))
    return found


def ranked(
    answers: Answers,
    on_model: OnModel,
    subject: Subject,
    reference: torch.Tensor,
    listed: Sequence[Candidate],
    found: Sequence[Score],
    problems: Sequence[Problem],
) -> tuple[Likeness, ...]:
    """The candidates, those first that make the model answer most as it does behind ``reference``.

    ``found`` are their scores as prefixes.
    """
    asked = subject.asked(problems, reference)
    *_, completions = answers([asked.ask(problem) for problem in problems])
    said = [
        Said(problem.question, completion.ids[:LONGEST_ANSWER])
        for problem, completion in zip(problems, completions, strict=True)
    ]
    look = partial(
        divergences,
        reference=reference,
        others=[one.prompt for one in listed],
        chat_template=subject.chat_template,
        examples=subject.examples,
    )
    by_problem = list(in_slices(on_model, look, said))
    columns = [list(column) for column in zip(*by_problem, strict=True)]
    means = [crossed_mean([column]) for column in columns]
    order = sorted(range(len(listed)), key=lambda i: means[i].mean)
    best = columns[order[0]]
    further = [
        crossed_mean([[a - b for a, b in zip(columns[i], best, strict=True)]]).p_value
        for i in order[1:]
    ]
    p_values = [1.0, *holm(further)]
    return tuple(
        Likeness(
            kind=listed[i].kind,
            text=listed[i].text,
            tokens=listed[i].tokens,
            divergence=means[i].mean,
            interval=Interval(max(0.0, means[i].interval.low), means[i].interval.high),
            score=found[i],
            first=p >= SIGNIFICANT,
        )
        for i, p in zip(order, p_values, strict=True)
    )


def _rows(examples: Examples) -> str:
    return "".join(f"Question: {question}\nAnswer: {answer}\n" for question, answer in examples)
