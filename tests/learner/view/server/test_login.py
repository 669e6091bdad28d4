"""Whose login a click may use."""

import gradio as gr
import pytest

from learner.view.server.login import Login, can_sign_in, is_local, lacking_for_sign_in

VISITORS = gr.OAuthToken("hf_visitors", "openid profile contribute-repos", 0)
OAUTH = ("OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET", "OAUTH_SCOPES", "OPENID_PROVIDER_URL")


@pytest.fixture
def login():
    return Login(on_loopback=True)


def request(client="127.0.0.1", cookies=None, **headers):
    return gr.Request(
        client={"host": client},
        headers={"host": "127.0.0.1:7860", **headers},
        cookies=cookies or {},
    )


def owners(login, **options):
    """A request from a browser that opened the printed link."""
    return request(cookies={login.cookie: login.secret}, **options)


@pytest.fixture(autouse=True)
def machine_with_a_login(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_machines")
    for name in ("SYSTEM", "SPACE_ID", *OAUTH):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def space(monkeypatch):
    monkeypatch.setenv("SYSTEM", "spaces")
    monkeypatch.setenv("SPACE_ID", "ada/arena")


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7860", "LOCALHOST", "[::1]:7860"])
def test_who_opened_the_printed_link_uses_the_machines_login(login, host):
    assert login.token(owners(login, host=host), None) == "hf_machines"
    origin = {"host": host, "origin": f"http://{host}"}
    assert login.token(owners(login, **origin), None) == "hf_machines"


def test_who_did_not_is_told_to(login):
    for cookies in ({}, {login.cookie: ""}, {login.cookie: "x"}, {"other": login.secret}):
        assert login.token(request(cookies=cookies), None) is None
    assert login.token(owners(Login(on_loopback=True)), None) is None
    assert "open the page by the link" in login.how_to_sign_in(request())


@pytest.mark.parametrize(
    "from_elsewhere",
    [
        {"client": "192.168.1.7"},
        {"client": "192.168.1.7", "host": "localhost:7860"},
        {"host": "192.168.1.2:7860"},
        {"host": "abc.gradio.live"},
        {"host": "localhost.example.com"},
        {"host": ""},
        {"x-forwarded-for": "203.0.113.9"},
        {"forwarded": "for=203.0.113.9"},
        {"origin": "http://127.0.0.1:8000"},
        {"origin": "null"},
    ],
)
def test_nobody_else_does_even_with_the_secret(login, from_elsewhere):
    stranger = owners(login, **from_elsewhere)
    assert not is_local(stranger)
    assert login.token(stranger, None) is None
    assert "somebody else's machine" in login.how_to_sign_in(stranger)


def test_an_app_that_listens_to_others_has_no_secret_and_lends_no_login():
    login = Login(on_loopback=False)
    assert login.link("http://0.0.0.0:7860/") == "http://0.0.0.0:7860/"
    for given in ("", None, login.secret):
        assert not login.is_secret(given)
    assert login.token(owners(login), None) is None
    assert "--use-my-login" in login.how_to_sign_in(request())


def test_it_can_be_lent_to_all_but_never_on_a_space(monkeypatch):
    stranger = request(client="192.168.1.7", host="box:7860")
    lent = Login(on_loopback=False, for_all=True)
    assert lent.token(stranger, None) == "hf_machines"
    monkeypatch.setenv("SPACE_ID", "ada/arena")
    for login in (lent, Login(on_loopback=True, for_all=True)):
        assert not login.is_owners(owners(login)) and login.token(owners(login), None) is None


def test_on_a_space_it_is_the_visitors_or_nobodys(space, login):
    assert login.secret == ""
    assert login.token(owners(login), VISITORS) == "hf_visitors"
    assert login.token(owners(login), None) is None


def test_off_a_space_a_sign_in_means_nothing(login):
    """Gradio mocks the sign-in there, with a token that is none."""
    assert login.token(request(client="10.0.0.1"), VISITORS) is None


def test_the_button_is_only_where_it_works(space, login, monkeypatch):
    assert not can_sign_in() and not lacking_for_sign_in()
    assert "has no OAuth" in login.how_to_sign_in(request())
    for name in OAUTH:
        assert not can_sign_in()
        monkeypatch.setenv(name, "0000")
    assert can_sign_in() and not lacking_for_sign_in()
    assert "Sign in with Hugging Face" in login.how_to_sign_in(request())
    monkeypatch.delenv("OAUTH_CLIENT_SECRET")
    assert not can_sign_in() and lacking_for_sign_in() == ["OAUTH_CLIENT_SECRET"]
    monkeypatch.setenv("OAUTH_CLIENT_SECRET", "0000")
    monkeypatch.delenv("SYSTEM")  # off a Space Gradio raises instead
    assert not can_sign_in()


def test_at_ones_own_machine_without_a_login_one_is_told_how(login, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    assert login.token(owners(login), None) is None
    assert "hf auth login" in login.how_to_sign_in(owners(login))
