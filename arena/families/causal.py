"""Did it happen? Follow stated rules from stated facts; the answer is Yes or No.

The text always settles the question: the answer follows from the rules and facts by forward
chaining, where a rule also works backwards ("if A, then B" and "not B" give "not A"). What the text
leaves open is never asked. "B only if A" is one-way: without A there is no B, but A alone does not
bring B about.

1. one rule, one fact
2. one rule with negations or "only if", and a fact beside the point
3. two rules in a chain, and a rule about the same event that does not apply
4. three rules in a chain, shuffled, one that does not apply
5. two or three rules, shuffled, read backwards half of the time, two that do not apply
"""

import random
from itertools import pairwise
from typing import NamedTuple

from arena.problem import Problem
from arena.words import PEOPLE


class Event(NamedTuple):
    """Something that may happen: a subject, and its verb in three forms."""

    subject: str
    base: str
    third_person: str
    past: str


class Literal(NamedTuple):
    """An event that happens (``holds``) or does not."""

    event: Event
    holds: bool

    def negated(self) -> "Literal":
        return Literal(self.event, not self.holds)

    def in_rule(self) -> str:
        subject, base, third_person, _ = self.event
        return f"{subject} {third_person if self.holds else f'does not {base}'}"

    def as_fact(self) -> str:
        subject, base, _, past = self.event
        return sentence(f"{subject} {past if self.holds else f'did not {base}'}")


class Rule(NamedTuple):
    """If the first literal is so, then the second is; ``text`` is how the problem says it."""

    premise: Literal
    conclusion: Literal
    text: str


WORLD = tuple(
    Event(*words.split(", "))
    for words in (
        "the bell, ring, rings, rang",
        "the alarm, sound, sounds, sounded",
        "the dog, bark, barks, barked",
        "the rain, fall, falls, fell",
        "the wind, blow, blows, blew",
        "the light, flash, flashes, flashed",
        "the door, open, opens, opened",
        "the train, stop, stops, stopped",
        "the ice, melt, melts, melted",
        "the baby, cry, cries, cried",
    )
)
VERBS = tuple(
    words.split(", ")
    for words in (
        "laugh, laughs, laughed",
        "leave, leaves, left",
        "sing, sings, sang",
        "run, runs, ran",
        "smile, smiles, smiled",
        "dance, dances, danced",
    )
)

CHAIN_LENGTHS = {1: (1,), 2: (1,), 3: (2,), 4: (3,), 5: (2, 3)}
IDLE_RULES = {1: 0, 2: 0, 3: 1, 4: 1, 5: 2}


def generate(rng: random.Random, difficulty: int) -> Problem:
    """A causal problem; the answer is Yes or No, each as likely."""
    length, idle = rng.choice(CHAIN_LENGTHS[difficulty]), IDLE_RULES[difficulty]
    events = draw_events(rng, length + 1 + idle + 1)
    chain_events, idle_events, spare = events[: length + 1], events[length + 1 : -1], events[-1]

    chain = [Literal(event, rng.random() < 0.5) for event in chain_events]
    if difficulty == 1:
        chain[0] = Literal(chain_events[0], True)
    backwards = difficulty == 5 and rng.random() < 0.5
    if backwards:  # the rules lead from the question's event to the fact, which denies it
        links = [(b.negated(), a.negated()) for a, b in pairwise(chain)]
    else:
        links = list(pairwise(chain))
    rules = [say_rule(rng, *link, difficulty) for link in links]
    facts = [chain[0]]
    for event in idle_events:
        rule, fact = idle_rule(rng, event, chain[-1], difficulty)
        rules.append(rule)
        facts.append(fact)
    if difficulty == 2:
        facts.append(Literal(spare, rng.random() < 0.5))
    if difficulty >= 3:
        rng.shuffle(rules)
    if difficulty >= 2:
        rng.shuffle(facts)

    subject, base, _, _ = chain[-1].event
    said = [rule.text for rule in rules] + [fact.as_fact() for fact in facts]
    steps = [literal.as_fact().rstrip(".") for literal in chain]
    return Problem(
        family="causal",
        difficulty=difficulty,
        question=f"{' '.join(said)} Did {subject} {base}?",
        answer="Yes" if chain[-1].holds else "No",
        answer_kind="yes/no",
        choices=("Yes", "No"),
        explanation=f"{', so '.join([steps[0], *map(uncapitalise, steps[1:])])}.",
    )


def draw_events(rng: random.Random, n: int) -> list[Event]:
    """``n`` different events, of which no two share a subject."""
    people = [Event(person, *rng.choice(VERBS)) for person in rng.sample(PEOPLE, n)]
    world = rng.sample(WORLD, n)
    return [rng.choice(pair) for pair in zip(people, world, strict=True)]


def say_rule(rng: random.Random, premise: Literal, conclusion: Literal, difficulty: int) -> Rule:
    """Word a rule. From difficulty 2, "not A, so not B" may be said as "B only if A"."""
    if difficulty >= 2 and not premise.holds and not conclusion.holds and rng.random() < 0.7:
        text = f"{conclusion.negated().in_rule()} only if {premise.negated().in_rule()}"
    else:
        text = rng.choice(
            (
                f"if {premise.in_rule()}, {conclusion.in_rule()}",
                f"{conclusion.in_rule()} if {premise.in_rule()}",
            )
        )
    return Rule(premise, conclusion, sentence(text))


def idle_rule(
    rng: random.Random, event: Event, answer: Literal, difficulty: int
) -> tuple[Rule, Literal]:
    """A rule about the answer's event whose premise the fact beside it denies.

    It concludes for the answer as often as against it, so that counting negations, or taking "if"
    for "if and only if", gains nothing.
    """
    premise = Literal(event, rng.random() < 0.5)
    conclusion = answer if rng.random() < 0.5 else answer.negated()
    return say_rule(rng, premise, conclusion, difficulty), premise.negated()


def sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def uncapitalise(text: str) -> str:
    return text.replace("The ", "the ", 1) if text.startswith("The ") else text
