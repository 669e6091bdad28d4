"""Everything that can go wrong with the Hub, and the one sentence that is said about it."""

import pytest

from learner.hub.client import HubError
from learner.hub.push import push
from learner.hub.reference import Reference
from learner.hub.soft_prompts import browse, fetch
from tests.hub.protocol import Response
from tests.hub.samples import POCKET_MODEL, trained_learner
from tests.hub.server import DROP, STALL, HubServer

REPO = "ada/prompt"
NOT_NOW = 10  # times; more often than anything is tried again

STATUSES = [
    (401, {}, "", "did not accept your login"),
    (402, {}, "Payment required", "no room left in your account"),
    (403, {}, "", "You may not do that to ada/prompt"),
    (403, {}, "Private repository storage limit reached", "no room left in your account"),
    (404, {}, "", "does not know ada/prompt"),
    (404, {"X_Error_Code": "RepoNotFound"}, "", "There is no model ada/prompt"),
    (403, {"X_Error_Code": "GatedRepo"}, "", "is gated: ask for access"),
    (403, {}, "Access to this resource is disabled.", "has disabled access to ada/prompt"),
    (409, {}, "", "has changed on the Hub"),
    (413, {}, "", "no room left in your account"),
    (418, {}, "I'm a teapot", "refused ada/prompt (418: I'm a teapot)"),
    (429, {}, "", "too many requests from here; try again in a few minutes"),
    (429, {"Retry_After": "120"}, "", "try again in 120 seconds"),
    (429, {"RateLimit": '"api";r=0;t=77'}, "", "try again in 77 seconds"),
    (500, {}, "", "out of order at the moment (500)"),
    (503, {}, "", "out of order at the moment (503)"),
]


@pytest.fixture(autouse=True)
def tried_again_at_once(monkeypatch):
    """How often is tested here, not how patiently."""
    monkeypatch.setattr("learner.hub.push._RETRY_WAITS", (0.0, 0.0))


def said_by(call) -> str:
    with pytest.raises(HubError) as caught:
        call()
    sentence = str(caught.value)
    assert sentence.isprintable() and sentence.endswith((".", "?")) and len(sentence) < 300
    return sentence


@pytest.mark.parametrize(("status", "headers", "message", "says"), STATUSES)
def test_a_refusal_while_loading(hub, qwen2, status, headers, message, says):
    hub.store.create("model", REPO, private=False)
    hub.refuse("GET", f"/api/models/{REPO}", status, message, times=NOT_NOW, **headers)
    token = hub.store.add_login("bob")
    call = lambda: fetch(Reference(REPO), token, qwen2, keep=False, endpoint=hub.endpoint)  # noqa: E731
    assert says in said_by(call)


@pytest.mark.parametrize(
    ("path", "status", "message", "says"),
    [
        ("/api/whoami-v2", 401, "", "did not accept your login"),
        ("/api/whoami-v2", 503, "", "out of order"),
        ("/api/repos/create", 403, "You don't have the rights", "You don't have the rights"),
        ("/api/repos/create", 402, "", "no room left"),
        ("/api/validate-yaml", 400, "", "refused ada/prompt (400"),
        ("/preupload/", 403, "Private repository storage limit reached", "no room left"),
        ("/preupload/", 403, "", "You may not do that"),
        ("/objects/batch", 413, "", "no room left"),
        ("/commit/", 401, "", "did not accept your login"),
        ("/commit/", 403, "", "You may not do that"),
        ("/commit/", 503, "", "out of order"),
    ],
)
def test_a_refusal_while_pushing(hub, qwen2, path, status, message, says):
    method = "GET" if "whoami" in path else "POST"
    hub.refuse(method, path, status, message, times=NOT_NOW)
    ada = hub.store.add_login("ada")
    assert says in said_by(lambda: push(trained_learner(qwen2), REPO, ada, endpoint=hub.endpoint))


@pytest.mark.parametrize("wait", [{"Retry_After": "600"}, {"RateLimit": '"api";r=0;t=600'}])
def test_nobody_is_kept_waiting_for_minutes(hub, qwen2, wait):
    """The client would sleep for as long as the Hub asks, five times over."""
    hub.refuse("POST", "/preupload/", 429, times=NOT_NOW, **wait)
    ada = hub.store.add_login("ada")
    sentence = said_by(lambda: push(trained_learner(qwen2), REPO, ada, endpoint=hub.endpoint))
    assert "try again in 600 seconds" in sentence


@pytest.mark.parametrize(
    ("kind", "says"),
    [(DROP, "The connection to the Hub broke off"), (STALL, "did not answer in time")],
)
def test_a_connection_that_breaks_or_stalls(hub, qwen2, kind, says):
    hub.fail("GET", "/api/models/", kind, times=NOT_NOW)
    call = lambda: fetch(Reference(REPO), None, qwen2, keep=False, endpoint=hub.endpoint)  # noqa: E731
    assert says in said_by(call)


def test_a_commit_that_never_gets_through(hub, qwen2):
    hub.fail("POST", "/commit/", DROP, times=NOT_NOW)
    ada = hub.store.add_login("ada")
    sentence = said_by(lambda: push(trained_learner(qwen2), REPO, ada, endpoint=hub.endpoint))
    assert sentence == "The connection to the Hub broke off; try again: nothing is made twice."


def test_a_hub_that_is_not_there(online, qwen2):
    with HubServer() as gone:
        endpoint, token = gone.endpoint, gone.store.add_login("ada")
    learner = trained_learner(qwen2)
    for call in (
        lambda: fetch(Reference(REPO), None, qwen2, keep=False, endpoint=endpoint),
        lambda: push(learner, REPO, token, endpoint=endpoint),
    ):
        assert said_by(call) == (
            "The Hub is out of reach; check the internet connection and try again."
        )


@pytest.mark.parametrize("body", [b"<html>Please log in to the hotel's Wi-Fi</html>", b"[]", b"{}"])
def test_answers_that_are_not_the_hubs(hub, qwen2, body):
    hub.say("GET", "/api/", Response(200, body), NOT_NOW)
    said_by(lambda: fetch(Reference(REPO), None, qwen2, keep=False, endpoint=hub.endpoint))


def test_without_the_network_there_is_no_list():
    sentence = said_by(lambda: browse(POCKET_MODEL, None))
    assert "HF_HUB_OFFLINE keeps the app off the network" in sentence


def test_a_list_that_cannot_be_had(hub):
    hub.refuse("GET", "/api/models", 403, times=NOT_NOW)
    sentence = said_by(lambda: browse(POCKET_MODEL, None, endpoint=hub.endpoint))
    assert sentence.endswith("Sign in and try again.")
