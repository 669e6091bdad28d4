"""The Hub's client for a server: calls end in time, use the given login, and fail in a sentence.

The client waits without limit by default, sleeps for as long as a busy Hub asks it to, and sends
the machine's own token wherever none is named. Large files it carries by Xet, whose network stack
is another, without these limits and with a cache of its own for all it carries, private files too.
None of this may happen to a visitor's click; and soft prompts are small. What else a Hub may not do
is in `wariness`.

It raises a dozen kinds of error from four layers. `hub_errors` turns them into `HubError`; nothing
that a request carried (a token above all) ever gets into the sentence, which is made from the kind
of error, the status code, and what the Hub itself said about it.
"""

import errno
import hashlib
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from huggingface_hub import (
    HfApi,
    constants,
    get_session,
    get_token,
    is_offline_mode,
    set_client_factory,
)
from huggingface_hub import errors as client
from huggingface_hub.hf_api import ModelInfo, RepoFile, SpaceInfo
from huggingface_hub.utils import hf_raise_for_status, httpx, parse_ratelimit_headers

from learner.hub.wariness import WarinessError, check_request, check_response

LIBRARY = "soft-prompt-arena"
LOG_IN = (
    "Log in to the Hub first: run `hf auth login` in a terminal, or set HF_TOKEN to a token from "
    "huggingface.co/settings/tokens."
)
_PATIENCE = 10  # seconds of waiting asked for by the Hub; what is more is told to the person
_CONNECT_SECONDS = 5.0
_CONFLICT = (409, 412)  # the second is what the Hub says where the first would be expected
_MAX_QUOTE = 200  # characters of what the Hub said


class HubError(ValueError):
    """Something on the Hub could not be done; the message is one sentence saying what to do."""


class HubAwayError(HubError):
    """The Hub cannot be reached, or does not answer in time."""


class RemoteChangedError(HubError):
    """The repository holds something that was not seen yet; ``commit`` is its head.

    Push again with it as ``parent_commit`` to add a new revision on top.
    """

    def __init__(self, message: str, commit: str) -> None:
        super().__init__(message)
        self.commit = commit


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
    logging.getLogger("huggingface_hub.utils._http").setLevel(logging.ERROR)  # of every new try
    hooks = get_session().event_hooks

    def fresh_client() -> httpx.Client:
        return httpx.Client(
            event_hooks={
                "request": [*hooks["request"], _before],
                "response": [*hooks["response"], _after],
            },
            follow_redirects=True,
            timeout=_limits(),  # for uploads, which go out without our name
            transport=_Transport(),
        )

    set_client_factory(fresh_client)


class _Transport(httpx.HTTPTransport):
    """Tells at once that the Hub cannot be reached.

    The client would try five times over, and close the connections of all others each time.
    """

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return super().handle_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            if not _is_ours(request):
                raise
            raise HubAwayError(explain(error, "it", signed_in=True)) from error


def _limits() -> httpx.Timeout:
    limit = float(constants.HF_HUB_DOWNLOAD_TIMEOUT)
    return httpx.Timeout(limit, connect=min(limit, _CONNECT_SECONDS))


def _before(request: httpx.Request) -> None:
    """Put time limits where the client asked for none, which it does in most calls."""
    if _is_ours(request):
        asked = request.extensions["timeout"]
        given = {phase: seconds for phase, seconds in asked.items() if seconds is not None}
        request.extensions = {**request.extensions, "timeout": {**_limits().as_dict(), **given}}
        check_request(request)


def _after(response: httpx.Response) -> None:
    """Look at an answer first, and raise what the client would sit out for longer than a person."""
    if _is_ours(response.request):
        check_response(response)
        if (wait_asked_for(response) or 0) > _PATIENCE:
            response.read()
            hf_raise_for_status(response)


def _is_ours(request: httpx.Request) -> bool:
    return request.headers.get("user-agent", "").startswith(LIBRARY)


@contextmanager
def hub_errors(subject: str, signed_in: bool) -> Iterator[None]:
    """Say in a sentence why a call of the Hub client inside failed; put nothing else inside.

    ``subject`` is the repository (or what else is asked for); ``signed_in`` whether the requests
    carry a token, because without one the remedy is another.
    """
    try:
        yield
    except HubError:
        raise
    except (
        httpx.HTTPError,  # HfHubHTTPError too
        OSError,
        RuntimeError,  # failed uploads come wrapped in one, and hf_xet's errors are
        client.RevisionResolutionError,
        client.OIDCError,
        # an answer that is not JSON, or of another shape than the client expects
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        AssertionError,
    ) as error:
        sentence = explain(error, subject, signed_in)
        away = isinstance(error, httpx.TransportError)
        raise (HubAwayError if away else HubError)(sentence) from error


def is_conflict(error: Exception) -> bool:
    """Whether the Hub refused a commit because its parent is no longer the head."""
    return isinstance(error, client.HfHubHTTPError) and error.response.status_code in _CONFLICT


def may_have_arrived(error: Exception) -> bool:
    """Whether a request may have done its work although no good answer came back."""
    if isinstance(error, client.HfHubHTTPError):
        return error.response.status_code in (408, 500, 502, 503, 504)
    return isinstance(error, httpx.TransportError)


def wait_asked_for(response: httpx.Response) -> int | None:
    """Seconds that the Hub asks to wait before the next request, where it says so."""
    if response.status_code == 429:
        limit = parse_ratelimit_headers(response.headers)
        if limit is not None and limit.remaining == 0:
            return limit.reset_in_seconds
    seconds = response.headers.get("Retry-After", "").strip()
    return int(seconds) if seconds.isdecimal() else None


def explain(error: BaseException, subject: str, signed_in: bool) -> str:
    """One sentence for ``error``, or for the first of its causes that there is a sentence for."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    for cause in causes:
        if sentence := _sentence(cause, subject, signed_in):
            return sentence
    return f"The Hub gave no answer about {subject} that makes sense; try again in a few minutes."


def _sentence(error: BaseException, subject: str, signed_in: bool) -> str | None:
    if isinstance(error, WarinessError):
        return str(error)
    if isinstance(error, client.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE keeps the app off the network; unset it and try again."
    if is_offline_mode() and isinstance(
        error, (client.LocalEntryNotFoundError, client.RevisionResolutionError)
    ):
        return (
            f"{subject} is not in this machine's cache, and HF_HUB_OFFLINE keeps the app off the "
            "network; unset it and try again."
        )
    if isinstance(error, client.HfHubHTTPError):
        return _answer(error, subject, signed_in)
    if isinstance(error, httpx.TimeoutException):
        return "The Hub did not answer in time; try again in a moment."
    if isinstance(error, (httpx.ConnectError, httpx.ProxyError)):
        return "The Hub is out of reach; check the internet connection and try again."
    if isinstance(error, httpx.TransportError):
        return "The connection to the Hub broke off; try again: nothing is made twice."
    if isinstance(error, client.HFValidationError):
        return f"{subject} is not the name of a repository, which looks like user/name."
    if isinstance(error, client.OIDCError):
        return "HF_OIDC_RESOURCE is set, but gives no login; correct it or unset it."
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"There is no room left on this machine's disk for {subject}; make some."
    if isinstance(error, PermissionError):
        return "The Hub's cache on this machine cannot be written; check HF_HOME."
    return None


def _answer(error: client.HfHubHTTPError, subject: str, signed_in: bool) -> str | None:
    """A sentence for what the Hub itself said no to."""
    sign_in = "" if signed_in else " Sign in and try again."
    status = error.response.status_code
    if isinstance(error, client.GatedRepoError):
        return (
            f"{subject} is gated: ask for access on its page on the Hub, then load it signed in "
            "with the account that was let in."
        )
    if isinstance(error, client.DisabledRepoError):
        return f"The Hub has disabled access to {subject}; load another."
    if isinstance(error, client.RevisionNotFoundError):
        return f"{subject} has no such revision; leave out what follows the @ for the newest."
    if isinstance(error, client.EntryNotFoundError):
        return f"{subject} lacks a file it should have; load another revision of it."
    if isinstance(error, client.RepositoryNotFoundError):
        who = "your account may not see it" if signed_in else "only its owner sees it"
        return f"There is no model {subject} on the Hub, or it is private and {who}.{sign_in}"
    if _is_quota(status, error.server_message or ""):
        return (
            f"The Hub has no room left in your account for {subject}; free some, or switch Private "
            "off, because public storage is counted apart."
        )
    if status == 401:
        return "The Hub did not accept your login: it has expired or is wrong; log in again."
    if status == 403:
        return f"You may not do that to {subject} with this login{_quoted(error)}.{sign_in}"
    if status in _CONFLICT:
        return f"{subject} has changed on the Hub in the meantime; look at it, then push again."
    if status == 404:
        return f"The Hub does not know {subject}; check the name."
    if status == 429:
        wait = wait_asked_for(error.response)
        when = f"in {wait} seconds" if wait else "in a few minutes"
        return f"The Hub has had too many requests from here; try again {when}."
    if status >= 500 or status == 408:
        return f"The Hub is out of order at the moment ({status}); try again in a few minutes."
    return f"The Hub refused {subject} ({status}{_quoted(error)})."


def _is_quota(status: int, said: str) -> bool:
    return status in (402, 413, 507) or (
        status == 403 and any(word in said.lower() for word in ("storage", "quota", "your plan"))
    )


def _quoted(error: client.HfHubHTTPError) -> str:
    """What the Hub said about it, printable and in bounds; or nothing."""
    said = " ".join((error.server_message or "").split()).rstrip(".")
    return f": {ascii(said[:_MAX_QUOTE])[1:-1]}" if said else ""


def is_same(remote: RepoFile, data: bytes) -> bool:
    """Whether a file of a repository holds these bytes; ``remote`` says what is known of it."""
    if remote.lfs is not None:
        return remote.lfs.sha256 == hashlib.sha256(data).hexdigest()
    blob = b"blob %d\0" % len(data) + data  # as git names it
    return remote.blob_id == hashlib.sha1(blob, usedforsecurity=False).hexdigest()


def head_of(info: ModelInfo | SpaceInfo) -> str:
    """The newest commit of a repository."""
    if info.sha is None:
        raise ValueError("the Hub names no commit")
    return info.sha
