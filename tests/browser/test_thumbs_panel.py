"""A person teaches by thumbs, and the next answers move."""

import math
import re

import pytest
from gradio_client import Client
from playwright.sync_api import expect

QUESTION = "Olga has 7 pens. Olga gives 4 pens to Emma. How many pens does Olga have now?"
NUMBER = re.compile(r"\d")


class Thumbs:
    """The panel, as a visitor uses it."""

    def __init__(self, visitor):
        self.visitor = visitor
        self.panel = visitor.page.locator(".spa-thumbs")
        self.cards = self.panel.locator(".spa-try")

    def draw(self):
        """Press the button and wait for other tries than those shown; their texts."""
        ups = self.panel.locator("[data-mark='1']")
        old = ups.first.get_attribute("data-number") if ups.count() else None
        self.visitor.presses("Show four tries")
        expect(ups.first).to_be_visible()
        if old is not None:
            expect(ups.first).not_to_have_attribute("data-number", old)
        return self.cards.locator(".spa-try-text").all_inner_texts()

    def thumb(self, index, mark):
        return self.cards.nth(index).locator(f"button[data-mark='{mark}']")

    def mark(self, index, mark):
        self.thumb(index, mark).click()
        expect(self.thumb(index, mark)).to_have_attribute("aria-pressed", "true")

    def learn(self):
        """Press the button; how likely each card was and is, in per cent (None: not marked)."""
        marked = [card.locator("[aria-pressed=true]").count() for card in self.cards.all()]
        self.visitor.presses("Learn from my thumbs")
        for index, mark in enumerate(marked):
            moved = self.cards.nth(index).locator(".spa-try-moved")
            expect(moved).to_have_text(re.compile("→ .+ of the time" if mark else r"^\s*$"))
        expect(self.visitor.hint).to_contain_text("It now says")
        expect(self.visitor.button("Learn from my thumbs")).to_be_enabled()
        moved = []
        for text in self.cards.locator(".spa-try-moved").all_inner_texts():
            found = re.fullmatch(r"(.+) → (.+) of the time", text.replace("\u202f", " "))
            moved.append(tuple(map(likely, found.groups())) if found else None)
        return moved


def likely(words):
    return 0.5 if words == "under 1 %" else float(words.removesuffix(" %"))


def loss(marks, percents):
    """What the marks say against these likelihoods (`learner.learning.thumbs`), in nats."""
    liked = [p if mark > 0 else 100 - p for mark, p in zip(marks, percents, strict=True)]
    return -sum(math.log(min(p, 99.9) / 100) for p in liked)


@pytest.fixture
def thumbs(visitor):
    visitor.asks(QUESTION)
    expect(visitor.question).to_have_text(QUESTION)
    visitor.sees_four_answers()
    return Thumbs(visitor)


def test_a_question_that_nobody_knows_the_answer_to_is_taught_by_thumbs(visitor, thumbs):
    texts = thumbs.draw()
    assert 2 <= len(texts) == len(set(texts)) <= 4
    expect(visitor.button("Learn from my thumbs")).to_be_disabled()
    thumbs.mark(0, 1)
    liked, *others = thumbs.learn()
    assert liked[1] >= liked[0] and not any(others)
    expect(visitor.learnt).to_have_text("learnt from 1 episode")
    expect(visitor.chips.last).to_contain_text("learnt from")
    thumbs.thumb(0, 1).click()
    expect(thumbs.thumb(0, 1)).to_have_attribute("aria-pressed", "false")
    thumbs.mark(1, -1)
    _, disliked, *others = thumbs.learn()
    assert disliked[1] <= disliked[0] and not any(others)
    visitor.presses("Undo")
    expect(visitor.learnt).to_have_text("learnt from 1 episode")
    expect(thumbs.panel.get_by_text("of the time")).to_have_count(0)


def test_each_of_ten_thumbs_is_learnt_from(visitor, thumbs):
    """Up on every number and down on everything else, with nobody saying what is right.

    Which tries are drawn is chance, so what they come to is asserted of many people, in
    tests/learner/learning/test_thumbs.py; here, that each click moves what was marked.
    """
    answer = visitor.answer("soft-plain").locator(".spa-completion")
    expect(answer).not_to_have_text(NUMBER)
    left, clicks = 10, 0
    while left:
        texts = thumbs.draw()[:left]
        marks = [1 if NUMBER.search(text) else -1 for text in texts]
        for index, mark in enumerate(marks):
            thumbs.mark(index, mark)
        left -= len(texts)
        clicks += 1
        moved = thumbs.learn()[: len(texts)]
        then, after = zip(*moved, strict=True)
        assert loss(marks, after) <= loss(marks, then)
    episodes = "1 episode" if clicks == 1 else f"{clicks} episodes"
    expect(visitor.learnt).to_have_text(f"learnt from {episodes}")


def test_thumbs_by_keyboard_come_on_and_off_and_keep_the_focus(visitor, thumbs):
    thumbs.draw()
    up, down = thumbs.thumb(0, 1), thumbs.thumb(0, -1)
    up.focus()
    visitor.page.keyboard.press("Enter")
    expect(up).to_have_attribute("aria-pressed", "true")
    expect(up).to_be_focused()
    visitor.page.keyboard.press("Tab")
    expect(down).to_be_focused()
    visitor.page.keyboard.press("Space")
    expect(down).to_have_attribute("aria-pressed", "true")
    expect(up).to_have_attribute("aria-pressed", "false")
    visitor.page.keyboard.press("Space")
    expect(down).to_have_attribute("aria-pressed", "false")
    expect(visitor.button("Learn from my thumbs")).to_be_disabled()
    assert re.fullmatch("Good: “.+”", up.get_attribute("aria-label"))
    ring = down.evaluate("e => getComputedStyle(e).outlineStyle")
    assert ring == "solid"


def test_marks_outlive_a_reload_and_go_with_the_problem(visitor, thumbs):
    thumbs.draw()
    thumbs.mark(0, -1)
    visitor.reloads()
    expect(thumbs.thumb(0, -1)).to_have_attribute("aria-pressed", "true")
    visitor.opens_tab("From the arena")
    visitor.presses("New problem")
    expect(thumbs.cards).to_have_count(0)
    visitor.sees_four_answers()


def test_tries_drawn_in_one_tab_are_those_of_the_other_too(visitor, thumbs):
    thumbs.draw()
    other = type(visitor)(visitor.page.context.new_page(), visitor.url).arrive()
    texts = Thumbs(other).draw()
    expect(thumbs.cards.locator(".spa-try-text")).to_have_text(texts)
    thumbs.mark(0, 1)
    expect(Thumbs(other).thumb(0, 1)).to_have_attribute("aria-pressed", "true")


def test_it_fits_a_phone(visit):
    visitor = visit(width=390, height=844).arrive()
    thumbs = Thumbs(visitor)
    thumbs.draw()
    thumbs.mark(0, 1)
    assert visitor.fits()
    box = thumbs.thumb(0, 1).bounding_box()
    assert box["width"] >= 44 and box["height"] >= 36  # as large as a finger


def test_programs_can_teach_by_thumbs(url):
    client = Client(url, verbose=False)
    session = client.predict(api_name="/new_session")
    client.predict(session, QUESTION, "", api_name="/ask")
    tries = client.predict(session, api_name="/tries")["tries"]
    marks = [1] + [0] * (len(tries) - 1)
    result = client.predict(session, marks, api_name="/thumbs")
    assert [one["mark"] for one in result["tries"]] == marks
    assert result["tries"][0]["after"] > result["tries"][0]["before"]
    assert result["learner"]["episodes"] == 1
    assert client.predict(session, api_name="/undo")["episodes"] == 0
