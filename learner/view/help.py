"""The words that a newcomer does not know: a "?" beside each, which opens what it means.

What opens is the browser's own popover: for a keyboard and a finger as well as a mouse, above
whatever else is on the page, and not closed when the picture behind it is drawn anew.
"""

import sys
from html import escape
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from arena import FAMILIES

PAPER = "https://arxiv.org/abs/2104.08691"
README = Path(__file__).parents[2] / "README.md"

WORDS = {
    "soft-prompt": (
        "Soft prompt",
        "A few vectors put in front of the text, where the model expects words. They are the only "
        "numbers that change while it learns; the model itself stays as it is. The picture has a "
        "column for each vector and draws 12 of its numbers: orange is above zero, purple below, "
        "and the stronger the colour, the further.",
    ),
    "chat-template": (
        "Chat template",
        "The words and signs that a chat model was taught to expect around a question: who speaks, "
        "and where its answer begins. Most models do better with it by themselves, so that without "
        "it the soft prompt has more to learn.",
    ),
    "episode": (
        "Episode",
        "One problem learnt from. Four of them make a step unless you choose another number: the "
        "soft prompt moves a little towards what would have made their answers more likely.",
    ),
    "held-out": (
        "Held-out",
        "Problems that nobody ever trains on. Only they can say whether something general was "
        "learnt. The band around a score is its 95 % interval: how far chance alone may have moved "
        "it, for so many problems.",
    ),
    "nats": (
        "Training loss, in nats",
        "How surprised the model is by the right answer, on average over its tokens: 0 means it "
        "was certain of it, 0.7 that it gave it half a chance, 2.3 a tenth.",
    ),
}
"""Each word's name on the page, and what it means."""


def about(word: str, text: str = "?") -> str:
    """A button that opens what ``word`` means: a "?", or ``text`` to be read in its place."""
    title, _ = meanings()[word]
    kind, name = ("spa-about", f' aria-label="What is this? {title}"') if text == "?" else ("", "")
    return (
        f'<button type="button" class="{kind or "spa-word"}" popovertarget="spa-about-{word}"'
        f"{name}>{escape(text)}</button>"
    )


def meanings() -> dict[str, tuple[str, str]]:
    """Every word that is explained, the families among them: its title and what it means."""
    families = {}
    for name, generate in FAMILIES.items():
        (line, *_) = str(sys.modules[generate.__module__].__doc__).splitlines()
        families[name] = (f"Family: {name.replace('_', ' ')}", line)
    return WORDS | families


def popovers() -> str:
    """What the buttons open; once on the page."""
    return "".join(
        f'<section popover id="spa-about-{word}" class="spa-popover">'
        f"<h2>{escape(title)}</h2><p>{escape(text)}</p>"
        f'<button type="button" popovertarget="spa-about-{word}" popovertargetaction="hide">Close'
        "</button></section>"
        for word, (title, text) in meanings().items()
    )


def glossary() -> str:
    """A line with all words, and where to read more."""
    words = " · ".join(
        about(word, title.lower().removeprefix("family: ").removeprefix("training loss, in "))
        for word, (title, _) in meanings().items()
    )
    return (
        f'<p class="spa-glossary">Words: {words}. Read more: '
        '<a href="readme" target="_blank">what this is (README)</a>, '
        f'<a href="{PAPER}" target="_blank" rel="noopener">Lester et al., 2021</a>.</p>'
    )


def readme_route() -> Route:
    """Serves the README as plain text."""

    async def readme(_: Request) -> PlainTextResponse:
        return PlainTextResponse(README.read_text(encoding="utf-8"))

    return Route("/readme", readme)
