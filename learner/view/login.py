"""Whose Hub login a click may use: the visitor's own, and never that of the machine it reaches.

On a Space that is what the visitor signed in with. Elsewhere it is the machine's own login, but
only for somebody who sits at this machine; over a network or a share link a visitor has none.
"""

import os
from ipaddress import ip_address

import gradio as gr
from gradio.utils import get_space

from learner.hub.client import LOG_IN, machine_token

SIGN_IN = "Sign in with Hugging Face first, with the button above."
ELSEWHERE = (
    "This app runs on somebody else's machine, whose login is not yours to use: download your soft "
    "prompt, or open the app on your own machine or on a Space."
)


# Set by whatever stands between the browser and the app.
_FORWARDED = {"forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"}


def on_space() -> bool:
    """Whether the app runs as a Hugging Face Space."""
    return bool(os.environ.get("SPACE_ID"))


def can_sign_in() -> bool:
    """Whether a sign-in button can work: on a Space that has OAuth switched on in its README."""
    return get_space() is not None and bool(os.environ.get("OAUTH_CLIENT_ID"))


def visitor_token(request: gr.Request, oauth: gr.OAuthToken | None) -> str | None:
    """The token that this visitor's requests to the Hub carry; None for none. Raises HubError."""
    if on_space():
        return oauth.token if oauth is not None else None
    return machine_token() if at_this_machine(request) else None


def at_this_machine(request: gr.Request) -> bool:
    """Whether the visitor's browser runs on the machine that the app runs on.

    Both ends are looked at: a share tunnel comes from this machine but to another name, and a
    visitor from the network can claim any name.
    """
    if on_space():
        return False
    headers = dict(request.headers)
    if not _FORWARDED.isdisjoint(headers):
        return False
    host = headers.get("host", "").rsplit(":", 1)[0].strip("[]")
    return _is_loopback(host) and _is_loopback(str(request.client.host))


def how_to_sign_in(request: gr.Request) -> str:
    """One sentence for somebody without a login."""
    if on_space():
        return SIGN_IN if can_sign_in() else "Nobody can sign in here: this Space has no OAuth."
    return LOG_IN if at_this_machine(request) else ELSEWHERE


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
