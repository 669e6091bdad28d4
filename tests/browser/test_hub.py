"""The Hub's panel by mouse and by keyboard, against a Hub on loopback: push, link, look, browse."""

import dataclasses
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from learner.checkpoint.format import pack
from learner.hub.card import hub_card
from learner.learning.learner import LearnerConfig, new_learner
from learner.model.loading import load_base_model
from tests.browser.forwarder import Forwarder
from tests.browser.running_app import open_by_link
from tests.browser.visitor import Visitor
from tests.hub.samples import sample_results
from tests.hub.store import File

REPO = "bob/his-prompt"


@pytest.fixture(scope="module")
def entrance(hub, tmp_path_factory):
    """An app on ada's own machine, which is logged in as her, by the link that it printed."""
    with open_by_link(
        tmp_path_factory.mktemp("app"),
        program=("app.py", "--held-out", "20"),
        HF_ENDPOINT=hub.endpoint,
        HF_HUB_OFFLINE="0",
        HF_TOKEN=hub.store.add_login("ada"),
    ) as link:
        yield link


@pytest.fixture(scope="module")
def url(entrance):
    return entrance.partition("?")[0]


@pytest.fixture(scope="module", autouse=True)
def somebody_elses_prompt(hub):
    """A soft prompt of bob's for the model in use, as if learnt from 12 episodes."""
    base_model = load_base_model()
    learner = dataclasses.replace(new_learner(base_model, LearnerConfig(seed=5)), episodes=12)
    files = pack(learner, base_model)
    files["README.md"] = hub_card(learner, REPO, sample_results()).encode()
    repo = hub.store.create("model", REPO, private=False)
    hub.store.large_files.update({File(data).sha256: data for data in files.values()})
    changes = {name: File(data, name.endswith(".safetensors")) for name, data in files.items()}
    hub.store.commit(repo, "Learnt on a Sunday", "bob", changes, "")


@pytest.fixture
def shared(visitor) -> Visitor:
    """Somebody who looks at the Save & share tab."""
    visitor.opens_tab("Save & share")
    return visitor


def note(visitor, name):
    return visitor.page.locator(f"#spa-{name}")


def looks_at(visitor, reference):
    visitor.page.get_by_label("Soft prompt on the Hub").fill(reference)
    visitor.presses("Look")


def test_push_copy_the_link_and_open_it_as_somebody_else(visit, hub, url):
    ada = visit(permissions=["clipboard-read", "clipboard-write"]).arrive()
    ada.trains(8)
    ada.opens_tab("Save & share")
    expect(note(ada, "who")).to_contain_text("You push as ada.")
    repository = ada.page.get_by_label("Repository")
    expect(repository).not_to_be_empty()
    repository.fill("ada/first")
    ada.page.get_by_label("Private").uncheck()
    ada.page.get_by_label("What changed").fill("Eight episodes")
    ada.presses("Push to the Hub")
    expect(note(ada, "pushed")).to_contain_text("Pushed to ada/first")
    expect(note(ada, "pushed")).to_contain_text("everybody can see it")
    repo = hub.store.repos["model", "ada/first"]
    assert [commit.title for commit in repo.commits] == ["initial commit", "Eight episodes"]
    assert "problems gained" in repo.head.files["README.md"].data.decode()

    link = f"{url.rstrip('/')}/?prompt=ada/first@{repo.head.oid}"
    expect(ada.page.get_by_label("Opens the app with this soft prompt")).to_have_value(link)
    ada.presses("Copy link")
    expect(ada.button("Copied")).to_be_visible()
    assert ada.page.evaluate("navigator.clipboard.readText()") == link

    eve = visit()
    eve.page.goto(link)
    expect(eve.learnt).to_have_text("learnt from 8 episodes")
    expect(eve.page.locator(".toast-body")).to_contain_text("You go on with ada/first")
    assert "prompt=" not in eve.page.url
    eve.sees_four_answers()
    eve.presses("Undo")
    expect(eve.learnt).to_have_text("not trained yet")


@pytest.fixture
def forwarder(url):
    """Another port of this machine, which passes on whatever comes."""
    address = urlsplit(url)
    with Forwarder((address.hostname, address.port)) as port:
        yield f"http://127.0.0.1:{port}/"


def test_strangers_whose_requests_come_from_this_machine_get_none_of_its_login(
    visit, hub, url, forwarder
):
    """A forwarder in front of the app makes all of them local; it passes on no secret of hers."""
    eve = visit()
    for address in (forwarder, url, f"{url}?key=a-guess"):
        eve.page.goto(address)
        eve.sees_four_answers()
        eve.opens_tab("Save & share")
        expect(note(eve, "who")).to_contain_text("open the page by the link that the app printed")
        eve.page.get_by_label("Repository").fill("ada/not-hers")
        eve.presses("Push to the Hub")
        expect(eve.complaint).to_contain_text("open the page by the link that the app printed")
    assert ("model", "ada/not-hers") not in hub.store.repos


def test_the_secret_leaves_the_address_and_a_reload_keeps_it(visit, entrance):
    ada = visit().arrive()
    assert "key=" in entrance and "key=" not in ada.page.url
    ada.reloads()
    ada.opens_tab("Save & share")
    expect(note(ada, "who")).to_contain_text("You push as ada.")


def test_a_reload_after_a_link_keeps_what_was_learnt_since(visit, url):
    visitor = visit()
    visitor.page.goto(f"{url}?prompt={REPO}")
    expect(visitor.learnt).to_have_text("learnt from 12 episodes")
    visitor.sees_four_answers()
    visitor.trains(4)
    visitor.reloads()
    expect(visitor.learnt).to_have_text("learnt from 16 episodes")


def test_a_bad_link_is_a_sentence_and_nothing_more(visit, url):
    visitor = visit()
    visitor.page.goto(f"{url}?prompt=<img src=x onerror=\"document.title='owned'\">")
    expect(visitor.complaint).to_contain_text("is not the name of a soft prompt")
    visitor.sees_four_answers()
    expect(visitor.learnt).to_have_text("not trained yet")
    assert visitor.page.locator(".toast-body img").count() == 0
    assert visitor.page.title() == "Soft Prompt Arena"


def test_all_of_it_by_keyboard_alone(visit, hub):
    """Push, copy the link, browse, look, use: Tab, Enter, Space and letters only."""
    ada = visit(permissions=["clipboard-read", "clipboard-write"]).arrive()
    press, page = ada.page.keyboard.press, ada.page
    ada.tabs_to(page.get_by_role("tab", name="Save & share"))
    press("Enter")
    expect(note(ada, "who")).to_contain_text("You push as ada.")
    ada.tabs_to(page.get_by_label("Repository"))
    ada.types("ada/by-keys")
    ada.tabs_to(page.get_by_label("What changed"))
    ada.types("No mouse")
    ada.tabs_to(page.get_by_label("Private"))
    press("Space")
    ada.tabs_to(ada.button("Push to the Hub"))
    press("Enter")
    expect(note(ada, "pushed")).to_contain_text("everybody can see it")
    repo = hub.store.repos["model", "ada/by-keys"]
    assert repo.head.title == "No mouse"
    ada.tabs_to(ada.button("Copy link"))
    press("Space")
    expect(ada.button("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").endswith(repo.head.oid)

    ada.tabs_to(page.get_by_role("radio", name="most liked"))
    press("Space")
    ada.tabs_to(ada.button("Browse"))
    press("Enter")
    choice = page.get_by_role("radio", name="ada/by-keys")
    expect(choice).to_be_visible()
    ada.tabs_to(choice)
    press("Space")
    expect(page.locator(".spa-found")).to_contain_text("ada/by-keys")

    ada.tabs_to(page.get_by_label("Soft prompt on the Hub"))
    ada.types(REPO)
    press("Enter")
    found = page.locator(".spa-found")
    for words in ("bob", "12 episodes", "of 10 right", "8 virtual tokens"):
        expect(found).to_contain_text(words)
    expect(ada.learnt).to_have_text("not trained yet")  # only looked at so far
    ada.tabs_to(ada.button("Use it"))
    press("Enter")
    expect(note(ada, "preview")).to_contain_text(f"You go on with {REPO}")
    expect(ada.learnt).to_have_text("learnt from 12 episodes")


def test_the_name_that_is_offered_follows_what_was_learnt_until_it_is_typed_over(shared):
    repository = shared.page.get_by_label("Repository")
    expect(repository).to_have_value("ada/soft-prompt-pocket-mixed")
    shared.opens_tab("Teach")
    shared.asks("Is water wet?", "Yes")
    shared.sees_four_answers()
    shared.presses("Train on this problem")
    expect(shared.learnt).to_have_text("learnt from 1 episode")
    shared.opens_tab("Save & share")
    expect(repository).to_have_value("ada/soft-prompt-pocket-own")
    repository.fill("ada/mine")
    shared.opens_tab("Teach")
    shared.opens_tab("Save & share")
    expect(note(shared, "who")).to_contain_text("You push as ada.")
    expect(repository).to_have_value("ada/mine")


def test_browse_choose_and_use_by_mouse(shared):
    shared.presses("Browse")
    shared.page.get_by_role("radio", name=REPO).click()
    expect(shared.page.locator(".spa-found")).to_contain_text(REPO)
    shared.presses("Use it")
    expect(shared.learnt).to_have_text("learnt from 12 episodes")


def test_what_cannot_be_loaded_is_said_and_changes_nothing(shared):
    for reference, says in (
        ("bob/nothing", "There is no model bob/nothing on the Hub"),
        ("nonsense", "has no owner"),
        ("https://huggingface.co/datasets/a/b", "is a dataset"),
    ):
        looks_at(shared, reference)
        shared.hears(says)
        expect(shared.button("Use it")).to_be_hidden()
    expect(shared.learnt).to_have_text("not trained yet")


def test_a_changed_repository_is_told_then_pushed_on_top_of(shared, hub):
    repo = hub.store.create("model", "ada/second", private=True)
    hub.store.commit(repo, "by hand", "ada", {"README.md": File(b"# Mine\n")}, "")
    shared.page.get_by_label("Repository").fill("ada/second")
    shared.presses("Push to the Hub")
    expect(shared.complaint).to_contain_text("holds something that this push has not seen")
    assert repo.head.title == "by hand"
    shared.presses("Push to the Hub")
    expect(note(shared, "pushed")).to_contain_text("only you can see it")
    assert repo.head.title == "Soft prompt after 0 episodes"


def test_the_panel_fits_a_phone(visit):
    visitor = visit(width=390, height=844).arrive()
    visitor.opens_tab("Save & share")
    looks_at(visitor, REPO)
    expect(visitor.page.locator(".spa-found")).to_be_visible()
    assert visitor.fits()
