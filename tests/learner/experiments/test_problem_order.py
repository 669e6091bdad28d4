"""Which problems come next: by the stream, by the order, and the same from wherever one goes on."""

from collections import Counter
from dataclasses import replace
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena import DIFFICULTIES, FAMILIES, stream
from arena.sampling import split_of
from learner.experiments.problem_order import (
    FALL,
    RISE,
    SHARED,
    WINDOW,
    Episode,
    next_difficulty,
    next_problems,
)
from learner.experiments.settings import ORDERS, Experiment
from learner.learning.learner import LearnerConfig

EXPERIMENT = Experiment(config=LearnerConfig(episodes_per_step=3, seed=4), episodes=30)


def learnt(problem, right=True):
    return Episode(
        problem.family, problem.difficulty, problem.answer, 1, right, accepted=True, seconds=0.1
    )


def whole(experiment, rights=lambda problem: True):
    """All problems of a run in order, step by step, and what each step had."""
    past, steps = [], []
    while len(past) < experiment.episodes:
        plan = next_problems(experiment, past, experiment.episodes - len(past))
        steps.append(plan)
        for problems in plan.values():
            past += [learnt(problem, rights(problem)) for problem in problems]
    return past, steps


def test_mixed_problems_are_the_seeds_stream():
    _, steps = whole(EXPERIMENT)
    problems = [problem for plan in steps for problem in plan[SHARED]]
    assert problems == list(islice(stream(4, "train"), 30))


@given(st.integers(1, 7))
def test_a_step_takes_no_more_than_there_is_room_for(room):
    plan = next_problems(EXPERIMENT, (), room)
    assert len(plan[SHARED]) == min(room, 3)


@pytest.mark.parametrize("order", ORDERS)
def test_nothing_comes_from_where_it_is_measured(order):
    experiment = replace(EXPERIMENT, order=order)
    _, steps = whole(experiment, rights=lambda problem: problem.difficulty < 3)
    problems = [problem for plan in steps for problem in plan[SHARED]]
    assert {split_of(problem) for problem in problems} == {"train"}
    assert len({problem.key for problem in problems}) > 25


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 12), st.integers(1, 40))
def test_the_same_problems_come_again_and_no_others(number, episodes):
    experiment = replace(EXPERIMENT, training_problems=number, episodes=episodes)
    _, steps = whole(experiment)
    problems = [problem for plan in steps for problem in plan[SHARED]]
    same = list(islice(stream(4, "train", experiment.families), number))
    assert problems[:number] == same[:episodes]
    for start in range(0, episodes - number + 1, number):
        assert Counter(problems[start : start + number]) == Counter(same)


def test_they_do_not_come_again_in_the_same_order():
    _, steps = whole(replace(EXPERIMENT, training_problems=10))
    problems = [problem for plan in steps for problem in plan[SHARED]]
    first, second, third = problems[:10], problems[10:20], problems[20:]
    assert first != second != third != first


def test_a_sequence_takes_one_family_after_another():
    experiment = replace(EXPERIMENT, order="sequence", families=("sequence", "causal"))
    past = []
    for end in experiment.phase_ends:
        while len(past) < end:
            plan = next_problems(experiment, past, end - len(past))
            past += [learnt(problem) for problem in plan[SHARED]]
    assert [episode.family for episode in past] == ["sequence"] * 15 + ["causal"] * 15


def test_a_curriculum_asks_what_accuracy_has_earned():
    experiment = replace(EXPERIMENT, order="curriculum")
    past, _ = whole(experiment, rights=lambda problem: problem.difficulty <= 2)
    difficulties = [episode.difficulty for episode in past]
    assert difficulties[:6] == [1] * 6
    assert difficulties[6:12] == [2] * 6
    assert difficulties[12:18] == [3] * 6  # all wrong there: back to 2
    assert difficulties[18:24] == [2] * 6


@settings(deadline=None, max_examples=20)
@given(st.lists(st.sampled_from([*FAMILIES]), min_size=1, unique=True), st.integers(5, 40))
def test_families_with_prompts_of_their_own_meet_as_many_problems_each(families, episodes):
    experiment = replace(EXPERIMENT, families=tuple(families), episodes=episodes, per_family=True)
    past, steps = whole(experiment)
    met = Counter(episode.family for episode in past)
    assert len(past) == episodes
    assert max(met.values()) - min(met[family] for family in families) <= 1
    for plan in steps:
        for family, problems in plan.items():
            assert {problem.family for problem in problems} == {family}
            assert len(problems) <= 3
    for family in families:
        mine = [p for plan in steps for p in plan.get(family, ())]
        assert mine == list(islice(stream(4, "train", [family]), len(mine)))


# --- a curriculum: up when nearly all is right, down when hardly anything is ---

rights = st.lists(st.booleans(), max_size=80)


def test_it_starts_easy():
    assert next_difficulty([], DIFFICULTIES) == DIFFICULTIES[0]
    assert next_difficulty([True] * (WINDOW - 1), DIFFICULTIES) == DIFFICULTIES[0]


def test_a_learner_that_is_always_right_reaches_the_hardest_and_stays():
    levels = [next_difficulty([True] * n, DIFFICULTIES) for n in range(0, 10 * WINDOW, WINDOW)]
    assert levels == [1, 2, 3, 4, 5, 5, 5, 5, 5, 5]


def test_a_learner_that_is_always_wrong_stays_where_it_is_easy():
    assert next_difficulty([False] * 60, DIFFICULTIES) == 1


def test_it_falls_back_when_hardly_anything_is_right():
    climbed = [True] * 2 * WINDOW
    assert next_difficulty(climbed, DIFFICULTIES) == 3
    some = [True] * FALL + [False] * (WINDOW - FALL)
    assert next_difficulty(climbed + some, DIFFICULTIES) == 2
    middling = [True] * (FALL + 1) + [False] * (WINDOW - FALL - 1)
    assert next_difficulty(climbed + middling, DIFFICULTIES) == 3
    assert FALL + 1 < RISE  # else there would be no middling


@given(rights, st.lists(st.sampled_from(DIFFICULTIES), min_size=1, unique=True).map(sorted))
def test_it_moves_a_step_at_a_time_among_the_difficulties_there_are(answers, difficulties):
    seen = [next_difficulty(answers[:n], difficulties) for n in range(len(answers) + 1)]
    places = [difficulties.index(value) for value in seen]
    assert all(abs(b - a) <= 1 for a, b in pairwise(places))
    changes = [n for n, (a, b) in enumerate(pairwise(places), 1) if a != b]
    assert all(n % WINDOW == 0 for n in changes)
