"""A person teaches: a problem, four answers, training, and answers that change."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import HELD_OUT

FINAL = re.compile("correct|wrong|no answer")


def test_a_newcomer_sees_four_answers_and_what_to_press_first(visitor):
    for corner in ("alone-chat", "alone-plain", "soft-chat", "soft-plain"):
        expect(visitor.answer(corner).locator(".spa-verdict")).to_have_text(FINAL)
    expect(visitor.hint).to_contain_text("Press Train and watch")
    expect(visitor.answer("soft-plain")).to_contain_text("watch this one")
    expect(visitor.button("Train 80 episodes")).to_be_enabled()
    expect(visitor.button("Undo")).to_be_disabled()
    expect(visitor.button("Reset")).to_be_disabled()
    folded = visitor.page.locator("details.spa-gold p")
    expect(folded).not_to_be_visible()
    visitor.page.get_by_text("Show the answer").click()
    expect(folded).to_be_visible()


def test_new_problem_shows_another_question_of_the_kind_chosen(visitor):
    before = visitor.question.inner_text()
    visitor.presses("New problem")
    expect(visitor.question).not_to_have_text(before)
    visitor.sees_four_answers()
    visitor.page.get_by_label("Family").click()
    visitor.page.get_by_role("option", name="causal").click()
    visitor.page.get_by_label("Difficulty").click()
    visitor.page.get_by_role("option", name="difficulty 3").click()
    visitor.presses("New problem")
    expect(visitor.chips).to_have_text(["causal", "difficulty 3", "held-out"])
    visitor.sees_four_answers()


def test_training_raises_the_curve_and_says_how_far_it_is(visitor):
    visitor.presses("Train 80 episodes")
    expect(visitor.page.locator(".spa-progress")).to_have_text(
        re.compile(r"\d+ of 80 episodes · \d+ a second · \d+ s left")
    )
    expect(visitor.page.get_by_role("progressbar")).to_be_visible()
    expect(visitor.learnt).to_have_text("learnt from 80 episodes")
    expect(visitor.hint).to_contain_text(f"right on {HELD_OUT} held-out problems")
    expect(visitor.hint).to_contain_text("p < 0.0001")
    # Milestones on the way get as many problems as this machine's pace allows, the last one all.
    (first, _), *_, (last, asked) = curve = visitor.curve()
    assert len(curve) == 5
    assert asked == HELD_OUT
    assert last >= first + 50
    assert "after" in visitor.picture("family")
    assert "20 steps" in visitor.picture("loss")
    expect(visitor.answer("soft-plain")).to_contain_text("before:")
    expect(visitor.button("Train 80 episodes")).to_be_enabled()


def test_stop_keeps_what_was_learnt(visitor):
    visitor.starts_training(2000)
    expect(visitor.learnt).to_have_text(re.compile(r"learnt from \d+ episodes"))
    visitor.presses("Stop")
    expect(visitor.hint).to_contain_text("what was learnt is kept")
    stopped = re.search(r"after ([\d,]+) episodes?", visitor.hint.inner_text())[1]
    assert int(stopped.replace(",", "")) < 2000
    expect(visitor.learnt).to_have_text(f"learnt from {stopped} episodes")
    expect(visitor.hint).to_have_text(re.compile(r"is kept: \d+\D% right on \d+ held-out problems"))
    visitor.sees_four_answers()


def test_training_on_the_problem_shown_puts_before_and_after_on_the_cards(visitor):
    visitor.presses("Train on this problem")
    expect(visitor.hint).to_contain_text(re.compile(r"loss \d+\.\d\d"))
    visitor.sees_four_answers()
    for corner in ("soft-chat", "soft-plain"):
        expect(visitor.answer(corner)).to_contain_text("before:")
    for corner in ("alone-chat", "alone-plain"):
        expect(visitor.answer(corner)).not_to_contain_text("before:")
    expect(visitor.chips.last).to_contain_text("learnt from")


def test_the_other_format_has_its_own_curve_and_its_own_answer_to_watch(visitor):
    visitor.chooses("With the chat template")
    expect(visitor.answer("soft-chat")).to_contain_text("watch this one")
    expect(visitor.page.locator(".spa-accuracy")).to_contain_text("with the chat template")
    visitor.trains(4)
    expect(visitor.page.locator(".spa-accuracy [role=img]")).to_have_attribute(
        "aria-label", re.compile("with the chat template: .* after 4 episodes")
    )


def test_a_question_of_ones_own_is_graded_if_its_answer_is_given(visitor):
    visitor.asks("Ann has 2 apples and buys 2 more. How many apples does Ann have?", "4")
    expect(visitor.chips).to_have_text(["your own question"])
    visitor.sees_four_answers()
    expect(visitor.answer("alone-chat").locator(".spa-verdict")).to_have_text(FINAL)
    visitor.asks("Why is the sky blue?")
    expect(visitor.question).to_have_text("Why is the sky blue?")
    visitor.sees_four_answers()
    expect(visitor.answer("alone-chat").locator(".spa-verdict")).to_contain_text("not graded")
    expect(visitor.button("Train on this problem")).to_be_disabled()


def test_nonsense_is_answered_with_a_sentence_and_changes_nothing(visitor):
    before = visitor.question.inner_text()
    for question in ("", "   ", "?!"):
        visitor.asks(question)
        visitor.hears("Type a question first.")
    for episodes in ("-5", "2.5", "1e9", ""):
        visitor.page.get_by_role("spinbutton", name="Episodes").fill(episodes)
        visitor.page.locator("#spa-train").click()
        visitor.hears("Episodes is a whole number from 1 to 2000.")
    expect(visitor.question).to_have_text(before)
    expect(visitor.learnt).to_have_text("not trained yet")
    visitor.sees_four_answers()


def test_every_held_out_problem_can_be_looked_at_and_none_learnt_from(visitor):
    visitor.trains(80)
    picture = visitor.page.locator(".spa-map [role=img]")
    expect(picture).to_have_attribute("aria-label", re.compile("^With your soft prompt: causal"))
    expect(picture.locator("[data-problem]")).to_have_count(HELD_OUT)
    expect(picture.locator(".spa-now-right").first).to_be_visible()
    square = picture.locator("[data-problem='7']")
    expect(square).to_have_attribute(
        "data-words", re.compile(r"difficulty \d: (right|wrong|no an)")
    )
    before = visitor.question.inner_text()
    square.click()
    expect(visitor.question).not_to_have_text(before)
    expect(visitor.question).to_be_in_viewport()
    expect(visitor.hint).to_contain_text("nothing is ever learnt from this one")
    expect(visitor.button("Train on this problem")).to_be_disabled()
    visitor.sees_four_answers()
    pressed = visitor.question.inner_text()
    picture.focus()
    visitor.page.keyboard.press("End")
    expect(visitor.page.locator("#spa-value")).to_contain_text("difficulty 5")
    visitor.page.keyboard.press("Enter")
    expect(visitor.question).not_to_have_text(pressed)
    visitor.reloads()
    expect(visitor.question).not_to_have_text(pressed)
    visitor.presses("New problem")
    expect(visitor.button("Train on this problem")).to_be_enabled()
