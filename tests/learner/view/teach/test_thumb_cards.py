"""The tries to mark: buttons that say what they are for, and what was made of the marks."""

import re
from html import unescape

import pytest

from arena import Problem
from learner.learning.step_report import Marked
from learner.view.teach.thumb_cards import thumbs_panel
from learner.visitors.rated_samples import RatedSample, SampleSet

PROBLEM = Problem("own", 0, "Why?", "", "text")


def shown(*samples: RatedSample, **state: object) -> SampleSet:
    return SampleSet(7, PROBLEM, False, samples, drawn=16, **state)


def buttons(html: str) -> list[dict[str, str]]:
    return [
        dict(re.findall(r'([\w-]+)="([^"]*)"', tag)) | {"disabled": str(" disabled" in tag)}
        for tag in re.findall("<button([^>]*)>", html)
    ]


def visible(html: str) -> str:
    return unescape(re.sub(r"<[^>]*>", " ", html)).replace("\u202f", " ")


def test_each_try_has_two_thumbs_that_name_what_they_mark() -> None:
    html = thumbs_panel(
        shown(RatedSample("14", (5,), 1), RatedSample("", (6,)), RatedSample("red", (7,), -1)), True
    )
    found = buttons(html)
    assert [(one["data-number"], one["data-index"], one["data-mark"]) for one in found] == [
        ("7", str(index), mark) for index in range(3) for mark in ("1", "-1")
    ]
    assert [one["aria-pressed"] for one in found] == [
        "true",
        "false",
        "false",
        "false",
        "false",
        "true",
    ]
    assert found[0]["aria-label"] == "Good: “14”" and found[3]["aria-label"] == "Bad: “nothing”"
    assert "(it wrote nothing)" in visible(html)
    assert {one["disabled"] for one in found} == {"False"}


def test_while_it_learns_nothing_can_be_marked() -> None:
    html = thumbs_panel(shown(RatedSample("14", (5,))), False)
    assert {one["disabled"] for one in buttons(html)} == {"True"}


def test_how_likely_it_was_and_is_stands_on_the_card() -> None:
    moved = RatedSample("14", (5,), 1, Marked(1, 0.12, 0.41))
    rare = RatedSample("15", (6,), -1, Marked(-1, 0.02, 0.001))
    text = visible(thumbs_panel(shown(moved, rare), True))
    assert "12 % → 41 %" in re.sub(r" +", " ", text)
    assert "2 % → under 1 %" in re.sub(r" +", " ", text)


@pytest.mark.parametrize(
    ("panel", "says"),
    [
        (SampleSet(), "No right answer needed"),
        (shown(drawing=True), "It is trying"),
        (shown(RatedSample("14", (5,))), "only one answer to this: 16 tries found no other"),
        (shown(RatedSample("14", (5,)), RatedSample("15", (5,))), "only 2 different answers"),
        (shown(*(RatedSample(str(i), (5,)) for i in range(4))), "leave unmarked takes no part"),
    ],
)
def test_each_state_says_what_to_do(panel: SampleSet, says: str) -> None:
    html = thumbs_panel(panel, True)
    assert says in visible(html)
    assert ('aria-busy="true"' in html) == panel.drawing


def test_what_a_model_wrote_is_text() -> None:
    html = thumbs_panel(shown(RatedSample('<b onclick="x">"hi"</b>', (5,))), True)
    assert "<b onclick" not in html
    assert buttons(html)[0]["aria-label"].startswith("Good: “&lt;b onclick=&quot;x&quot;")
