"""Experiments side by side: everything drawn lies in its box, and its numbers can be read out."""

import re
from dataclasses import replace
from html import unescape

from hypothesis import given
from hypothesis import strategies as st

from learner.experiments.estimates import Arm
from learner.experiments.original import PUBLISHED
from learner.experiments.settings import TUNED
from learner.view.experiments.chart import (
    SLOTS,
    baselines_of,
    experiments_chart,
    series_of,
    slots,
)
from tests.learner.experiments.runs import made_up

arms = st.builds(
    lambda name, seeds, before, after: Arm(
        name, tuple(made_up(seed, before, after, name) for seed in range(seeds))
    ),
    st.text(max_size=12),
    st.integers(1, 5),
    st.floats(0, 1),
    st.floats(0, 1),
)


def drawn(html):
    found = re.findall(r'points="([^"]+)"', html) + re.findall(r"(?:left|bottom):([-\d.]+)%", html)
    return [float(x) for numbers in found for x in re.split("[ ,]", numbers)]


def spoken(html):
    return unescape(re.search('role="img" aria-label="([^"]*)"', html)[1]).replace("\u202f", " ")


@given(st.lists(arms, max_size=4))
def test_all_lines_bands_and_marks_stay_in_the_box(several):
    lines = [series_of(arm, str(i), i) for i, arm in enumerate(several)]
    html = experiments_chart(lines, baselines_of(several))
    assert all(-0.01 <= number <= 100.01 for number in drawn(html))
    assert html.count("<polygon") == html.count("<polyline") == len(several)
    assert html.count("<li>") == len(several)


@given(st.lists(st.integers(1, 40), unique=True, max_size=SLOTS).map(sorted))
def test_no_two_runs_have_one_colour_and_a_run_keeps_its_own_where_it_can(numbers):
    colours = slots(numbers)
    assert len(set(colours)) == len(numbers)
    assert set(colours) <= set(range(SLOTS))
    if len({(number - 1) % SLOTS for number in numbers}) == len(numbers):
        assert colours == [(number - 1) % SLOTS for number in numbers]


def test_a_line_is_the_mean_of_its_seeds_and_is_read_out_with_n_and_intervals():
    arm = Arm("two seeds", (made_up(0), made_up(1)))
    series = series_of(arm, "1", 0)
    assert [point.episodes for point in series.points] == [0, 20, 40, 60, 80]
    last = series.points[-1]
    assert last.value == sum(run.final.accuracy for run in arm.runs) / 2
    assert last.interval.low < last.value < last.interval.high
    words = spoken(experiments_chart([series], baselines_of([arm])))
    assert f"two seeds: {100 * series.points[0].value:.0f} % (" in words
    assert "after 80 episodes; of 40 problems × 2 seeds." in words
    assert "Model alone without the chat template: 0 %" in words


def test_what_was_published_is_dashed_and_says_that_it_cannot_be_compared():
    published = series_of(Arm(PUBLISHED[0].name, PUBLISHED[:1]), "A", 0, published=True)
    html = experiments_chart([published], {})
    assert "spa-published-line" in html
    assert "<polygon" not in html
    assert "as published" in html
    assert "20 other problems, graded by substring" in html


def test_the_model_alone_is_shown_as_it_was_measured_on_the_most_problems():
    one, chat = made_up(), made_up(chat_template=True)
    smaller = replace(one, alone=replace(one.alone, n=20, outcomes="1" * 20, correct=20))
    found = baselines_of([Arm("small", (smaller,)), Arm("large", (one,)), Arm("chat", (chat,))])
    assert found.keys() == {False, True}
    assert found[False].problems == 40
    assert baselines_of([Arm("not measured", (replace(one, alone=None),))]) == {}


def test_names_are_text():
    arm = Arm("<b>bold</b>", (made_up(),))
    html = experiments_chart([series_of(arm, "<i>", 0)], {})
    assert "<b>bold" not in html
    assert "<i>" not in html.split("spa-runs-key")[1]


def test_an_empty_chart_says_what_to_do():
    assert "choose what to show" in experiments_chart([], {})
    assert TUNED.episodes == 80  # where the axis ends at least
    assert "80 episodes" in experiments_chart([], {})
