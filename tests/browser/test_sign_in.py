"""On a Space: visitors sign in as themselves, and the Space's own login is never used for them."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.running_app import open_app


@pytest.fixture(scope="module")
def space_token(hub):
    return hub.store.add_login("space")


@pytest.fixture(scope="module")
def url(hub, space_token, tmp_path_factory):
    """The app as a Space with OAuth, which has a token of its own."""
    with open_app(
        tmp_path_factory.mktemp("space"),
        program=("app.py", "--held-out", "20"),
        known="`spaces` package is required",  # it is there on a real one
        HF_ENDPOINT=hub.endpoint,
        HF_HUB_OFFLINE="0",
        HF_TOKEN=space_token,
        OAUTH_CLIENT_ID="an-app",
        OAUTH_CLIENT_SECRET="its-secret",
        OAUTH_SCOPES="openid profile contribute-repos",
        OPENID_PROVIDER_URL=hub.endpoint,
        SOFT_PROMPT_MODELS="pocket",
        SPACE_ID="space/arena",
        SYSTEM="spaces",
    ) as address:
        yield address


def test_a_visitor_signs_in_pushes_as_themselves_and_signs_out(visit, hub, space_token):
    hub.store.person = "eve"
    eve = visit().arrive()
    eve.opens_tab("Save & share")
    who = eve.page.locator("#spa-who")
    expect(who).to_contain_text("Sign in with Hugging Face first")
    eve.page.get_by_label("Repository").fill("space/prompt")
    eve.presses("Push to the Hub")
    expect(eve.complaint).to_contain_text("Sign in with Hugging Face first")

    button = eve.page.locator("#spa-sign-in")
    with eve.page.expect_response(re.compile("/login/callback")):
        button.click()
    eve.sees_four_answers()
    eve.opens_tab("Save & share")
    expect(button).to_have_text("Logout (eve)")
    expect(who).to_contain_text("You push as eve.")
    eve.page.get_by_label("Repository").fill("eve/prompt")
    eve.presses("Push to the Hub")
    expect(eve.page.locator("#spa-pushed")).to_contain_text("Pushed to eve/prompt")
    assert hub.store.repos["model", "eve/prompt"].head.author == "eve"

    with eve.page.expect_response(re.compile("/logout")):
        button.click()
    eve.sees_four_answers()
    eve.opens_tab("Save & share")
    expect(button).to_have_text("Sign in with Hugging Face")
    eve.page.get_by_label("Soft prompt on the Hub").fill("eve/prompt")
    eve.presses("Look")
    expect(eve.complaint).to_contain_text("only its owner sees it")

    tokens = {one.authorization for one in hub.seen if one.path.startswith("/api/")}
    assert f"Bearer {space_token}" not in tokens
    assert len(tokens - {None}) == 1 and "eve" in (tokens - {None}).pop()
