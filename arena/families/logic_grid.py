"""Who has which? Match people with things, one each, from what is said about them.

The clues leave exactly one way to match everybody, and none of them can be left out. What is asked
is never stated outright.

1. three people, two matches stated: who is left?
2. three people, one match stated, the rest by what they do not have
3. three people, only what they do not have
4. four people, matches and what they do not have
5. four people, only what they do not have and "the cat or the dog"
"""

import random
from collections.abc import Sequence
from itertools import combinations, permutations
from typing import NamedTuple

from arena.problem import Problem
from arena.words import PEOPLE, listing


class Theme(NamedTuple):
    """What is matched: how to say it, and the things there are."""

    noun: str
    base: str
    third_person: str
    article: str
    things: tuple[str, ...]


THEMES = (
    Theme("colour", "like", "likes", "", tuple("red blue green yellow purple orange".split())),
    Theme("pet", "have", "has", "the ", tuple("cat dog fish horse rabbit parrot".split())),
    Theme("drink", "want", "wants", "", tuple("tea coffee milk water juice cocoa".split())),
    Theme("fruit", "eat", "eats", "the ", tuple("apple pear plum peach lemon cherry".split())),
)

Matching = dict[str, str]


class Clue(NamedTuple):
    """``person`` has one of ``things``; ``form`` is how it is said: is, not or either."""

    form: str
    person: str
    things: frozenset[str]
    text: str


PEOPLE_COUNT = {1: 3, 2: 3, 3: 3, 4: 4, 5: 4}
FORMS = {1: ("is",), 2: ("is", "not"), 3: ("not",), 4: ("is", "not"), 5: ("not", "either")}
STATED = {1: 2, 2: 1, 3: 0, 4: 1, 5: 0}  # how many matches may be stated outright


def generate(rng: random.Random, difficulty: int) -> Problem:
    """A logic grid problem; the answer is one of the people or one of the things."""
    theme = rng.choice(THEMES)
    people = tuple(rng.sample(PEOPLE, PEOPLE_COUNT[difficulty]))
    things = tuple(rng.sample(theme.things, len(people)))
    solution = dict(zip(people, rng.sample(things, len(things)), strict=True))

    clues = choose_clues(rng, theme, solution, things, difficulty)
    stated = {clue.person for clue in clues if clue.form == "is"}
    asked = rng.choice([person for person in people if person not in stated])
    thing = solution[asked]
    opening = f"{listing(people)} each {theme.base} a different {theme.noun}: {', '.join(things)}."
    by_thing = rng.random() < 0.5
    question = (
        f"Who {theme.third_person} {theme.article}{thing}?"
        if by_thing
        else f"Which {theme.noun} does {asked} {theme.base}?"
    )
    matches = [f"{p} {theme.third_person} {theme.article}{t}" for p, t in solution.items()]
    kind = "name" if by_thing else "colour" if theme.noun == "colour" else "thing"
    return Problem(
        family="logic_grid",
        difficulty=difficulty,
        question=" ".join([opening, *(clue.text for clue in clues), question]),
        answer=asked if by_thing else thing,
        answer_kind=kind,
        choices=tuple(sorted(people if by_thing else things)),
        explanation=f"The only way to match them all: {', '.join(matches)}.",
    )


def choose_clues(
    rng: random.Random, theme: Theme, solution: Matching, things: Sequence[str], difficulty: int
) -> list[Clue]:
    """Clues that leave only ``solution``, in a random order, with no clue to spare."""
    pool = [
        clue
        for person, thing in solution.items()
        for clue in true_clues(theme, person, thing, things)
        if clue.form in FORMS[difficulty]
    ]
    while True:
        rng.shuffle(pool)
        stated = [clue for clue in pool if clue.form == "is"][: STATED[difficulty]]
        clues = stated + [clue for clue in pool if clue.form != "is"]
        for clue in clues[::-1]:  # stated matches are dropped last
            rest = [other for other in clues if other is not clue]
            if matchings(tuple(solution), things, rest) == 1:
                clues = rest
        if sum(clue.form == "is" for clue in clues) == STATED[difficulty]:
            rng.shuffle(clues)
            return clues


def true_clues(theme: Theme, person: str, thing: str, things: Sequence[str]) -> list[Clue]:
    """Everything true that can be said of who has what, in each of the three forms."""
    others = [other for other in things if other != thing]
    say = f"{person} {theme.third_person} {theme.article}"
    clues = [Clue("is", person, frozenset({thing}), f"{say}{thing}.")]
    for other in others:
        deny = f"{person} does not {theme.base} {theme.article}{other}."
        clues.append(Clue("not", person, frozenset(things) - {other}, deny))
    for pair in combinations(things, 2):
        if thing in pair:
            either = f"{say}{pair[0]} or {theme.article}{pair[1]}."
            clues.append(Clue("either", person, frozenset(pair), either))
    return clues


def matchings(people: Sequence[str], things: Sequence[str], clues: Sequence[Clue]) -> int:
    """How many ways of giving each person one thing satisfy all ``clues``."""
    allowed = {person: set(things) for person in people}
    for clue in clues:
        allowed[clue.person] &= clue.things
    return sum(
        all(thing in allowed[person] for person, thing in zip(people, way, strict=True))
        for way in permutations(things)
    )
