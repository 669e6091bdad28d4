"""The cards of one's own questions: both accuracies, whatever was typed escaped, honest notes."""

from dataclasses import replace

from learner.measuring import score_of
from learner.model.source import EMBEDDED, ModelSource
from learner.view.teach.own_questions import (
    EXAMPLE_LIST,
    own_list_card,
    unknown_note,
    unknown_words,
)
from learner.visitors.own_list import OwnList, read_list
from tests.learner.visitors.scripted import FACTS

OWN = OwnList(read_list("Is <i> wet? | yes\nIs fire wet? | no"))


def test_a_list_that_was_not_asked_yet_shows_its_questions_alone():
    assert own_list_card(OwnList(), (None, None)) == ""
    card = own_list_card(OWN, (None, None))
    assert card.count("<li") == card.count("not asked yet") == 2
    assert "Is &lt;i&gt; wet?" in card and "<i> wet" not in card
    assert "<table>" not in card


def test_its_accuracy_stands_beside_the_held_out_one():
    own = replace(OWN, before="--", now="1-", episodes=(0, 20), said=("yes <b>", ""))
    held_out = score_of("0" * 20, False), score_of("1" * 5 + "0" * 15, False, 20)
    card = own_list_card(own, held_out)
    assert "after 20 episodes" in card and "by heart" in card
    assert "<b>0</b> of 2" in card and "<b>1</b> of 2" in card
    assert "<b>0</b> of 20" in card and "<b>5</b> of 20" in card
    assert "it says: yes &lt;b&gt;" in card and "it says: (nothing)" in card
    assert '</i> no answer → <i aria-hidden="true">✓</i> right' in card


def test_the_embedded_model_is_said_not_to_know_what_it_never_read():
    france = "What is the capital of <France>?"
    embedded = replace(FACTS, source=ModelSource(EMBEDDED, "pocket", "1"))
    assert unknown_words(france) == ["capital", "France"]
    assert "“capital”, “France”:" in unknown_note(france, embedded)
    assert unknown_note(france, FACTS) == ""  # another model may know
    assert unknown_note(EXAMPLE_LIST, embedded) == unknown_note("", embedded) == ""
    assert len(read_list(EXAMPLE_LIST)) == 6
