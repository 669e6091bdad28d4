"""A person looks inside the soft prompt that they have just trained."""

import re

from playwright.sync_api import Route, expect

ANSWER = ".spa-watched-answer"


def test_vectors_are_switched_off_turned_down_and_rewound_and_the_pictures_come(visitor):
    page = visitor.page
    visitor.opens_tab("Look inside")
    expect(visitor.button("Look inside")).to_be_disabled()
    expect(page.locator("#spa-inside-status")).to_contain_text("train the soft prompt first")
    visitor.opens_tab("Teach")
    visitor.asks("Sam is taller than Noah. Noah is taller than Mona. Who is the shortest?", "Mona")
    visitor.trains(80)
    visitor.opens_tab("Look inside")
    expect(page.locator(ANSWER)).to_contain_text("✓ right")

    visitor.presses("Look inside")
    expect(page.locator(".spa-strength polygon")).to_be_visible()

    switches = page.locator(".spa-switch")
    expect(switches).to_have_count(8)
    for vector in switches.all():
        vector.click()
        expect(vector).to_have_attribute("aria-pressed", "false")
    expect(page.locator(ANSWER)).to_contain_text("– no answer")
    visitor.presses("All of it again")
    expect(page.locator(ANSWER)).to_contain_text("✓ right")

    page.locator("#spa-strength-slider input[type=range]").focus()
    for _ in range(20):  # faster than answers come: nothing may put it back meanwhile
        page.keyboard.press("ArrowLeft")
    expect(page.locator(".spa-watched")).to_contain_text(re.compile(r"strength 0\s%"))
    expect(page.locator(ANSWER)).to_contain_text("– no answer")
    visitor.presses("All of it again")
    expect(page.locator(ANSWER)).to_contain_text("✓ right")
    expect(page.locator("#spa-strength-slider input[type=range]")).to_have_value("1")

    page.locator("#spa-moment input[type=range]").fill("1")
    expect(page.locator(".spa-watched")).to_contain_text("as after 4 episodes")
    expect(page.locator(ANSWER)).to_contain_text("– no answer")

    expect(page.locator(".spa-evidence").nth(2)).to_contain_text(
        "n = "
    )  # at least one picture more
    visitor.presses("Stop looking")
    expect(visitor.button("Stop looking")).to_be_disabled()
    expect(page.locator("#spa-inside-status")).to_contain_text("Stopped after")

    visitor.opens_tab("Teach")
    visitor.presses("Undo")
    visitor.opens_tab("Look inside")
    expect(page.locator("#spa-inside-status")).to_contain_text("after 80 episodes are gone. Train")
    expect(page.locator(".spa-evidence")).to_have_count(0)
    visitor.opens_tab("Teach")
    held: list[Route] = []  # the first question to the server
    page.route("**/queue/join*", lambda it: it.continue_() if held else held.append(it))
    visitor.presses("Redo")
    visitor.opens_tab("Look inside")
    expect(page.locator("#spa-inside-status")).to_contain_text("after 80 episodes are gone. Train")
    held[0].continue_()  # it is redone after the tab has been opened
    expect(page.locator("#spa-inside-status")).to_contain_text("Press Look inside to look again")
    expect(visitor.button("Look inside")).to_be_enabled()
    assert visitor.fits()
