"""The Hub's client, set up for a server: every call ends in time and uses no login but the given.

The client waits without limit by default, sleeps for as long as a busy Hub asks it to, and sends
the machine's own token wherever none is named. Large files it carries by Xet, whose network stack
is another, without these limits and with a cache of its own for all it carries, private files too.
None of this may happen to a visitor's click; and soft prompts are small.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from huggingface_hub import HfApi, constants, get_session, get_token, set_client_factory
from huggingface_hub.utils import hf_raise_for_status, httpx

from learner.hub.errors import HubError, hub_errors, wait_asked_for

LIBRARY = "soft-prompt-arena"
LOG_IN = (
    "Log in to the Hub first: run `hf auth login` in a terminal, or set HF_TOKEN to a token from "
    "huggingface.co/settings/tokens."
)
_PATIENCE = 10  # seconds of waiting asked for by the Hub; what is more is told to the person
_CONNECT_SECONDS = 5.0


@dataclass(frozen=True)
class Account:
    """Who a login belongs to; ``names`` are the namespaces, theirs first, that they may push to.

    ``reads_only`` where the token says so; a token that says nothing may still be refused.
    """

    name: str
    names: tuple[str, ...]
    reads_only: bool = False


def hub_api(token: str | None, endpoint: str | None = None) -> HfApi:
    """A client for calls with this login and no other; without one they are anonymous."""
    _tame_client()
    # False, because None would mean the machine's own token, which on a server is not the visitor's
    return HfApi(endpoint, token or False, library_name=LIBRARY, library_version="1")


def machine_token(environment: Mapping[str, str] = os.environ) -> str | None:
    """The machine's own login: HF_TOKEN, or the token that ``hf auth login`` saved.

    None on a Space, where HF_TOKEN belongs to the Space and not to whoever visits it.
    """
    if environment.get("SPACE_ID"):
        return None
    with hub_errors("The login", signed_in=True):
        return get_token()


def whoami(token: str, endpoint: str | None = None) -> Account:
    """Whose login this is. Raises HubError if the Hub does not know it or is out of reach."""
    with hub_errors("Your account", signed_in=True):
        answer: dict[str, Any] = hub_api(token, endpoint).whoami(token)
    try:
        role = answer.get("auth", {}).get("accessToken", {}).get("role")
        names = (answer["name"], *(team["name"] for team in answer.get("orgs", ())))
    except (AttributeError, KeyError, TypeError) as error:
        raise HubError("The Hub did not say whose login this is; log in again.") from error
    return Account(names[0], names, reads_only=role == "read")


@cache
def _tame_client() -> None:
    """Give the client time limits, which HF_HUB_DOWNLOAD_TIMEOUT sets, and take Xet from it.

    Without Xet it uploads by Git LFS and downloads by HTTP, as it does where Xet is not installed.
    """
    constants.HF_HUB_DISABLE_XET = True
    hooks = get_session().event_hooks

    def client() -> httpx.Client:
        return httpx.Client(
            event_hooks={
                "request": [*hooks["request"], _limit_time],
                "response": [*hooks["response"], _refuse_long_waits],
            },
            follow_redirects=True,
            timeout=_limits(),  # for uploads, which go out without our name
        )

    set_client_factory(client)


def _limits() -> httpx.Timeout:
    limit = float(constants.HF_HUB_DOWNLOAD_TIMEOUT)
    return httpx.Timeout(limit, connect=min(limit, _CONNECT_SECONDS))


def _limit_time(request: httpx.Request) -> None:
    """Put limits where the client asked for none, which it does in most calls."""
    if _is_ours(request):
        asked = request.extensions["timeout"]
        given = {phase: seconds for phase, seconds in asked.items() if seconds is not None}
        request.extensions = {**request.extensions, "timeout": {**_limits().as_dict(), **given}}


def _refuse_long_waits(response: httpx.Response) -> None:
    """Raise at once what the client would sit out, if that took longer than a person waits."""
    if _is_ours(response.request) and (wait_asked_for(response) or 0) > _PATIENCE:
        response.read()
        hf_raise_for_status(response)


def _is_ours(request: httpx.Request) -> bool:
    return request.headers.get("user-agent", "").startswith(LIBRARY)
