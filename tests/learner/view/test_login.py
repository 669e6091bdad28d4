"""Whose login a click may use."""

import gradio as gr
import pytest

from learner.view.login import at_this_machine, can_sign_in, how_to_sign_in, visitor_token

VISITORS = gr.OAuthToken("hf_visitors", "openid profile contribute-repos", 0)


def request(client="127.0.0.1", **headers):
    return gr.Request(client={"host": client}, headers={"host": "127.0.0.1:7860", **headers})


@pytest.fixture(autouse=True)
def machine_with_a_login(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_machines")
    for name in ("SYSTEM", "SPACE_ID", "OAUTH_CLIENT_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def space(monkeypatch):
    monkeypatch.setenv("SYSTEM", "spaces")
    monkeypatch.setenv("SPACE_ID", "ada/arena")


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7860", "localhost", "[::1]:7860"])
def test_who_sits_at_the_machine_uses_its_login(host):
    assert visitor_token(request(host=host), None) == "hf_machines"


@pytest.mark.parametrize(
    "from_elsewhere",
    [
        request(client="192.168.1.7"),
        request(client="192.168.1.7", host="localhost:7860"),
        request(host="192.168.1.2:7860"),
        request(host="abc.gradio.live"),
        request(host="localhost.example.com"),
        request(host=""),
        request(**{"x-forwarded-for": "203.0.113.9"}),
        request(forwarded="for=203.0.113.9"),
    ],
)
def test_nobody_else_does(from_elsewhere):
    assert not at_this_machine(from_elsewhere)
    assert visitor_token(from_elsewhere, None) is None
    assert "somebody else's machine" in how_to_sign_in(from_elsewhere)


def test_on_a_space_it_is_the_visitors_or_nobodys(space):
    assert visitor_token(request(), VISITORS) == "hf_visitors"
    assert visitor_token(request(), None) is None


def test_off_a_space_a_sign_in_means_nothing(monkeypatch):
    """Gradio mocks the sign-in there, with a token that is none."""
    assert visitor_token(request(client="10.0.0.1"), VISITORS) is None


def test_the_button_is_only_where_it_works(space, monkeypatch):
    assert not can_sign_in()
    assert "has no OAuth" in how_to_sign_in(request())
    monkeypatch.setenv("OAUTH_CLIENT_ID", "0000")
    assert can_sign_in()
    assert "Sign in with Hugging Face" in how_to_sign_in(request())
    monkeypatch.delenv("SYSTEM")  # off a Space Gradio raises instead
    assert not can_sign_in()


def test_at_ones_own_machine_without_a_login_one_is_told_how(monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    assert visitor_token(request(), None) is None
    assert "hf auth login" in how_to_sign_in(request())
