"""Whose Hub login a click may use: the visitor's own, and never that of the machine it reaches.

On a Space that is what the visitor signed in with. Elsewhere it is the machine's own login, but
only for whoever opened the page by the link that the app printed when it started: where requests
come from says little, since anything on this machine may pass on those of strangers.
"""

import os
import secrets
from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest
from ipaddress import ip_address
from urllib.parse import urlsplit

import gradio as gr
from gradio.utils import get_space

from learner.hub.client import LOG_IN, machine_token

SIGN_IN = "Sign in with Hugging Face first, with the button above."
BY_THE_LINK = (
    "To use this machine's Hub login, open the page by the link that the app printed when it "
    "started; it ends in ?key= and a secret."
)
OPEN_TO_OTHERS = (
    "The app listens to other machines too, so it lends nobody this machine's Hub login; start it "
    "without --host, or with --use-my-login."
)
ELSEWHERE = (
    "This app runs on somebody else's machine, whose login is not yours to use: download your soft "
    "prompt, or open the app on your own machine or on a Space."
)
KEY = "key"  # what the secret is called in the printed link

# Set by whatever stands between the browser and the app.
_FORWARDED = {"forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"}
_OAUTH = ("OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET", "OAUTH_SCOPES", "OPENID_PROVIDER_URL")


class Login:
    """What one running app knows of logins; on a Space nothing but those of its visitors.

    The machine's own is for browsers that hold ``secret``, which there only is if the app listens
    ``on_loopback`` alone, or ``for_all`` who reach the app.
    """

    def __init__(self, on_loopback: bool, for_all: bool = False) -> None:
        self._for_all = for_all and not on_space()
        has_secret = on_loopback and not for_all and not on_space()
        self.secret = secrets.token_urlsafe(32) if has_secret else ""
        # Cookies are shared by all ports of a host: another app there gets a name of its own.
        self.cookie = f"arena-{sha256(self.secret.encode()).hexdigest()[:12]}"

    def link(self, address: str) -> str:
        """``address`` of the page as its owner opens it."""
        return f"{address}?{KEY}={self.secret}" if self.secret else address

    def is_secret(self, given: object) -> bool:
        """Whether somebody knows the secret, found out in a time that does not tell how nearly."""
        text = given if isinstance(given, str) else ""
        return bool(self.secret) and compare_digest(text.encode(), self.secret.encode())

    def token(self, request: gr.Request, oauth: gr.OAuthToken | None) -> str | None:
        """The token that a visitor's requests to the Hub carry; None for none. Raises HubError."""
        if on_space():
            return oauth.token if oauth is not None else None
        return machine_token() if self.is_owners(request) else None

    def is_owners(self, request: gr.Request) -> bool:
        """Whether a request may use what belongs to this machine's owner."""
        if on_space():
            return False
        known = self.is_secret(dict(request.cookies).get(self.cookie)) and is_local(request)
        return self._for_all or known

    def how_to_sign_in(self, request: gr.Request) -> str:
        """One sentence for somebody without a login."""
        if on_space():
            return SIGN_IN if can_sign_in() else "Nobody can sign in here: this Space has no OAuth."
        if self.is_owners(request):
            return LOG_IN
        if not is_local(request):
            return ELSEWHERE
        return BY_THE_LINK if self.secret else OPEN_TO_OTHERS


def on_space() -> bool:
    """Whether the app runs as a Hugging Face Space."""
    return bool(os.environ.get("SPACE_ID"))


def can_sign_in() -> bool:
    """Whether a sign-in button can work: on a Space that has OAuth switched on in its README."""
    return get_space() is not None and all(os.environ.get(name) for name in _OAUTH)


def lacking_for_sign_in(environment: Mapping[str, str] = os.environ) -> list[str]:
    """What is missing where somebody meant visitors to sign in; nothing where nobody did."""
    lacking = [name for name in _OAUTH if not environment.get(name)]
    return lacking if environment.get("SPACE_ID") and len(lacking) < len(_OAUTH) else []


def is_local(request: gr.Request) -> bool:
    """Whether a request seems to come from a browser on this machine, by a name of this machine.

    Both ends are looked at: a share tunnel comes from this machine but to another name, and a
    visitor from the network can claim any name. A page of another app on this machine is a
    stranger too.
    """
    headers = dict(request.headers)
    host, origin = headers.get("host", ""), headers.get("origin", "")
    return (
        _FORWARDED.isdisjoint(headers)
        and is_loopback(host_name(host))
        and is_loopback(str(request.client.host))
        and (not origin or urlsplit(origin).netloc == host)
    )


def host_name(host: str) -> str:
    """The name in a Host header, without the port and an address's brackets; lower case."""
    name = host.rpartition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name.strip("[]").lower()


def is_loopback(host: str) -> bool:
    """Whether a name or address means this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def on_loopback(host: str | None) -> bool:
    """Whether only this machine reaches an app that listens there."""
    return is_loopback((host or "127.0.0.1").strip("[]"))
