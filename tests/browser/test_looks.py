"""Every screen, light and dark, by keyboard, without jumps, and without a network."""

import re

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import HELD_OUT

NARROW = {"width": 390, "height": 844}
SMALL = {"width": 360, "height": 740}


def test_nothing_sticks_out_on_a_phone(visit):
    visitor = visit(**NARROW).arrive()
    assert visitor.fits()
    visitor.trains(8)
    assert visitor.fits()
    visitor.opens_tab("Your own question")
    assert visitor.fits()
    visitor.opens_tab("Look inside")
    expect(visitor.page.locator(".spa-switch")).to_have_count(8)
    assert visitor.fits()
    visitor.opens_tab("Save & share")
    assert visitor.fits()


def test_on_a_phone_train_and_stop_are_always_within_reach_and_cards_have_names(visit):
    visitor = visit(**SMALL).arrive()
    for name in ("Train 80 episodes", "Stop"):
        expect(visitor.button(name)).to_be_in_viewport(ratio=1)
    visitor.page.mouse.wheel(0, 3000)
    for name in ("Train 80 episodes", "Stop"):
        expect(visitor.button(name)).to_be_in_viewport(ratio=1)
    expect(visitor.answer("soft-plain")).to_contain_text("Soft prompt · without template")
    expect(visitor.answer("soft-plain").locator(".spa-where")).to_be_visible()


def test_on_a_narrow_phone_the_pictures_of_the_strip_stand_side_by_side(visit):
    visitor = visit(**SMALL).arrive()
    long = "SmolLM2-135M-Instruct-Q4_1.gguf"  # as a file's name may be
    visitor.model.evaluate("(name, long) => { name.textContent = long; }", long)
    vectors, model = (
        visitor.page.locator(part).bounding_box() for part in (".spa-tokens", ".spa-frozen")
    )
    assert vectors["x"] + vectors["width"] < model["x"]
    assert model["x"] + model["width"] <= SMALL["width"]


def test_on_a_phone_every_tab_is_seen_though_its_letters_do_not_come(visit):
    visitor = visit(**SMALL)
    visitor.page.route("**/*.woff2", lambda route: route.abort())
    visitor.arrive()
    seen = visitor.page.get_by_role("tab")
    expect(seen).to_have_count(7)
    for tab in seen.all():
        expect(tab).to_be_visible()
    assert visitor.fits()


def test_a_wide_screen_shows_button_question_and_all_answers_at_once(visitor):
    expect(visitor.button("Train 80 episodes")).to_be_in_viewport(ratio=1)
    expect(visitor.question).to_be_in_viewport(ratio=1)
    for corner in ("alone-chat", "alone-plain", "soft-chat", "soft-plain"):
        expect(visitor.answer(corner)).to_be_in_viewport(ratio=1)
    # Dots in the footer stand between links that are there.
    footer = visitor.page.get_by_role("contentinfo")
    for width, links in ((1280, "Use via API · Settings"), (390, "Settings")):
        visitor.page.set_viewport_size({"width": width, "height": 844})
        expect(footer).to_have_text(links, use_inner_text=True)


def test_what_to_watch_is_in_view_while_it_learns(visitor):
    visitor.starts_training(2000)
    expect(visitor.answer("soft-plain")).to_contain_text("watch this one")
    for width, height in ((1280, 720), (1366, 768), (1920, 1080)):
        visitor.page.set_viewport_size({"width": width, "height": height})
        for part in (
            visitor.answer("soft-plain"),
            visitor.page.locator(".spa-accuracy"),
            visitor.page.locator(".spa-progress"),
        ):
            expect(part).to_be_in_viewport(ratio=1)
    assert visitor.page.locator(".spa-main").bounding_box()["width"] > 1700  # it is used
    visitor.presses("Stop")


def test_where_there_is_no_room_a_card_that_stays_shows_what_to_watch(visitor):
    card = visitor.page.locator(".spa-live")
    expect(card).to_have_count(0)
    visitor.starts_training(2000)
    for width, height in ((390, 844), (1280, 640)):
        visitor.page.set_viewport_size({"width": width, "height": height})
        visitor.page.evaluate("window.scrollTo(0, 0)")
        expect(card).to_be_in_viewport(ratio=1)
        visitor.page.mouse.wheel(0, 3000)
        expect(card).to_be_in_viewport(ratio=1)
    expect(card.locator(".spa-verdict")).to_have_text(re.compile("correct|wrong|no answer"))
    expect(card).to_contain_text(re.compile(r"\d+\s%\sof\s\d+"))
    visitor.presses("Stop")
    expect(visitor.button("Stop")).to_be_disabled()
    visitor.presses("New problem")
    expect(card).to_have_count(0)


COUNT_SHIFTS = """window.shift = 0;
new PerformanceObserver((list) => list.getEntries().forEach((entry) => {
    window.shift += entry.value;
})).observe({type: "layout-shift", buffered: true});"""


@pytest.mark.parametrize(
    ("width", "height", "scheme"),
    [(390, 844, "light"), (1280, 720, "dark"), (1920, 1080, "light")],
)
def test_the_page_hardly_moves_while_it_loads_and_follows_light_and_dark(
    visit, width, height, scheme
):
    visitor = visit(width, height, color_scheme=scheme)
    visitor.page.add_init_script(COUNT_SHIFTS)
    visitor.arrive()
    assert visitor.page.evaluate("window.shift") <= 0.05
    red = visitor.page.evaluate(
        "Number(getComputedStyle(document.querySelector('.spa-answer')).backgroundColor"
        ".match(/\\d+/)[0])"
    )
    assert red < 60 if scheme == "dark" else red > 200


def test_on_a_slow_line_the_page_is_seen_when_what_pushes_it_down_is_there(visit):
    visitor = visit(**NARROW)
    late = []

    def hold_back_our_html(route):
        answer = route.fetch()
        if "css_template" in answer.text():  # the code of gr.HTML, in whatever file it lies
            late.append((route, answer))
        else:
            route.fulfill(response=answer)

    visitor.page.route("**/assets/Index-*.js", hold_back_our_html)
    visitor.page.add_init_script(COUNT_SHIFTS)
    visitor.page.goto(visitor.url, wait_until="commit")
    tabs = visitor.page.get_by_role("tablist", include_hidden=True).first
    expect(tabs).to_be_attached()
    expect(tabs).to_be_hidden()
    for route, answer in late:
        route.fulfill(response=answer)
    visitor.sees_four_answers()
    expect(tabs).to_be_visible()
    assert visitor.page.evaluate("window.shift") <= 0.05


def test_a_page_that_did_not_hear_its_answer_knocks_and_hears_it(visit):
    visitor = visit()
    streams = []

    def close_the_first(route):
        streams.append(route.request.url)
        if len(streams) > 1:
            route.continue_()
            return
        closed = 'data: {"msg": "close_stream", "event_id": null}\n\n'
        route.fulfill(body=closed, content_type="text/event-stream")

    visitor.page.route("**/queue/data*", close_the_first)
    visitor.page.goto(visitor.url)
    expect(visitor.button("Train 80 episodes")).to_be_enabled()
    visitor.sees_four_answers()
    assert len(streams) > 1


LATE_ANSWERS = """
const ask = window.fetch;
window.fetch = async (asked, how) => {
    const answer = await ask(asked, how);
    const late = String(asked?.url || asked).includes("/queue/join") && window.joined++;
    if (late) await new Promise((done) => setTimeout(done, 2000));
    return answer;
};
window.joined = 0;
"""


def test_frames_that_come_all_at_once_are_all_shown(visit):
    """Those of what the page learns late that it has asked for: it takes them in one go."""
    visitor = visit()
    visitor.page.add_init_script(LATE_ANSWERS)
    visitor.page.goto(visitor.url)
    expect(visitor.button("Train 80 episodes")).to_be_enabled()
    expect(visitor.button("New problem")).to_be_enabled()
    visitor.sees_four_answers()


def test_the_page_is_told_nothing_of_how_far_an_event_is(url):
    """It would tell all outputs at every frame: a quarter of its work while it learns."""
    events = [
        event
        for event in httpx.get(f"{url}config").json()["dependencies"]
        if event["targets"] and event["backend_fn"]
    ]
    assert len(events) > 50
    assert [event for event in events if event["show_progress_on"] != []] == []


def test_values_of_a_picture_are_told_by_the_arrow_keys_and_under_the_mouse(visitor):
    visitor.trains(8)
    loss, value = visitor.page.locator(".spa-loss [role=img]"), visitor.page.locator("#spa-value")
    loss.focus()
    for key, told in (("ArrowRight", "episode 4:"), ("ArrowRight", "episode 8:"), ("Home", " 4:")):
        visitor.page.keyboard.press(key)
        expect(value).to_contain_text(told)
        expect(value).to_be_visible()
    visitor.page.keyboard.press("Escape")
    expect(value).to_be_hidden()
    loss.hover()
    expect(value).to_contain_text("nats")
    expect(value).to_be_visible()


def test_the_whole_job_by_keyboard_with_focus_always_visible(visitor):
    def walk_to(name: str) -> None:
        for _ in range(40):
            visitor.page.keyboard.press("Tab")
            focus = visitor.page.evaluate(
                """() => {
                    const rings = [], e = document.activeElement;
                    for (let box = e, i = 0; box && i < 5; box = box.parentElement, i++) {
                        const s = getComputedStyle(box);
                        rings.push(s.outlineStyle === "solid" && parseFloat(s.outlineWidth) >= 2
                                   && s.outlineColor !== "rgba(0, 0, 0, 0)");
                    }
                    return [e.innerText || e.ariaLabel || e.value || "", rings.some(Boolean)];
                }"""
            )
            text, ringed = focus
            assert ringed, f"the focus on {text!r} cannot be seen"
            if name in text:
                return
        raise AssertionError(f"{name!r} was not reached by Tab")

    question = visitor.question.inner_text()
    walk_to("New problem")
    visitor.page.keyboard.press("Enter")
    expect(visitor.question).not_to_have_text(question)
    visitor.sees_four_answers()
    walk_to("Show the answer")
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.locator("details.spa-gold p")).to_be_visible()
    walk_to("Train 80 episodes")
    visitor.page.keyboard.press("Enter")
    expect(visitor.button("Stop")).to_be_enabled()
    walk_to("Stop")
    visitor.page.keyboard.press("Enter")
    expect(visitor.hint).to_contain_text(re.compile("is kept|held-out"))


def test_nothing_jumps_while_answers_and_training_stream_in(visit):
    visitor = visit(reduced_motion="no-preference").arrive()
    visitor.page.evaluate(
        """() => { window.tops = (...parts) => parts.map(part => Math.round(scrollY +
            document.querySelector(part).getBoundingClientRect().top)).join(); }"""
    )

    def places() -> str:
        return visitor.page.evaluate(
            """() => tops("#spa-answers", "#spa-train", "#spa-undo", "#spa-accuracy",
                "#spa-families")"""
        )

    visitor.page.evaluate(
        """() => { window.seen = new Set(); const look = () => {
            seen.add(tops("#spa-train", "#spa-undo", "#spa-accuracy"));
            requestAnimationFrame(look); }; look(); }"""
    )
    before = places()
    visitor.trains(8)
    assert places() == before
    assert visitor.page.evaluate("seen.size") == 1


def test_the_page_needs_nothing_from_elsewhere_and_has_no_errors(visit, url):
    visitor = visit()
    asked, errors = [], []
    visitor.page.on("request", lambda request: asked.append(request.url))
    visitor.page.on(
        "console", lambda line: errors.append(line.text) if line.type == "error" else None
    )
    visitor.page.on("pageerror", lambda error: errors.append(str(error)))
    visitor.arrive()
    visitor.trains(4)
    visitor.opens_tab("Save & share")
    assert [one for one in asked if not one.startswith((url, "data:", "blob:"))] == []
    assert errors == []


def test_the_focus_is_never_lost_with_a_button_that_cannot_be_pressed_any_more(visitor):
    held = "document.activeElement !== document.body"
    train = visitor.button("Train 80 episodes")
    train.focus()
    visitor.page.keyboard.press("Enter")
    expect(visitor.button("Stop")).to_be_enabled()
    visitor.page.wait_for_function(held)
    expect(visitor.hint).to_contain_text("held-out")
    expect(train).to_be_focused()
    visitor.button("Undo").focus()
    visitor.page.keyboard.press("Enter")
    expect(visitor.button("Undo")).to_be_disabled()
    visitor.page.wait_for_function(held)


def test_what_happens_is_announced(visitor):
    announced = visitor.page.locator("#spa-announcer")
    expect(announced).to_contain_text("Press Train and watch")
    expect(announced).to_contain_text("Soft prompt · without template: – no answer")
    visitor.starts_training(40)
    bar = visitor.page.get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuetext", re.compile(r"^\d+ of 40 episodes"))
    expect(announced).to_contain_text(f"right on {HELD_OUT} held-out problems")
