"""A person in front of the page."""

import re

from playwright.sync_api import Locator, Page, TimeoutError, expect

PATIENCE = 60_000  # milliseconds; a busy machine may take this long, a free one never does

FRAMES = """async () => {
    for (let frame = 0; frame < 6; frame++) await new Promise(requestAnimationFrame);
}"""

expect.set_options(timeout=PATIENCE)


class Visitor:
    """What a person sees, by what it is called, and what they press."""

    def __init__(self, page: Page, url: str) -> None:
        page.set_default_timeout(PATIENCE)
        self.page = page
        self.url = url

    def arrive(self) -> "Visitor":
        self.page.goto(self.url)
        self.sees_four_answers()
        return self

    def sees_four_answers(self) -> None:
        expect(self.page.locator(".spa-answer")).to_have_count(4)
        expect(self.page.locator(".spa-writing")).to_have_count(0)

    def reloads(self) -> None:
        self.page.reload()
        self.sees_four_answers()

    def presses(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def unfolds(self, name: str) -> None:
        """Open what is folded away under a heading; the wait is as in `opens_tab`."""
        self.page.get_by_role("button", name=re.compile(f"^{name}")).click()
        self.page.evaluate(FRAMES)

    def chooses(self, name: str) -> None:
        """Press one of several, and wait until the hint says what that means.

        What was on its way to the page may put it back before.
        """
        before, choice = self.hint.text_content() or "", self.page.get_by_role("radio", name=name)
        choice.click()
        expect(self.hint).not_to_have_text(before)
        expect(choice).to_be_checked()

    def leaves_in(self, box: str, value: str, then: Locator) -> None:
        """Type into a box and leave it, once more where what was on its way has put it back."""
        for _ in range(5):
            self.page.get_by_label(box).fill(value)
            self.page.get_by_label(box).blur()
            try:
                then.wait_for(timeout=PATIENCE / 5)
            except TimeoutError:
                continue
            return
        raise AssertionError(f"nothing came of {value!r} in {box}")

    def opens_tab(self, name: str) -> None:
        """Go to a tab, and wait as short as nobody's hand is quicker.

        Gradio fills in what has never been shown some frames later, over what was typed meanwhile.
        """
        self.page.get_by_role("tab", name=name, exact=True).click()
        self.page.evaluate(FRAMES)

    def trains(self, episodes: int) -> None:
        before = self.learnt.inner_text()  # a short run may be over before Stop is looked at
        self.page.get_by_role("spinbutton", name="Episodes").fill(str(episodes))
        self.presses(f"Train {episodes} episodes")
        expect(self.learnt).not_to_have_text(before)
        expect(self.learnt).to_have_text(re.compile("learnt from"))
        expect(self.button("Stop")).to_be_disabled()
        self.sees_four_answers()

    def starts_training(self, episodes: int) -> None:
        self.page.get_by_role("spinbutton", name="Episodes").fill(str(episodes))
        self.presses(f"Train {episodes} episodes")
        expect(self.button("Stop")).to_be_enabled()

    def chooses_model(self, name: str) -> None:
        """Go over to another base model, and wait until it is the one in the strip."""
        chooser = self.page.get_by_label("Base model")
        chooser.click()
        self.page.get_by_role("option", name=name).click()
        expect(self.model).to_contain_text(name)  # of a GGUF file, the whole name
        expect(chooser).to_have_value(name)
        self.sees_four_answers()

    def asks(self, question: str, answer: str = "") -> None:
        self.opens_tab("Your own question")
        self.page.get_by_label("Your question").fill(question)
        self.page.get_by_label("Its answer").fill(answer)
        self.presses("Ask")

    def tabs_to(self, target: Locator) -> None:
        """Press Tab until ``target`` has the focus, as somebody without a mouse does."""
        for _ in range(100):
            self.page.keyboard.press("Tab")
            if target.evaluate("element => element === document.activeElement"):
                return
        raise AssertionError(f"the keyboard does not get to {target}")

    def types(self, text: str) -> None:
        """Put ``text`` in place of what is in the box that has the focus."""
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.type(text)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def answer(self, corner: str) -> Locator:
        """One of the cards: alone-chat, alone-plain, soft-chat or soft-plain."""
        return self.page.locator(f"[data-corner={corner}]")

    @property
    def question(self) -> Locator:
        return self.page.locator(".spa-question")

    @property
    def chips(self) -> Locator:
        return self.page.locator(".spa-chip")

    @property
    def hint(self) -> Locator:
        return self.page.locator("#spa-hint .spa-hint")

    @property
    def model(self) -> Locator:
        """The name of the frozen model in the strip."""
        return self.page.locator(".spa-frozen figcaption b")

    @property
    def learnt(self) -> Locator:
        """What the strip says the soft prompt has learnt from."""
        return self.page.locator(".spa-strip figcaption").first.locator("span").last

    @property
    def complaint(self) -> Locator:
        return self.page.locator(".toast-body")

    def hears(self, words: str) -> None:
        """One complaint, which is put away, so that the next one is another."""
        expect(self.complaint).to_contain_text(words)
        self.page.locator(".toast-close").click()
        expect(self.complaint).to_have_count(0)

    def picture(self, kind: str) -> str:
        """What a screen reader says of a picture: accuracy, loss or family."""
        label = self.page.locator(f".spa-{kind} [role=img]").get_attribute("aria-label")
        return (label or "").replace("\u202f", " ")

    def curve(self) -> list[tuple[int, int]]:
        """The points of the accuracy so far: (percent right, of how many problems)."""
        found = re.findall(r"(\d+) % of (\d+) [^,.]+ after", self.picture("accuracy"))
        return [(int(share), int(asked)) for share, asked in found]

    def fits(self) -> bool:
        """Whether nothing sticks out to the right of the window."""
        return self.page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
