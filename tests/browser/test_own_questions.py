"""Questions of one's own: clicked, typed, listed, taught as often as wanted, and kept."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import HELD_OUT
from tests.browser.test_axe import complaints


def test_a_question_is_counted_clicked_and_learnt_from_many_times(visitor):
    page = visitor.page
    visitor.opens_tab("Your own question")
    page.get_by_label("Your question").fill("Why?")
    expect(page.locator(".spa-counted")).to_have_text("4 of 600 characters")
    visitor.presses("What is the capital of France?")
    visitor.sees_four_answers()
    expect(visitor.question).to_have_text("What is the capital of France?")
    expect(page.get_by_label("Its answer")).to_have_value("Paris")
    expect(page.locator("#spa-own-note")).to_contain_text("never “capital”, “France”")
    page.locator("#spa-own-times input").fill("2")
    visitor.presses("Train 2 times on it")
    expect(visitor.learnt).to_have_text("learnt from 2 episodes")


def test_a_list_is_learnt_from_beside_the_held_out_set_and_is_there_after_a_reload(visitor):
    page = visitor.page
    visitor.opens_tab("Your own list")
    lines = page.get_by_label("One a line")
    lines.fill("Who is it?")
    visitor.presses("Keep the list")
    expect(visitor.complaint).to_contain_text("Line 1: there is no answer")
    visitor.presses("An example list")
    expect(lines).to_have_value(re.compile("Who is shorter"))
    page.locator("#spa-own-list-times input").fill("3")
    visitor.presses("Train 3 times on your list")
    rows = page.locator(".spa-own tbody tr")
    expect(page.locator(".spa-own thead")).to_contain_text("after 18 episodes")
    expect(rows.nth(0)).to_contain_text(re.compile(r"Your 6 questions.* of 6: .* of 6: "))
    expect(rows.nth(1)).to_contain_text(re.compile(f"Held-out problems(.* of {HELD_OUT}: ){{2}}"))
    expect(visitor.button("Stop")).to_be_disabled()
    # A colour that is on its way is none.
    page.wait_for_function("!document.getAnimations().some((one) => one instanceof CSSTransition)")
    assert complaints(page) == []
    visitor.reloads()
    visitor.opens_tab("Your own list")
    expect(lines).to_have_value(re.compile("Who is shorter"))
    expect(page.locator(".spa-own-questions li")).to_have_count(6)
