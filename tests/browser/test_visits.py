"""Reloads, returns, and two people at once."""

import re

import httpx
from playwright.sync_api import expect

from tests.browser.test_thumbs_panel import Thumbs


def test_a_reload_keeps_learner_problem_and_curve(visitor):
    visitor.presses("New problem")
    visitor.sees_four_answers()
    visitor.trains(8)
    question, curve = visitor.question.inner_text(), visitor.curve()
    visitor.reloads()
    expect(visitor.learnt).to_have_text("learnt from 8 episodes")
    expect(visitor.question).to_have_text(question)
    assert visitor.curve() == curve
    expect(visitor.button("Undo")).to_be_enabled()


def test_a_reload_in_the_middle_of_a_run_goes_on_showing_it(visitor):
    visitor.starts_training(2000)
    visitor.page.reload()
    expect(visitor.page.locator(".spa-progress")).to_contain_text("of 2,000 episodes")
    expect(visitor.button("Train 2000 episodes")).to_be_disabled()
    visitor.presses("Stop")
    expect(visitor.hint).to_contain_text("what was learnt is kept")
    expect(visitor.learnt).to_have_text(re.compile(r"learnt from [\d,]+ episodes"))


def test_tabs_are_in_the_address_back_goes_back_and_arrow_keys_move_along_them(visitor):
    selected = visitor.page.get_by_role("tab", selected=True).first
    visitor.opens_tab("Experiments")
    expect(visitor.page).to_have_url(re.compile(r"[?&]tab=experiments"))
    visitor.page.reload()
    expect(selected).to_have_text("Experiments")
    visitor.opens_tab("Save & share")
    visitor.page.go_back()
    expect(selected).to_have_text("Experiments")
    visitor.page.go_back()
    expect(selected).to_have_text("Teach")
    # Arrow keys move along them, from the first to the last.
    tab = visitor.page.get_by_role("tab", name="Teach", exact=True)
    tab.focus()
    visitor.page.keyboard.press("ArrowLeft")
    last = visitor.page.get_by_role("tab", name="Save & share", exact=True)
    expect(last).to_be_focused()
    expect(last).to_have_attribute("aria-selected", "true")
    visitor.page.keyboard.press("ArrowRight")
    expect(tab).to_be_focused()
    expect(tab).to_have_attribute("aria-selected", "true")


def test_two_people_never_see_each_others_learner_or_marks(visit):
    ann, bob = visit().arrive(), visit().arrive()
    anns, bobs = Thumbs(ann), Thumbs(bob)
    ann.trains(8)
    for tries in (anns, bobs):
        tries.draw()
    anns.mark(0, 1)
    anns.learn()
    bob.reloads()
    expect(bobs.cards.first).to_be_visible()
    expect(bobs.panel.locator("[aria-pressed=true]")).to_have_count(0)
    expect(bob.learnt).to_have_text("not trained yet")
    bob.trains(4)
    ann.reloads()
    expect(ann.learnt).to_have_text("learnt from 9 episodes")
    expect(bob.learnt).to_have_text("learnt from 4 episodes")


def test_what_one_tab_does_the_other_shows(visitor):
    other = type(visitor)(visitor.page.context.new_page(), visitor.url).arrive()
    visitor.trains(4)
    expect(other.learnt).to_have_text("learnt from 4 episodes")
    other.presses("Reset")
    expect(visitor.learnt).to_have_text("not trained yet")
    expect(visitor.hint).to_contain_text("Undo brings the old one back")
    visitor.presses("Undo")
    for tab in (visitor, other):
        expect(tab.learnt).to_have_text("learnt from 4 episodes")
        expect(tab.hint).to_contain_text("Undone")
    other.presses("Undo")
    for tab in (visitor, other):
        expect(tab.learnt).to_have_text("not trained yet")
        expect(tab.button("Undo")).to_be_disabled()


def test_nobody_who_has_just_come_goes_unheard_because_the_page_still_waits_for_an_answer(url):
    """A newcomer's session comes to the browser while what the open page asked is on its way."""
    asked = httpx.get(f"{url}config").raise_for_status().json()["dependencies"]
    on_arrival = [one for one in asked if "load" in {event for _, event in one["targets"]}]
    more = [one for one in on_arrival if len(one["targets"]) > 1]
    assert more and {one["trigger_mode"] for one in more} == {"multiple"}
