"""The picture of a learner's own tries says in words what it shows in signs and colours."""

import re
from html import unescape

from hypothesis import given
from hypothesis import strategies as st

from arena import Problem
from learner.view.teach.samples_chart import COLUMNS, ROWS, samples_chart
from tests.learner.visitors.scripted import tried

MARKUP = Problem("own", 0, "<b>Who?</b>", "me", "text")
SUM = Problem("math_word", 2, "2 + 2?", "4", "number")


def spoken(html: str) -> str:
    return unescape(re.search('role="img" aria-label="([^"]*)"', html)[1])


@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(0, 20)), min_size=1, max_size=9),
)
def test_every_try_drawn_has_its_sign(sizes: list[tuple[int, int]]) -> None:
    groups = [tried(SUM, min(right, tries), tries) for tries, right in sizes]
    html = samples_chart(groups, 8, 4, 4)
    shown = groups[:ROWS]
    right = sum(sample.grade.correct for group in shown for sample in group.samples[:COLUMNS])
    cells = sum(len(group.samples[:COLUMNS]) for group in shown)
    assert html.count(">✓</i>") == html.count('"spa-cell-right"') == right
    assert html.count(">✓</i>") + html.count(">–</i>") == cells
    all_right = sum(sample.grade.correct for group in groups for sample in group.samples)
    total = sum(len(group.samples) for group in groups)
    assert f"{all_right} of {total} tries right" in spoken(html)
    assert spoken(html).count("math word:") == len(groups)


def test_what_else_must_be_watched_is_said() -> None:
    html = samples_chart([tried(SUM, 1), tried(MARKUP, 0)], 8, 4, 4)
    assert "after 8 episodes · <b>1 of 8</b> right" in html
    for words in ("no answer: 7", "2.0 tokens a try", "entropy 0.50 nats"):
        assert words in html and words in spoken(html)
    assert "1 of 2 problems had both right and wrong tries" in html
    assert "nothing ×3" in html and "your own" in html


def test_before_the_first_step_the_grid_is_empty() -> None:
    html = samples_chart([], 0, 8, 4)
    assert html.count("<i></i>") == 32
    assert spoken(html) == "No tries yet."
    assert "8 times" in html


def test_what_a_model_wrote_is_text() -> None:
    (group,) = [tried(SUM, 1)]
    sample = group.samples[0]
    sneaky = type(sample.completion)("<img src=x>\"'", 1, True, 0.1, (5,), 0.1)
    html = samples_chart([type(group)(SUM, (type(sample)(sneaky, sample.grade),))], 4, 1, 1)
    assert "<img" not in html and html.count('title="&lt;img src=x&gt;&quot;&#x27;"') == 1
