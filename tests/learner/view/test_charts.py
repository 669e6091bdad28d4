"""The pictures: everything drawn lies in its box, and its numbers can be read out."""

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner import wording
from learner.measuring import Tally
from learner.view import charts
from learner.view.charts import CurvePoint

FAMILIES = ("causal", "comparison", "logic_grid", "math_word", "sequence")
scores = st.integers(1, 500).flatmap(
    lambda n: st.integers(0, n).flatmap(
        lambda right: st.builds(Tally, st.just(right), st.just(n), st.integers(0, n - right))
    )
)
curves = st.lists(
    st.builds(CurvePoint, st.integers(0, 2000), scores), max_size=12, unique_by=lambda p: p.episodes
).map(lambda points: sorted(points, key=lambda point: point.episodes))
baselines = st.dictionaries(st.booleans(), scores, max_size=2)


def numbers(pattern: str, html: str) -> list[float]:
    return [float(x) for match in re.findall(pattern, html) for x in re.split("[ ,]", match)]


def spoken(html: str) -> str:
    return unescape(re.search('role="img" aria-label="([^"]*)"', html)[1])


@given(curves, baselines, st.booleans())
def test_the_accuracy_curve_stays_in_its_box(points, alone, chat_template):
    html = charts.accuracy_chart(points, alone, chat_template)
    drawn = numbers(r'points="([^"]+)"', html) + numbers(r"(?:left|bottom):([-\d.]+)%", html)
    assert all(-0.01 <= value <= 100.01 for value in drawn)
    assert html.count("spa-dot ") + html.count('"spa-dot"') == len(points)


rewards = st.lists(
    st.tuples(st.integers(1, 2000), st.floats(0, 1)), max_size=12, unique_by=lambda pair: pair[0]
).map(sorted)


@given(curves, baselines, rewards)
def test_the_rewards_of_training_lie_in_the_same_box_and_are_read_out(points, alone, earned):
    html = charts.accuracy_chart(points, alone, False, rewards=earned)
    drawn = numbers(r'points="([^"]+)"', html) + numbers(r"(?:left|bottom):([-\d.]+)%", html)
    assert all(-0.01 <= value <= 100.01 for value in drawn)
    assert ("spa-reward" in html) == ("its own tries" in html.lower()) == bool(earned)
    if earned:
        assert f"{len(earned)} steps" in spoken(html)
        assert f"{earned[-1][1]:.0%}".rstrip("%") in spoken(html)


@given(curves.filter(len).map(lambda points: points[:1]), baselines)
def test_a_single_point_is_seen_with_its_interval(points, alone):
    html = charts.accuracy_chart(points, alone, False)
    band = re.search(r'spa-band" points="([^"]+)', html)[1].split()
    xs, ys = zip(*(map(float, pair.split(",")) for pair in band), strict=True)
    interval = points[0].score.interval
    assert 1 < max(xs) - min(xs) < 3
    assert max(ys) - min(ys) == pytest.approx(100 * (interval.high - interval.low), abs=0.02)


@given(curves.filter(lambda points: len(points) > 1), baselines)
def test_the_band_of_the_curve_contains_the_curve(points, alone):
    html = charts.accuracy_chart(points, alone, False)
    band, line = (
        [tuple(map(float, pair.split(","))) for pair in re.search(pattern, html)[1].split()]
        for pattern in (r'spa-band" points="([^"]+)', r'spa-curve" points="([^"]+)')
    )
    upper, lower = band[: len(line)], band[len(line) :][::-1]
    for (x, y), (x_up, y_up), (x_low, y_low) in zip(line, upper, lower, strict=True):
        assert x == x_up == x_low
        assert y_up - 0.01 <= y <= y_low + 0.01  # SVG's y grows downwards


def test_the_accuracy_curve_can_be_read_out_with_n_and_intervals():
    html = charts.accuracy_chart(
        [CurvePoint(0, Tally(8, 200, 0)), CurvePoint(80, Tally(131, 200, 0))],
        {True: Tally(136, 200, 0), False: Tally(6, 200, 0)},
        chat_template=False,
    )
    words = spoken(html).replace("\u202f", " ")
    assert "Model alone with the chat template: 68 % of 200 (95 % interval 61–74 %)" in words
    assert "Model alone without the chat template: 3 % of 200" in words
    assert "66 % of 200 (95 % interval 59–72 %) after 80 episodes" in words
    assert "200 problems never trained on" in html
    assert "n = 200 can only see changes above ±11 points" in words
    assert 'title="n = 200 can only see' in html


def test_a_part_of_the_model_alone_is_not_drawn_without_its_n():
    alone = {True: Tally(136, 200, 0), False: Tally(0, 8, 0)}
    html = charts.accuracy_chart([], alone, False, whole=200).replace("\u202f", " ")
    assert "without template <b>0 %</b> of 8 so far" in html
    assert "with template <b>68 %</b></span>" in html


def test_an_empty_curve_says_what_is_missing():
    assert "measuring the model alone" in charts.accuracy_chart([], {}, False)
    assert "no memory" in charts.accuracy_chart([], {}, False, empty="no memory")


@pytest.mark.parametrize(
    ("episodes", "end"), [(1, 4), (80, 80), (81, 120), (160, 160), (2000, 2000), (2001, 2400)]
)
def test_the_axis_ends_at_a_round_number_of_episodes(episodes, end):
    html = charts.accuracy_chart([CurvePoint(episodes, Tally(1, 2, 0))], {}, False, until=1)
    assert f"{end} episodes" in html


@given(st.lists(st.tuples(st.integers(1, 9000), st.floats(0, 50)), max_size=40))
def test_the_loss_stays_in_its_box(losses):
    losses = sorted(losses)
    html = charts.loss_chart(losses)
    assert all(-0.01 <= x <= 100.01 for x in numbers(r'points="([^"]+)"', html))
    if losses:
        assert f"{losses[-1][1]:.2f} now" in spoken(html)


def test_a_single_step_is_seen():
    """A line with one point draws nothing."""
    assert charts.loss_chart([(1, 1.2)]).count('class="spa-dot"') == 1
    assert "spa-dot" not in charts.loss_chart([(1, 1.2), (2, 1.1)])


def test_a_loss_that_is_no_number_is_left_out():
    assert charts.loss_chart([(4, float("nan"))]) == charts.loss_chart([])


@given(
    st.fixed_dictionaries({name: scores for name in FAMILIES}),
    st.fixed_dictionaries({name: scores for name in FAMILIES}),
)
def test_before_and_after_by_family_lie_in_the_box_and_are_read_out(before, after):
    html = charts.family_chart(before, after, False)
    for left, width in re.findall(r"left:([\d.]+)%;width:([\d.]+)%", html):
        assert float(left) + float(width) <= 100.02
    words = spoken(html)
    for name in FAMILIES:
        readable = name.replace("_", " ")
        assert f"{readable}: {charts.score_words(before[name])} before" in words
        assert f"{charts.score_words(after[name])} after" in words


def test_the_total_of_the_families_is_their_sum():
    html = charts.family_chart({"a": Tally(1, 10, 0), "b": Tally(3, 30, 0)}, {}, True)
    total = html.split("spa-row-all")[1]
    assert f">{wording.percent(0.1)}<" in total
    assert "10 to 30 held-out problems each" in html


def test_how_often_no_answer_was_given_stands_apart_from_how_often_it_was_wrong():
    html = charts.family_chart({"a": Tally(1, 10, 8)}, {"a": Tally(9, 10, 0)}, True)
    assert f"no answer: {wording.percent(0.8)} → {wording.percent(0)}" in html


def test_before_and_after_differ_in_shape_and_place_not_in_colour_alone():
    html = charts.family_chart({"a": Tally(1, 10, 0)}, {"a": Tally(9, 10, 0)}, True)
    assert "model alone" in html and "with your soft prompt" in html
    assert "→" in html
