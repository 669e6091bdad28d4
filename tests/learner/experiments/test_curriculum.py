"""Difficulty follows accuracy: up when nearly all is right, down when hardly anything is."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from arena import DIFFICULTIES
from learner.experiments.curriculum import FALL, RISE, WINDOW, level

rights = st.lists(st.booleans(), max_size=80)


def test_it_starts_easy():
    assert level([], DIFFICULTIES) == DIFFICULTIES[0]
    assert level([True] * (WINDOW - 1), DIFFICULTIES) == DIFFICULTIES[0]


def test_a_learner_that_is_always_right_reaches_the_hardest_and_stays():
    levels = [level([True] * n, DIFFICULTIES) for n in range(0, 10 * WINDOW, WINDOW)]
    assert levels == [1, 2, 3, 4, 5, 5, 5, 5, 5, 5]


def test_a_learner_that_is_always_wrong_stays_where_it_is_easy():
    assert level([False] * 60, DIFFICULTIES) == 1


def test_it_falls_back_when_hardly_anything_is_right():
    climbed = [True] * 2 * WINDOW
    assert level(climbed, DIFFICULTIES) == 3
    some = [True] * FALL + [False] * (WINDOW - FALL)
    assert level(climbed + some, DIFFICULTIES) == 2
    middling = [True] * (FALL + 1) + [False] * (WINDOW - FALL - 1)
    assert level(climbed + middling, DIFFICULTIES) == 3
    assert FALL + 1 < RISE  # else there would be no middling


@given(rights, st.lists(st.sampled_from(DIFFICULTIES), min_size=1, unique=True).map(sorted))
def test_it_moves_a_step_at_a_time_among_the_difficulties_there_are(answers, difficulties):
    seen = [level(answers[:n], difficulties) for n in range(len(answers) + 1)]
    places = [difficulties.index(value) for value in seen]
    assert all(abs(b - a) <= 1 for a, b in pairwise(places))
    changes = [n for n, (a, b) in enumerate(pairwise(places), 1) if a != b]
    assert all(n % WINDOW == 0 for n in changes)
