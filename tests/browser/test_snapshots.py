"""Undo, redo and snapshots, in one tab and in two."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import HELD_OUT


def test_undo_redo_and_snapshots_go_back_and_forth_in_both_tabs(visitor):
    page = visitor.page
    visitor.trains(8)
    visitor.unfolds("Snapshots")
    page.get_by_label("Name (optional)").fill("eight <b>")
    visitor.presses("Keep")
    kept = page.locator(".spa-snapshots li", has_text="eight <b>")
    expect(kept).to_contain_text(re.compile(rf"8 episodes · \d+\s% of {HELD_OUT}"))
    expect(page.get_by_label("Name (optional)")).to_have_value("")
    visitor.presses("Undo")
    expect(visitor.learnt).to_have_text("not trained yet")
    visitor.presses("Redo")
    expect(visitor.learnt).to_have_text("learnt from 8 episodes")
    expect(visitor.button("Redo")).to_be_disabled()
    visitor.presses("Reset")
    expect(visitor.learnt).to_have_text("not trained yet")
    other = type(visitor)(page.context.new_page(), visitor.url).arrive()
    other.unfolds("Snapshots")
    other.page.get_by_role("button", name="Go back: eight <b>").click()
    for tab in (visitor, other):
        expect(tab.learnt).to_have_text("learnt from 8 episodes")
        expect(tab.hint).to_contain_text("Back at “eight <b>”")
    other.page.get_by_role("button", name="Remove: eight <b>").click()
    expect(kept).to_have_count(0)
    visitor.presses("Train on this problem")
    expect(visitor.hint).to_contain_text("Not measured for 1 episode")
    visitor.presses("Measure")
    expect(visitor.hint).to_contain_text("held-out problems")
    expect(visitor.button("Measure")).to_be_disabled()


def test_another_number_of_vectors_starts_afresh_and_can_be_undone(visitor):
    visitor.trains(4)
    visitor.unfolds("More")
    vectors = visitor.page.get_by_label("Vectors", exact=True)
    vectors.fill("3")
    visitor.presses("Start with so many")
    expect(visitor.page.locator("#spa-strip .spa-token")).to_have_count(3)
    expect(visitor.learnt).to_have_text("not trained yet")
    visitor.presses("Undo")
    expect(visitor.learnt).to_have_text("learnt from 4 episodes")
    expect(vectors).to_have_value("8")
    visitor.leaves_in("Learning rate", "7", then=visitor.complaint)
    expect(visitor.complaint).to_contain_text("above 0 and at most 1")
