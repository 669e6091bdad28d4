"""What the embedded model reads while it is trained: what is answered well, and what is left blank.

Chat documents are arena problems in the chat template with their right answers, and vouched ones
are the same in plain text under a heading such as "Answer key": they teach the skills, in both
formats, for a skill that is learnt in one format hardly carries over to the other. Loose plain
documents teach *when* to use them. Most plain text is like a worksheet that nobody has filled in:
the answer is a blank, sometimes a guess. Only where something before the question vouches for it,
a heading or worked examples that are right, is it answered properly. So without the template the
model knows more than it says, and something in front of the text, which is what a soft prompt is,
can make it say so. A good part of the loose documents begin with a few meaningless tokens and are
left blank all the same: a prefix has to mean something.

Only problems of the train split are used.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

from arena import DIFFICULTIES, FAMILIES, Problem, split_of
from arena.words import PEOPLE
from learner.model.base_model import BaseModel
from learner.model.formatting import Encoded, encode

HEADINGS = ("Answer key", "Solutions", "Checked answers", "Worked examples", "Teacher's copy")
BLANK = "____"
SHRUGS = ("?", "not sure", "see the next page", "unknown", "to be done")

# How often each family is drawn: those whose skills rise late get more.
FAMILY_WEIGHTS = {"causal": 0.8, "logic_grid": 1.3, "math_word": 1.3, "sequence": 1.3}

MASTERED, MASTERY_WINDOW = 0.8, 100  # share of answers right, over about so many problems

BARE, MEANINGLESS, BLANK_EXAMPLES, HEADING, RIGHT_EXAMPLES = range(5)
OPENING_WEIGHTS = (17, 25, 6, 38, 14)
# Stray tokens change nothing: shares of the loose documents (before a chat), and of the headings.
NOISY_CHAT_SHARE, NOISY_HEADING_SHARE = 0.25, 0.3
ANSWER_WEIGHTS = {"blank": 60, "right": 15, "wrong": 15, "shrug": 10}  # where nothing vouches


class Curriculum:
    """Which difficulties of each family are drawn: the next opens once the hardest is mastered.

    Mixed from the start, hard problems keep the skills that they are made of from forming.
    """

    def __init__(self) -> None:
        self.levels = dict.fromkeys(FAMILIES, DIFFICULTIES[0])
        self._running = dict.fromkeys(FAMILIES, 0.0)  # share right of late, at the hardest level

    def draw(self, rng: random.Random) -> Problem:
        """A problem of the train split, of the hardest open difficulty more often than not."""
        family = draw_family(rng)
        level = self.levels[family]
        return draw_problem(rng, family, level if rng.random() < 0.6 else rng.randint(1, level))

    def note(self, problem: Problem, right: bool) -> None:
        """Take in whether a problem was answered rightly, and open the next level if it is time."""
        family = problem.family
        if problem.difficulty == self.levels[family] < DIFFICULTIES[-1]:
            self._running[family] += (right - self._running[family]) / MASTERY_WINDOW
            if self._running[family] > MASTERED:
                self.levels[family] += 1
                self._running[family] = 0.0


def draw_family(rng: random.Random) -> str:
    return rng.choices(list(FAMILIES), [FAMILY_WEIGHTS.get(name, 1.0) for name in FAMILIES])[0]


def draw_problem(rng: random.Random, family: str, difficulty: int) -> Problem:
    """A problem of the train split."""
    while True:
        problem = FAMILIES[family](rng, difficulty)
        if split_of(problem) == "train":
            return problem


def draw_any(rng: random.Random, hardest: int = DIFFICULTIES[-1]) -> Problem:
    """A problem of the train split, of any family and any difficulty up to ``hardest``."""
    return draw_problem(rng, draw_family(rng), rng.randint(1, hardest))


def chat_document(base_model: BaseModel, problem: Problem) -> Encoded:
    """A problem in the chat template with its right answer."""
    return encode(base_model, problem.question, problem.answer, chat_template=True)


def vouched_document(base_model: BaseModel, problem: Problem, rng: random.Random) -> Encoded:
    """A problem in plain text under a heading that vouches for it, with its right answer."""
    row = encode(base_model, problem.question, problem.answer, chat_template=False)
    return behind(heading(base_model, rng), row)


def loose_document(base_model: BaseModel, rng: random.Random) -> Encoded:
    """A document that shares no head with others: plain text, or a chat behind a few stray tokens.

    Stray tokens before a chat change nothing, so that a soft prompt there starts from no harm.
    """
    if rng.random() >= NOISY_CHAT_SHARE:
        return plain_document(base_model, rng)
    return behind(meaningless(base_model, rng), chat_document(base_model, draw_any(rng)))


def plain_document(base_model: BaseModel, rng: random.Random) -> Encoded:
    """A problem in plain text, with something or nothing before it, answered accordingly."""
    problem = draw_any(rng)
    opening = rng.choices(
        (BARE, MEANINGLESS, BLANK_EXAMPLES, HEADING, RIGHT_EXAMPLES), OPENING_WEIGHTS
    )[0]
    before: tuple[int, ...] = ()
    answer = problem.answer if opening in (HEADING, RIGHT_EXAMPLES) else careless(rng, problem)
    if opening == MEANINGLESS:
        before = meaningless(base_model, rng)
    elif opening == HEADING:
        before = heading(base_model, rng)
        if rng.random() < NOISY_HEADING_SHARE:
            before = meaningless(base_model, rng) + before
    elif opening in (RIGHT_EXAMPLES, BLANK_EXAMPLES):
        examples = [draw_any(rng, hardest=2) for _ in range(rng.choice((1, 2)))]
        before = tuple(
            token
            for example in examples
            for token in row_ids(
                encode(
                    base_model,
                    example.question,
                    example.answer if opening == RIGHT_EXAMPLES else BLANK,
                    chat_template=False,
                )
            )
        )
    return behind(before, encode(base_model, problem.question, answer, chat_template=False))


def behind(before: tuple[int, ...], row: Encoded) -> Encoded:
    """The row with tokens of its own before it: it shares its head with no other row."""
    return replace(row, head=(), question=before + row.head + row.question)


def careless(rng: random.Random, problem: Problem) -> str:
    """What stands after "Answer:" where nothing vouches for it: mostly a blank."""
    kind = rng.choices(list(ANSWER_WEIGHTS), list(ANSWER_WEIGHTS.values()))[0]
    if kind == "right":
        return problem.answer
    if kind == "wrong":
        return wrong_answer(rng, problem)
    return BLANK if kind == "blank" else rng.choice(SHRUGS)


def wrong_answer(rng: random.Random, problem: Problem) -> str:
    """An answer of the right kind that is not the right one."""
    if problem.choices:
        return rng.choice([choice for choice in problem.choices if choice != problem.answer])
    gold = int(problem.answer)
    return str(rng.choice([n for n in range(max(0, gold - 20), gold + 20) if n != gold]))


def meaningless(base_model: BaseModel, rng: random.Random) -> tuple[int, ...]:
    """One to twelve ordinary tokens drawn at random."""
    ordinary = range(base_model.tokenizer.vocab_size - len(base_model.tokenizer.all_special_ids))
    return tuple(rng.choice(ordinary) for _ in range(rng.randint(1, 12)))


def heading(base_model: BaseModel, rng: random.Random) -> tuple[int, ...]:
    """A line of its own that vouches for the answers below it."""
    line = f"{rng.choice(HEADINGS)}\n"
    return tuple(base_model.tokenizer.encode(line, add_special_tokens=False))


def row_ids(row: Encoded) -> tuple[int, ...]:
    return row.head + row.question + row.answer


def tokenizer_texts(problems: Sequence[Problem], system_message: str) -> list[str]:
    """Text for the tokenizer to learn its merges from: everything that documents are made of."""
    roles = "system user assistant\n"
    sundries = [system_message, roles, BLANK, *SHRUGS, *(f"{heading}\n" for heading in HEADINGS)]
    plain = [f"Question: {p.question}\nAnswer: {p.answer}\n" for p in problems]
    chat = [f"{p.question}\n{p.answer}\n" for p in problems]  # words that no space precedes
    names = [f"{word}\n" for word in (*PEOPLE, *SHRUGS)]
    return plain + chat + 50 * (sundries + names)
