"""What axe-core finds on every tab, in light and in dark: nothing of ours, and what is Gradio's."""

from pathlib import Path

import axe_playwright_python
from playwright.sync_api import expect

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")

GRADIO = {
    # Its footer's pictures say the same as the word beside them; they cannot be changed from here.
    "image-redundant-alt": ("footer",),
    # A toast's head is a button, and holds the one that closes it.
    "nested-interactive": (".toast-header",),
}
"""What is left to Gradio: by rule, the elements (or what they stand in) that break it."""


RUN = """async (left) => {
    const found = await axe.run(document, {resultTypes: ["violations"], elementRef: true});
    const ours = (rule) => (node) =>
        !(left[rule.id] ?? []).some((place) => node.element.closest(place));
    return found.violations.flatMap((rule) => rule.nodes.filter(ours(rule)).map(
        (node) => `${rule.id}: ${node.html.slice(0, 200)} ${node.failureSummary}`));
}"""
"""Looks at the elements that were found, not for them again: a toast may be gone by then."""


def complaints(page) -> list[str]:
    """What axe-core finds now, but for what is left to Gradio: the rule and the element."""
    page.evaluate(AXE)
    return page.evaluate(RUN, GRADIO)


def in_light_and_dark(page) -> list[str]:
    """The same in both; what Gradio does for the dark is to give the body this class."""
    found = complaints(page)
    page.evaluate("document.body.classList.toggle('dark')")
    found += complaints(page)
    page.evaluate("document.body.classList.toggle('dark')")
    return found


def test_axe_finds_nothing_on_any_tab(visit):
    visitor = visit(color_scheme="light").arrive()
    page = visitor.page
    visitor.trains(8)
    for fold in ("Snapshots", "More"):
        visitor.unfolds(fold)
    visitor.presses("Keep")
    expect(page.locator(".spa-snapshots")).to_be_visible()
    found = {"Teach": in_light_and_dark(page)}
    for tab in ("Your own question", "Look inside", "Experiments", "Save & share"):
        visitor.opens_tab(tab)
        expect(page.get_by_role("tabpanel").last).to_be_visible()
        if tab == "Look inside":
            expect(visitor.button("Look inside")).to_be_enabled()
        found[tab] = in_light_and_dark(page)
    visitor.presses("▶ Show me")
    expect(page.locator("#spa-story")).to_be_visible()
    found["Show me"] = in_light_and_dark(page)
    assert {tab: said for tab, said in found.items() if said} == {}
