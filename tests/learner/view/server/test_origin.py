"""Which address counts: the connection's own, and on a Space the one that a proxy saw."""

import gradio as gr
import pytest
from starlette.requests import Request

from learner.service.protocol import GROUP
from learner.view.server.origin import (
    ON_BEHALF,
    CountingBlocks,
    address_of,
    on_behalf,
    visitor_address,
)
from tests.coroutines import finished


@pytest.mark.parametrize(
    ("peer", "forwarded", "on_space", "address"),
    [
        ("203.0.113.7", "", False, "203.0.113.7"),
        ("127.0.0.1", "8.8.8.8", False, "127.0.0.1"),  # anybody can say so
        ("10.0.0.3", "8.8.8.8", True, "8.8.8.8"),
        ("10.0.0.3", "1.1.1.1, 8.8.8.8", True, "8.8.8.8"),  # the first was made up
        ("10.0.0.3", "1.1.1.1, 8.8.8.8, 10.9.8.7", True, "8.8.8.8"),
        ("10.0.0.3", "", True, "10.0.0.3"),
        ("10.0.0.3", "nonsense, 127.0.0.1", True, "10.0.0.3"),
        ("2001:4860:4860:1::8888", "", False, "2001:4860:4860:1::/64"),
        ("2001:4860:4860:1:2::1", "", False, "2001:4860:4860:1::/64"),
        ("::ffff:8.8.8.8", "", False, "8.8.8.8"),
        ("", "", False, ""),
    ],
)
def test_the_address_is_one_that_its_owner_cannot_make_up(peer, forwarded, on_space, address):
    assert address_of(peer, forwarded, on_space) == address


def asked(*headers, peer="10.0.0.3"):
    return {"client": (peer, 5000), "headers": [*headers]}


def test_a_line_that_its_sender_adds_is_not_the_one_that_a_proxy_wrote(monkeypatch):
    lines = (b"x-forwarded-for", b"1.1.1.1"), (b"x-forwarded-for", b"8.8.8.8")
    assert visitor_address(asked(*lines)) == "10.0.0.3"
    monkeypatch.setenv("SPACE_ID", "somebody/space")
    assert visitor_address(asked(*lines)) == "8.8.8.8"


def test_nobody_but_the_app_speaks_for_others():
    made_up = asked((ON_BEHALF, b"secret 8.8.8.8"), peer="127.0.0.1")
    assert visitor_address(made_up) == "127.0.0.1"
    assert visitor_address(on_behalf(made_up, "8.8.8.8")) == "8.8.8.8"


def test_what_an_event_asks_for_counts_for_its_address():
    with CountingBlocks() as blocks:
        gr.api(lambda: GROUP.get(), api_name="whose")
    (function,) = blocks.fns.values()

    def whose(*requests):
        called = blocks.call_function(function, [], None, *requests)
        return finished(called)["prediction"]

    request = gr.Request(Request({"type": "http", **asked()}))
    assert whose(request) == whose([request]) == "10.0.0.3"
    assert whose() is None
