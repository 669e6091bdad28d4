"""A person tells it only right or wrong, and watches its own tries light up."""

import re

from gradio_client import Client
from playwright.sync_api import expect

from tests.browser.conftest import HELD_OUT

ONLY_GRADED = "Only say right or wrong"


def lit(visitor):
    return visitor.page.locator(".spa-cell-right")


def test_reward_alone_raises_the_curve_and_its_tries_light_up(visitor):
    visitor.chooses(ONLY_GRADED)
    expect(visitor.page.locator(".spa-samples")).to_contain_text("8 times at each problem")
    visitor.starts_training(80)
    expect(visitor.hint).to_contain_text("told only right or wrong")
    expect(lit(visitor).first).to_be_visible()
    expect(visitor.hint).to_contain_text(f"right on {HELD_OUT} held-out problems")
    accuracy = visitor.picture("accuracy")
    curve = [share for share, asked in visitor.curve() if asked == HELD_OUT]
    assert curve[-1] >= curve[0] + 20
    earned = re.search(
        r"Of its own tries (\d+) % were right in the first step, (\d+) % .* (\d+) steps", accuracy
    )
    assert 10 <= int(earned[3]) <= 20  # steps at which all tries agree are none
    grid = visitor.picture("samples")
    right, tries = re.search(r"(\d+) of (\d+) tries right in the latest step", grid).groups()
    assert tries == "32" and lit(visitor).count() == int(right)
    for words in ("no answer:", "tokens a try", "entropy", "had both right and wrong tries"):
        assert words in grid
    expect(visitor.page.locator(".spa-reward")).to_have_count(1)


def test_both_shows_the_tries_too_and_the_answer_alone_shows_the_loss(visitor):
    visitor.chooses("Both")
    visitor.trains(8)
    expect(visitor.page.locator(".spa-grid-row")).to_have_count(4)
    visitor.chooses("Tell it the answer")
    expect(visitor.page.locator(".spa-loss [role=img]")).to_have_attribute(
        "aria-label", re.compile("2 steps")
    )
    expect(visitor.page.locator(".spa-samples")).to_have_count(0)
    visitor.trains(4)
    assert "3 steps" in visitor.picture("loss")


def test_the_choice_outlives_a_reload_and_waits_for_the_end_of_a_run(visitor):
    visitor.chooses(ONLY_GRADED)
    expect(visitor.page.locator(".spa-samples")).to_be_visible()
    visitor.reloads()
    expect(visitor.page.get_by_role("radio", name=ONLY_GRADED)).to_be_checked()
    visitor.starts_training(2000)
    expect(visitor.page.get_by_role("radio", name=ONLY_GRADED)).to_be_disabled()
    visitor.presses("Stop")
    expect(visitor.page.get_by_role("radio", name=ONLY_GRADED)).to_be_enabled()


def test_undo_takes_back_what_the_tries_taught(visitor):
    visitor.chooses(ONLY_GRADED)
    visitor.trains(8)
    expect(visitor.page.locator(".spa-samples")).to_contain_text("after 8 episodes")
    visitor.presses("Undo")
    expect(visitor.learnt).to_have_text("not trained yet")
    expect(visitor.page.locator(".spa-samples")).to_contain_text("no step yet")
    visitor.sees_four_answers()


def test_one_problem_is_tried_eight_times_and_the_news_says_how_that_went(visitor):
    visitor.chooses(ONLY_GRADED)
    visitor.presses("Train on this problem")
    expect(visitor.hint).to_contain_text(
        re.compile(r"\d of 8 tries at this very problem were right|Nothing to tell apart")
    )
    visitor.sees_four_answers()


def test_it_learns_as_chosen_though_the_choice_comes_late_and_fits_a_phone(visit):
    visitor = visit(width=390, height=844).arrive()
    visitor.trains(4)  # whatever was on its way to the page has come
    late = []
    visitor.page.route(
        "**/queue/join*",
        lambda route: route.continue_() if late else late.append(route),
    )
    visitor.page.get_by_role("radio", name=ONLY_GRADED).click()
    visitor.trains(8)
    tries = visitor.page.locator(".spa-samples")
    expect(tries).to_contain_text("after 12 episodes")
    late[0].continue_()
    visitor.trains(12)
    expect(tries).to_contain_text("after 24 episodes")
    expect(tries.locator(".spa-cells i")).to_have_count(32)
    expect(visitor.complaint).to_have_count(0)
    assert visitor.fits()


def test_programs_can_learn_from_a_reward(url):
    client = Client(url, verbose=False)
    session = client.predict(api_name="/new_session")
    # At times all tries of a step are wrong, and it is not taken; of ten steps never all.
    result = client.predict(session, 40, False, "reward", api_name="/train")
    assert result["signal"] == "reward" and result["episodes"] == 40
    assert 0 <= result["reward"] <= 1
