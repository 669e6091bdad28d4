"""What a Hub may do to us: so many bytes, so much time, addresses on the internet, plain names.

A soft prompt comes from a stranger, over a network that may be somebody else's. The client trusts
what it is told: it makes files named as a header says, follows redirects wherever they lead, and
reads for as long as something comes. These hooks of its requests and responses set the limits.
"""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from ipaddress import ip_address

from huggingface_hub.utils import httpx

_COMMIT = re.compile(r"[0-9a-f]{40}")
_FILE_NAME = re.compile(r"[^/\\\0]{1,200}")


_NO_NAME = "The Hub's answer names no commit or file that there can be, so nothing was loaded."


class WarinessError(ValueError):
    """The Hub did what no Hub should; the message is one sentence."""


class _Budget:
    """What a task may still take: until ``deadline``, ``left`` bytes of answers."""

    def __init__(self, seconds: float, most_bytes: int) -> None:
        self.deadline = time.monotonic() + seconds
        self.left = most_bytes

    def check_time(self) -> None:
        if time.monotonic() > self.deadline:
            raise WarinessError("The Hub took too long to answer; try again in a few minutes.")

    def take(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise WarinessError(
                "The Hub sent more than any soft prompt needs, so nothing was taken of it."
            )


_budget: ContextVar[_Budget | None] = ContextVar("hub_budget", default=None)


@contextmanager
def within(seconds: float, most_bytes: int) -> Iterator[None]:
    """Let the requests inside take this much together; what is more is a WarinessError."""
    token = _budget.set(_Budget(seconds, most_bytes))
    try:
        yield
    finally:
        _budget.reset(token)


def check_commit(text: str) -> None:
    """Raise WarinessError unless this can be a commit: the client makes folders of that name."""
    if not _COMMIT.fullmatch(text):
        raise WarinessError(_NO_NAME)


def check_request(request: httpx.Request) -> None:
    """A hook: no request after the deadline, and no compressed answers, which swell."""
    request.headers["accept-encoding"] = "identity"
    if (budget := _budget.get()) is not None:
        budget.check_time()


def check_response(response: httpx.Response) -> None:
    """A hook: look at an answer before anything is made of it, and count its body as it comes."""
    headers = response.headers
    check_commit(headers.get("x-repo-commit", "0" * 40))
    if response.request.method == "HEAD":  # then the client names a file by its tag
        tag = headers.get("x-linked-etag") or headers.get("etag") or "none"
        if not _FILE_NAME.fullmatch(tag) or tag.strip('W/"') in (".", ".."):
            raise WarinessError(_NO_NAME)
    if headers.get("content-encoding", "identity") != "identity":
        raise WarinessError("The Hub packed its answer although it was asked not to; try again.")
    if location := headers.get("location"):
        try:
            target = response.request.url.join(location)
        except httpx.InvalidURL as error:
            raise WarinessError(_NO_NAME) from error
        _check_target(response.request.url, target)
    budget = _budget.get()
    if budget is not None and isinstance(response.stream, httpx.SyncByteStream):
        response.stream = _Counted(response.stream, budget)


class _Counted(httpx.SyncByteStream):
    """A body whose bytes and time count."""

    def __init__(self, stream: httpx.SyncByteStream, budget: _Budget) -> None:
        self._stream = stream
        self._budget = budget

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            self._budget.check_time()
            self._budget.take(len(chunk))
            yield chunk

    def close(self) -> None:
        self._stream.close()


def _check_target(source: httpx.URL, target: httpx.URL) -> None:
    """Raise WarinessError if a redirect leads to where only this machine or its network gets.

    What answers there may be meant for this machine alone, as the accounts of a cloud are. A Hub
    that is itself on such a network may stay there; one on this machine, on its port.
    """
    secure = target.scheme == "https" or source.scheme == target.scheme == "http"
    reached = _reach(target.host)
    stays = reached == _reach(source.host) and (
        reached != {"this machine"} or source.port == target.port
    )
    if not secure or not (reached <= {"everywhere"} or stays):
        raise WarinessError(
            "The Hub passed the request on to an address that is not on the internet, so nothing "
            "was loaded."
        )


def _reach(host: str) -> set[str]:
    """From where the addresses of a name can be reached; nothing if nobody here knows it."""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return set()  # a proxy may know it
    return {_scope(address) for address in found}


def _scope(text: str) -> str:
    address = ip_address(text.partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_loopback or address.is_unspecified:
        return "this machine"
    if address.is_global:
        return "everywhere"
    return "this link" if address.is_link_local else "this network"
