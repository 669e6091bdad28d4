"""The running app, and people who visit it."""

import re
import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, sync_playwright

from tests.browser.running_app import open_app
from tests.browser.visitor import Visitor
from tests.hub.server import HubServer

# Without a window's own pages and bars, which cost nearly half as much again as the app's page.
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
HELD_OUT = 100  # problems: half of what is usual, in half the time
# What Gradio's page asks for on a Space, to show its name and likes in a corner of the window.
ON_A_SPACE = re.compile(r"https://(fonts\.googleapis\.com|huggingface\.co)/")
QUIET = (
    "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update "
    "--disable-sync --no-first-run"
).split()


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the app is open."""
    program = ("app.py", "--held-out", str(HELD_OUT))
    with open_app(tmp_path_factory.mktemp("app"), program=program) as address:
        yield address


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    """The Hub, as far as those know it who are sent there."""
    with HubServer() as server:
        yield server


@pytest.fixture(scope="module")
def entrance(url: str) -> str:
    """What a visitor opens at first."""
    return url


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, entrance: str) -> Iterator[Callable[..., Visitor]]:
    """Lets somebody new in, with a browser of their own; options as of a browser context.

    Unless an option says else they prefer less motion: it saves a fifth of the browser's work, and
    no colour is on its way when it is looked at.
    The page must never try what its own policy forbids.
    """
    contexts: list[BrowserContext] = []
    refused: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text and not ON_A_SPACE.search(message.text):
            refused.append(message.text)

    def let_in(width: int = 1280, height: int = 800, **options: object) -> Visitor:
        options = {"reduced_motion": "reduce", **options}
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        context.on("console", listen)
        contexts.append(context)
        return Visitor(context.new_page(), entrance)

    yield let_in
    for context in contexts:
        context.close()
    assert not refused


@pytest.fixture
def visitor(visit: Callable[..., Visitor]) -> Visitor:
    """Somebody who has just arrived."""
    return visit().arrive()
