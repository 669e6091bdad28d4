"""The strip draws the soft prompt's own numbers, and says whose they are."""

import re

from hypothesis import given
from hypothesis import strategies as st

from learner.view.strip import CELLS, strip


@given(st.lists(st.lists(st.floats(-10, 10), min_size=30, max_size=30), min_size=1, max_size=10))
def test_the_strip_draws_real_numbers_within_its_scale(prompt):
    html = strip(prompt, 0.05, "pocket", 3_100_000, 80)
    strengths = [float(value) for value in re.findall(r"--v:([\d.]+)", html)]
    assert len(strengths) == len(prompt) * CELLS
    assert all(0 <= strength <= 1 for strength in strengths)
    for words in (
        f"{len(prompt)} × 30 numbers, 12 of each drawn",
        "3.1 M weights",
        "learnt from 80 episodes",
    ):
        assert f"<span>{words}</span>" in html


def test_the_strip_says_what_its_colours_mean_and_how_far_it_moved():
    assert "above 0" in (fresh := strip([[0.01] * 24], 0.05, "pocket", 1, 0))
    assert "below 0</span>" in fresh
    assert "moved 41" in strip([[0.01] * 24], 0.05, "pocket", 1, 8, 0.41)


def test_the_strip_changes_with_the_prompt():
    first = strip([[0.01] * 24], 0.05, "pocket", 1, 0)
    second = strip([[0.02] * 24], 0.05, "pocket", 1, 0)
    assert first != second
    assert "<span>not trained yet</span>" in first
