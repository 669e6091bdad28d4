"""It is shown to others: by a link, by the story, on a stage, and to a room with phones."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import HELD_OUT
from tests.browser.test_axe import complaints
from tests.browser.visitor import Visitor


def opens(visitor: Visitor, query: str) -> Visitor:
    visitor.page.goto(f"{visitor.url}{query}")
    visitor.sees_four_answers()
    return visitor


def test_the_same_link_is_the_same_demo_for_others(visit):
    ann = opens(visit(), "?seed=11&problem=causal-2-5&format=chat&episodes=8&family=causal")
    expect(ann.button("Train 8 episodes")).to_be_enabled()
    link = ann.page.evaluate("window.spaAddress.link()")
    bob = visit()
    bob.page.goto(link)
    bob.sees_four_answers()
    expect(bob.question).to_have_text(ann.question.inner_text())
    expect(bob.page.locator("#spa-family input")).to_have_value("causal")
    for visitor in (ann, bob):
        expect(visitor.page).to_have_url(re.compile("seed=11.*problem=causal-2-5"))
        visitor.presses("New problem")
    expect(ann.page).not_to_have_url(re.compile("problem=causal-2-5"))
    ann.sees_four_answers()
    expect(bob.question).to_have_text(ann.question.inner_text())
    ann.trains(4)
    ann.reloads()
    expect(ann.learnt).to_have_text("learnt from 4 episodes")


def test_nonsense_in_a_link_is_told_in_one_sentence(visit):
    visitor = visit()
    visitor.page.goto(f"{visitor.url}?seed=x&family=<b>&tab=cellar&model=gpt-9")
    expect(visitor.complaint).to_have_count(1)
    said = "This link's seed, family, model and tab mean nothing here and were left out"
    expect(visitor.complaint).to_contain_text(said)


def test_the_story_is_told_on_stage_by_a_clicker_and_comes_back_after_a_reload(visit):
    visitor = visit(width=1920, height=1080)
    visitor.page.goto(f"{visitor.url}?view=stage&story=1")
    page, card = visitor.page, visitor.page.locator("#spa-on-stage #spa-story")
    title = card.locator("h2")
    expect(title).to_have_text("One question, four answers")
    expect(page.locator("#spa-on-stage .spa-answer")).to_have_count(4)
    expect(page.locator("#spa-on-stage .spa-writing")).to_have_count(0)
    assert in_light_and_dark(page) == []
    page.keyboard.press("PageDown")
    expect(title).to_have_text("What will training change?")
    assert in_light_and_dark(page) == []
    card.get_by_text("will be right?").click()  # the words are no guess
    expect(card.locator("output")).to_have_text("?")
    guess = card.get_by_role("slider")
    guess.click()  # where it stands: in the middle
    expect(card.locator("output")).to_have_text(str(HELD_OUT // 2))
    guess.focus()
    page.keyboard.press("End")
    expect(card.locator("output")).to_have_text(str(HELD_OUT))
    page.reload()
    expect(title).to_have_text("What will training change?")
    expect(card.locator("output")).to_have_text(str(HELD_OUT))
    page.keyboard.press("PageDown")
    expect(title).to_have_text("Watch it learn")
    expect(card).to_contain_text("It has learnt from 80 problems")
    run = {"done": 60, "total": 80}
    status, story = page.evaluate(TOLD, {"run": run})
    assert status == "learning: 60 of 80"
    assert story.startswith("It has learnt from 60 of 80 problems so far.")
    status, story = page.evaluate(TOLD, {"run": {**run, "done": 80}, "asked": 50})
    assert status == f"learnt from 80 episodes · asked 50 of {HELD_OUT} so far"
    assert f"Now it is asked problems that it has never seen, 50 of {HELD_OUT} so far" in story
    page.keyboard.press("PageDown")
    expect(card.locator("p")).to_contain_text(f"You said {HELD_OUT}.")
    page.keyboard.press("PageDown")
    card.get_by_role("button", name="Play the training").focus()
    page.keyboard.press("Enter")
    expect(card.locator("p")).to_contain_text("The answer flips after", timeout=300_000)
    page.keyboard.press("PageDown")
    expect(title).to_have_text("Which vector matters?")
    page.keyboard.press("PageUp")
    expect(card.locator("p")).to_contain_text("The answer flips after")
    sizes = page.evaluate(SIZES)
    assert sizes == [], "smaller than 28 px on stage"
    page.keyboard.press("Escape")
    expect(page.locator("#spa-on-stage")).to_be_hidden()
    expect(page.locator("#spa-story h2")).to_have_text("When did the answer flip?")


def in_light_and_dark(page) -> list[str]:
    """What axe finds on stage, which has a key for it."""
    found = complaints(page)
    page.keyboard.press("l")
    found += complaints(page)
    page.keyboard.press("l")
    return found


# What stage and story say where some of the facts are other ones, such as on a slow machine.
TOLD = """(others) => {
    const tell = (detail) => document.dispatchEvent(new CustomEvent("spa-facts", { detail }));
    const facts = JSON.parse(document.querySelector("#spa-facts [data-facts]").dataset.facts);
    tell({ ...facts, ...others });
    const said = [...document.querySelectorAll("[data-status], #spa-story [role=status]")];
    const words = said.map((place) => place.textContent);
    tell(facts);
    return words;
}"""

SIZES = """() => {
    const small = new Set(), stage = document.querySelector("#spa-on-stage");
    const texts = document.createTreeWalker(stage, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const place = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || !place.checkVisibility()) continue;
        const size = parseFloat(getComputedStyle(place).fontSize) * place.currentCSSZoom;
        if (size < 27.9) small.add(`${place.className || place.tagName}: ${size}`);
    }
    return [...small];
}"""


def test_the_stage_is_used_and_left_by_touch(visit):
    phone = {"has_touch": True, "is_mobile": True}  # held sideways
    visitor = opens(visit(width=844, height=390, **phone), "")
    page, stage = visitor.page, visitor.page.locator("#spa-on-stage")

    def taps(name: str) -> None:
        stage.get_by_role("button", name=name, exact=True).tap()

    visitor.button("Stage").tap()
    taps("Inside")
    expect(stage.locator(".spa-switch")).to_have_count(8)
    assert page.evaluate(HARD_TO_TAP) == []
    taps("Room")
    taps("Open the room")
    expect(stage.locator(".spa-qr svg")).to_be_visible()
    taps("Four tries")
    expect(stage.locator(".spa-asked-thumbs")).to_be_visible()
    assert page.evaluate(HARD_TO_TAP) == []
    assert in_light_and_dark(page) == []
    taps("End")
    expect(stage.get_by_role("heading", name="A room")).to_be_visible()
    taps("▶ Story")
    for _ in range(6):
        stage.locator("#spa-story .spa-next").tap()
    taps("Done")
    expect(stage.locator("#spa-story")).to_be_hidden()
    taps("Leave")
    expect(stage).to_be_hidden()
    expect(visitor.button("Stage")).to_be_focused()
    expect(page).not_to_have_url(re.compile("view=stage"))


HARD_TO_TAP = """() => {
    const buttons = [...document.querySelectorAll("#spa-on-stage [data-press]")];
    return buttons.filter((one) => one.checkVisibility()).filter((one) => {
        const { left, top, right, bottom, height } = one.getBoundingClientRect();
        const at = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
        return height < 43.9 || right > innerWidth || bottom > innerHeight || !one.contains(at);
    }).map((one) => one.textContent);
}"""


@pytest.mark.parametrize("width", [390, 1280])
def test_the_story_fits_and_points_at_the_page(visit, width):
    visitor = opens(visit(width=width, height=800, reduced_motion="no-preference"), "")
    visitor.presses("▶ Show me")
    expect(visitor.page.locator("#spa-story")).to_be_visible()
    expect(visitor.page.locator("#spa-story-ring")).to_be_visible()
    expect(visitor.page).to_have_url(re.compile("story=1"))
    visitor.presses("Everybody predicts")
    expect(visitor.page.locator("#spa-story .spa-picks button")).to_have_count(4)
    assert "story=1" in visitor.page.evaluate("window.spaAddress.link()")
    assert visitor.fits()
    visitor.page.get_by_role("button", name="Leave the story").click()
    expect(visitor.page.locator("#spa-story")).to_be_hidden()
    expect(visitor.page.get_by_role("button", name="Show me")).to_be_focused()
    expect(visitor.page).not_to_have_url(re.compile("story="))


def test_a_room_of_two_phones_predicts_and_teaches(visit, browser):
    visitor = visit(width=1920, height=1080)
    page, stage = visitor.page, visitor.page.locator("#spa-on-stage")
    page.goto(f"{visitor.url}?seed=11&problem=math_word-1-0")
    expect(visitor.answer("soft-plain")).to_be_visible()  # empty as yet: there is no lesson
    page.keyboard.press("f")
    page.keyboard.press("o")
    expect(stage.locator(".spa-qr svg")).to_be_visible()
    code = stage.locator(".spa-door p b").first.inner_text()
    schemes = ("light", "dark")
    sizes = {"width": 390, "height": 844}
    phones = [visit(**sizes, color_scheme=scheme).page for scheme in schemes]
    for phone in phones:
        phone.goto(f"{visitor.url.rstrip('/')}/room/{code}")
        expect(phone.locator(".wait")).to_be_visible()
        assert complaints(phone) == []
    expect(stage.locator(".spa-present b")).to_have_text("2")
    phones[0].route("**/asks*", lambda route: route.fulfill(status=502))  # what a proxy says
    phones[0].reload()
    expect(phones[0].locator("footer")).to_contain_text("No connection")
    phones[0].unroute("**/asks*")
    page.evaluate("document.dispatchEvent(new CustomEvent('spa-asks', {detail: 'predict'}))")
    for phone in phones:
        phone.get_by_role("slider").click()  # where it stands: in the middle
        expect(phone.locator("output")).to_have_text(str(HELD_OUT // 2))
        expect(phone.locator("footer")).to_contain_text("Counted")
    expect(stage.locator(".spa-asked-number .spa-piled i")).to_have_count(2)
    page.keyboard.press("v")
    for phone in phones:
        expect(phone.locator(".try").first).to_be_visible()
        phone.locator(".try .up").first.click()
        expect(phone.locator("footer")).to_contain_text("Counted")
        assert complaints(phone) == []
    expect(stage.locator(".spa-dots").first.locator(".spa-up")).to_have_count(2)
    assert complaints(page) == []
    page.keyboard.press("g")
    expect(stage.locator(".spa-room-said")).to_contain_text("From the thumbs of 2: 1 liked")
    expect(visitor.learnt).to_have_text("learnt from 1 episode")
    page.keyboard.press("x")
    for phone in phones:
        expect(phone.locator(".ended")).to_contain_text("This room has ended")
