"""Whatever strangers write stays text, and the page fetches nothing from anywhere else."""

import json
import shutil
import socket
import threading
import zipfile

import pytest
from playwright.sync_api import expect

from learner.checkpoint.format import pack
from learner.learning.learner import LearnerConfig, new_learner
from learner.model.loading import load_base_model
from learner.model.source import POCKET_FOLDER
from tests.browser.running_app import open_app
from tests.browser.visitor import Visitor
from tests.hub.samples import put

REPO = "bob/his-prompt"
MODEL = "<img src=model onerror=alert(1)>"


class Spy:
    """A server somewhere else; ``visits`` counts those who asked it for anything."""

    def __init__(self) -> None:
        self.visits = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._listen, args=(connection,), daemon=True).start()

    def _listen(self, connection: socket.socket) -> None:
        """A browser may connect before it knows whether it may ask; asking is what counts."""
        with connection:
            self.visits += bool(connection.recv(1))

    def close(self) -> None:
        self._listener.close()


@pytest.fixture(scope="module")
def spy():
    spy = Spy()
    yield spy
    spy.close()


@pytest.fixture(scope="module")
def markup(spy):
    """What strangers write: something that calls home, and a form."""
    home = f"http://127.0.0.1:{spy.port}"
    return f"<img src={home}/i><form action={home}/f><button>Win</button></form>"


@pytest.fixture(scope="module")
def url(hub, tmp_path_factory):
    """The app on a base model whose folder has such a name too."""
    folder = tmp_path_factory.mktemp("app")
    shutil.copytree(POCKET_FOLDER, folder / MODEL)
    program = ("app.py", "--held-out", "20", "--model", str(folder / MODEL))
    with open_app(folder, program=program, HF_ENDPOINT=hub.endpoint, HF_HUB_OFFLINE="0") as address:
        yield address


@pytest.fixture(scope="module")
def files():
    return pack(new_learner(load_base_model(), LearnerConfig(seed=5)))


def zipped(path, files, **changes):
    """A checkpoint as a zip file, with other values in its training state."""
    state = json.loads(files["training_state.json"]) | changes
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (files | {"training_state.json": json.dumps(state).encode()}).items():
            archive.writestr(name, data)
    return path


def load(visitor, path):
    with visitor.page.expect_file_chooser() as chooser:
        visitor.presses("Load a soft prompt")
    chooser.value.set_files(path)


DIRECTIVES = "img-src style-src-elem script-src-elem frame-src connect-src form-action".split()
CALLS_HOME = """(home) => {
    window.refused = new Set();
    document.addEventListener("securitypolicyviolation", (event) =>
        window.refused.add(event.effectiveDirective));
    const image = new Image();
    image.src = home;
    document.body.append(image);
    const style = document.createElement("link");
    Object.assign(style, {rel: "stylesheet", href: home});
    const frame = document.createElement("iframe");
    frame.src = home;
    const script = document.createElement("script");
    script.src = home;
    document.head.append(style, script);
    document.body.append(frame);
    navigator.sendBeacon(home, "x");
    const form = document.createElement("form");
    Object.assign(form, {action: home, method: "post"});
    document.body.append(form);
    form.submit();
    return fetch(home).then(() => "fetched", () => "refused");
}"""


def test_what_strangers_write_is_text_and_could_call_nobody(
    browser, url, files, hub, spy, markup, tmp_path
):
    context = browser.new_context()
    page = context.new_page()
    visitor = Visitor(page, url).arrive()

    def nothing_became_of_it():
        """No element has come of it, on any tab."""
        made = page.locator(f"[src*='{spy.port}'], [action*='{spy.port}'], [src=model]")
        expect(made).to_have_count(0)

    def complains(words):
        expect(visitor.complaint.filter(has_text=words).first).to_be_visible()

    visitor.asks(f"Is {markup} taller?", markup)
    expect(visitor.question).to_contain_text(markup)
    visitor.sees_four_answers()
    nothing_became_of_it()

    visitor.opens_tab("Save & share")
    load(visitor, zipped(tmp_path / "state.zip", files, schema_version=markup))
    complains("has schema_version '<img src=")
    load(visitor, zipped(tmp_path / "families.zip", files, families=[markup]))
    complains("families")
    load(visitor, zipped(tmp_path / f"{MODEL}.zip", {**files, "adapter_config.json": b"{}"}))
    complains("adapter_config.json")
    nothing_became_of_it()

    config = {**json.loads(files["adapter_config.json"]), "base_model_name_or_path": markup}
    card = f"---\ntags: [a]\n---\nWords &lt;{markup}> {markup} [x](javascript:alert(1))"
    adapter = {name: data for name, data in files.items() if name.startswith("adapter")}
    changes = {"adapter_config.json": json.dumps(config).encode(), "README.md": card.encode()}
    put(hub, {**adapter, **changes}, REPO)
    page.get_by_label("Soft prompt on the Hub").fill(REPO)
    visitor.presses("Look")
    expect(page.locator(".spa-found").first).to_contain_text("made for<img src=")
    nothing_became_of_it()
    page.get_by_label("Soft prompt on the Hub").fill(markup)
    visitor.presses("Look")
    complains("is not a page of the Hub")
    nothing_became_of_it()

    visitor.opens_tab("Teach")
    visitor.sees_four_answers()
    # If something became markup all the same, the page's policy lets it ask nobody but the app.
    assert page.evaluate(CALLS_HOME, f"http://127.0.0.1:{spy.port}/") == "refused"
    for directive in DIRECTIVES:
        page.wait_for_function("name => window.refused.has(name)", arg=directive)
    assert page.url.startswith(url)
    assert spy.visits == 0
    context.close()
