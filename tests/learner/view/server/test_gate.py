"""What passes the gate, and what it says of the rest."""

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from fastapi.testclient import TestClient
from starlette.middleware import Middleware

from learner.view.server.gate import ANY, Gate
from learner.view.server.login import Login

HERE = "http://127.0.0.1:7860"


@pytest.fixture
def login(monkeypatch):
    monkeypatch.delenv("SPACE_ID", raising=False)
    return Login(on_loopback=True)


def client(login, *names, address=HERE):
    app = FastAPI(middleware=[Middleware(Gate, login, names)])
    app.get("/", response_class=HTMLResponse)(lambda: "the page")
    app.get("/file", response_class=HTMLResponse)(lambda: "a file")
    return TestClient(app, base_url=address, follow_redirects=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:80", "[::1]:7860", "127.8.8.8", "box"])
def test_it_answers_to_this_machines_names_and_those_it_was_given(login, host):
    found = client(login, "box").get("/file", headers={"host": host})
    assert (found.status_code, found.text) == (200, "a file")


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "127.0.0.1.evil.example", "localhost.", "192.168.1.2", "[::2]", "[]"],
)
def test_another_name_is_refused_in_a_sentence(login, host):
    """As when a stranger's web page has its name point here."""
    for path in ("/", "/file", f"/?key={login.secret}"):
        found = client(login, "box").get(path, headers={"host": host})
        assert found.status_code == 403 and "--allow-host" in found.text
        assert "set-cookie" not in found.headers
    assert client(login, ANY).get("/file", headers={"host": host}).status_code == 200


def test_the_secret_is_kept_by_the_browser_and_leaves_the_address(login):
    link = login.link(f"{HERE}/")
    found = client(login).get(f"{link}&prompt=ada/p")
    assert found.status_code == 303 and found.headers["location"] == "./?prompt=ada%2Fp"
    cookie = found.headers["set-cookie"]
    assert cookie.startswith(f"{login.cookie}={login.secret};")
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert client(login).get(link).headers["location"] == "./"


@pytest.mark.parametrize("key", ["", "wrong", "%00", "%F0%9F%A7%8A"])
def test_a_wrong_secret_only_leaves_the_address(login, key):
    found = client(login).get(f"/?key={key}")
    assert found.status_code == 303 and "set-cookie" not in found.headers


def test_every_answer_says_that_nothing_foreign_is_fetched(login):
    for names in ((), (ANY,)):
        for path in ("/", "/file", "/nothing", f"/?key={login.secret}"):
            policy = client(login, *names).get(path).headers["content-security-policy"]
            assert policy.startswith("default-src 'self'") and "://" not in policy


def test_another_apps_secret_is_none_here(login):
    other = Login(on_loopback=True)
    assert other.cookie != login.cookie
    assert "set-cookie" not in client(login).get(other.link(f"{HERE}/")).headers
