"""The real app on the embedded model, in a process of its own, and people who visit it."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright
from visitor import Visitor

ROOT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium"
QUIET = (
    "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update "
    "--disable-sync --no-first-run"
).split()


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the app is open."""
    folder = tmp_path_factory.mktemp("app")
    log = folder / "log.txt"
    command = [sys.executable, "app.py", "--sessions", str(folder / "sessions")]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"GRADIO_TEMP_DIR": str(folder / "gradio")},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        opened = re.compile(r"open on (\S+)")
        found = next((match[1] for line in process.stdout if (match := opened.search(line))), None)
        assert found, log.read_text()
        yield found
        process.terminate()
        process.wait(30)
    assert "Traceback" not in log.read_text(), log.read_text()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, url: str) -> Iterator[Callable[..., Visitor]]:
    """Lets somebody new in, with a browser of their own; options as of a browser context."""
    contexts: list[BrowserContext] = []

    def let_in(width: int = 1280, height: int = 800, **options: object) -> Visitor:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        return Visitor(context.new_page(), url)

    yield let_in
    for context in contexts:
        context.close()


@pytest.fixture
def visitor(visit: Callable[..., Visitor]) -> Visitor:
    """Somebody who has just arrived."""
    return visit().arrive()
