"""Streams that repeat exactly, splits that never meet, and a mix that is balanced."""

import hashlib
import os
import random
import re
import subprocess
import sys
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arena import sampling
from arena.families import FAMILIES
from arena.problem import Problem
from arena.sampling import DIFFICULTIES, SPLITS, Draw, held_out, split_of, stream

seeds = st.integers(min_value=-(2**63), max_value=2**63)
names = st.integers().map(str)
# Laws hold however slow or busy the machine is.
law = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
few = settings(law, max_examples=10)

# The first 200 questions of stream(0). It changes when a family does; then put here what
#   python -c "from tests.arena.test_sampling import digest; print(digest())"
# prints, and rebuild whatever was trained or measured on the old questions.
DIGEST = "7173f4af5d365c3a4add62d39a28f011c3d8dc6599cf479e0a4b9e781e9cd816"


def digest() -> str:
    questions = [problem.question for problem in islice(stream(0), 200)]
    return hashlib.sha256("\n".join(questions).encode()).hexdigest()


def take(n: int, *args: object, **kwargs: object) -> list[Problem]:
    return list(islice(stream(*args, **kwargs), n))


# Reproducible


def test_a_seed_gives_the_same_questions_on_every_machine_and_version():
    assert digest() == DIGEST


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_a_seed_gives_the_same_questions_in_every_process(hash_seed):
    command = [sys.executable, "-c", "import test_sampling; print(test_sampling.digest())"]
    here = Path(__file__).parent
    path = os.pathsep.join([str(here.parents[1]), str(here)])
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": path}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == DIGEST


def test_a_stream_neither_uses_nor_moves_the_global_generator():
    random.seed(1)
    state = random.getstate()
    first = take(25, 0)
    assert random.getstate() == state
    random.seed(2)
    assert take(25, 0) == first


@few
@given(seeds, st.integers(0, 60), st.integers(1, 8))
def test_a_stream_continues_from_any_position(seed, start, n):
    assert take(n, seed, start=start) == take(start + n, seed)[start:]


@few
@given(seeds, seeds)
def test_different_seeds_give_different_streams(one, other):
    assert (take(5, one) == take(5, other)) == (one == other)


# Splits


def test_the_splits_share_out_every_hash():
    assert sorted(percent for share in SPLITS.values() for percent in share) == list(range(100))
    assert list(SPLITS) == ["train", "validation", "held-out"]


@few
@given(seeds, seeds, st.sampled_from([("train", "held-out"), ("validation", "held-out")]))
def test_splits_never_meet_whatever_the_seeds(one_seed, other_seed, splits):
    keys = []
    for seed, split in zip((one_seed, other_seed), splits, strict=True):
        problems = take(10, seed, split)
        assert {split_of(problem) for problem in problems} == {split}
        keys.append({problem.key for problem in problems})
    assert keys[0].isdisjoint(keys[1])


@law
@given(st.text(st.characters(codec="ascii")))
def test_a_split_depends_on_the_words_of_the_question_alone(question):
    asked = Problem("own", 0, question, "1", "number")
    again = Problem("causal", 3, f" {question.upper()}\n ", "2", "text", ("2",), "So 2.")
    assert split_of(asked) == split_of(again)


def test_a_small_family_is_split_too_and_every_question_has_one_side():
    """Of the easiest sequences there are only hundreds, so both sides soon hold them all."""
    sides = {
        split: {p.key for p in take(600, 7, split, ["sequence"], 1)}
        for split in ("train", "held-out")
    }
    assert sides["train"].isdisjoint(sides["held-out"])
    assert all(len(side) > 100 for side in sides.values())


# The mix


def cells(problems: list[Problem]) -> Counter[tuple[str, int]]:
    return Counter((problem.family, problem.difficulty) for problem in problems)


@pytest.mark.parametrize("split", SPLITS)
def test_every_block_of_25_holds_each_family_at_each_difficulty_once(split):
    problems = take(75, 3, split)
    blocks = [problems[i : i + 25] for i in (0, 25, 50)]
    for block in blocks:
        assert cells(block) == {(f, d): 1 for f in FAMILIES for d in DIFFICULTIES}
    orders = {tuple((p.family, p.difficulty) for p in block) for block in blocks}
    assert len(orders) == len(blocks)


def test_families_and_difficulties_can_be_chosen():
    two = take(4, 0, families=["causal", "sequence"], difficulty=(2, 4))
    assert cells(two) == {(f, d): 1 for f in ("causal", "sequence") for d in (2, 4)}
    assert cells(take(5, 0, families=["causal"], difficulty=5)) == {("causal", 5): 5}


# Held out


def test_held_out_is_one_fixed_set_of_different_problems():
    problems = held_out(250)
    assert len({problem.key for problem in problems}) == 250
    assert {split_of(problem) for problem in problems} == {"held-out"}
    assert problems[:100] == held_out(100)
    assert held_out(100) != held_out(100, seed=1)
    assert held_out(0) == []


def test_held_out_passes_over_repeats_and_says_when_there_are_too_few(monkeypatch):
    def tiny(rng: random.Random, difficulty: int) -> Problem:
        return Problem("tiny", difficulty, f"What is {rng.randint(0, 39)} + 0?", "0", "number")

    monkeypatch.setattr(sampling, "FAMILIES", {"tiny": tiny})
    available = sum(
        split_of(Problem("tiny", 1, f"What is {n} + 0?", "0", "number")) == "held-out"
        for n in range(40)
    )
    assert 0 < available < 40
    assert len(held_out(available, difficulty=1)) == available
    with pytest.raises(ValueError, match=f"no {available + 1} different problems"):
        held_out(available + 1, difficulty=1)


# What a person can get wrong


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"split": "test"}, "train, validation, held-out"),
        ({"families": ["causal", "riddles"]}, "'riddles'"),
        ({"families": ["riddles"]}, "comparison"),
        ({"families": []}, "No family"),
        ({"difficulty": 0}, "from 1"),
        ({"difficulty": 6}, "to 5"),
        ({"difficulty": (1, 9)}, "whole number"),
    ],
)
def test_a_wrong_argument_is_answered_at_once_in_one_clear_sentence(arguments, told):
    with pytest.raises(ValueError) as caught:
        stream(0, **arguments)  # before the first problem is asked for
    assert re.fullmatch(r"[A-Z][^.\n]*\.", str(caught.value))
    assert told in str(caught.value)


# Draw


@law
@given(names, st.lists(st.integers(), min_size=1))
def test_choice_is_a_member(name, members):
    assert Draw(name).choice(members) in members


@law
@given(names, st.lists(st.integers()))
def test_shuffle_keeps_the_members(name, members):
    shuffled = list(members)
    Draw(name).shuffle(shuffled)
    assert Counter(shuffled) == Counter(members)


@law
@given(names, st.data())
def test_sample_takes_different_members_and_leaves_the_population(name, data):
    population = tuple(range(data.draw(st.integers(0, 30))))
    k = data.draw(st.integers(0, len(population)))
    taken = Draw(name).sample(population, k)
    assert len(taken) == len(set(taken)) == k
    assert set(taken) <= set(population)


@law
@given(names, st.integers(-(10**9), 10**9), st.integers(0, 10**9))
def test_randint_lies_within_both_ends(name, low, width):
    assert low <= Draw(name).randint(low, low + width) <= low + width


@law
@given(names, st.integers(-100, 100), st.integers(1, 100), st.integers(1, 9))
def test_randrange_draws_from_the_range(name, start, width, step):
    assert Draw(name).randrange(start, start + width, step) in range(start, start + width, step)
    assert Draw(name).randrange(width) in range(width)


def test_draws_are_even():
    rng = Draw("even")
    faces = Counter(rng.randint(1, 6) for _ in range(6000))
    orders: Counter[tuple[int, ...]] = Counter()
    pairs: Counter[tuple[int, ...]] = Counter()
    for _ in range(6000):
        items = [1, 2, 3]
        rng.shuffle(items)
        orders[tuple(items)] += 1
        pairs[tuple(rng.sample((1, 2, 3), 2))] += 1
    for counted in (faces, orders, pairs):
        assert len(counted) == 6
        assert all(abs(n - 1000) < 120 for n in counted.values())  # four standard deviations


@law
@given(names, names)
def test_a_name_settles_all_draws(one, other):
    assert (Draw(one).random() == Draw(other).random()) == (one == other)
