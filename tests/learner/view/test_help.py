"""Every word that is explained has a button that opens it, and an explanation to open."""

import re

from arena import FAMILIES
from learner.view import help
from learner.view.chart_parts import hovered


def test_every_word_of_the_glossary_opens_what_it_means():
    opened = re.findall(r'<section popover id="([^"]+)"', help.popovers())
    assert re.findall(r'popovertarget="([^"]+)"', help.glossary()) == opened
    assert {f"spa-about-{name}" for name in FAMILIES} < set(opened)
    assert all(text.endswith((".", "tenth.")) for _, text in help.meanings().values())


def test_a_question_mark_says_what_it_is_about():
    assert 'aria-label="What is this? Soft prompt"' in help.about("soft-prompt")
    assert "aria-label" not in help.about("causal", "causal")


def test_every_place_of_a_picture_has_the_words_of_the_nearest_point():
    html = hovered([(0.0, "first"), (0.5, "<second>"), (1.0, "third")])
    spans = re.findall(r'x="([\d.]+)" y="0" width="([\d.]+)"', html)
    assert [(float(x), float(width)) for x, width in spans] == [(0, 25), (25, 50), (75, 25)]
    assert re.findall('data-words="(.*?)"', html) == ["first", "&lt;second&gt;", "third"]
    assert hovered([]) == ""
    assert hovered([(i / 999, str(i)) for i in range(1000)]).count("<rect") == 200
