"""Which address a request comes from, for limits by address.

On a Space every connection comes from the Hub's proxies, which add to ``X-Forwarded-For`` whom they
have it from: its last public address was seen by a proxy, what stands before it may be made up.
Anywhere else only the connection itself is believed. An app behind a proxy of its owner's sees one
address, with what everybody shares. What agents ask for comes from the app itself, with a header
that says for whom, and a secret that only the app knows.
"""

import secrets
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

import gradio as gr

from learner.service.protocol import GROUP
from learner.view.server.login import on_space

ON_BEHALF = b"x-soft-prompt-visitor"
_SECRET = secrets.token_hex(16)


def visitor_address(scope: Mapping[str, Any]) -> str:
    """The address that whoever made this request, an ASGI scope, counts for."""
    secret, _, address = _header(scope, ON_BEHALF).partition(" ")
    if secrets.compare_digest(secret.encode(), _SECRET.encode()):
        return address
    peer = scope.get("client") or ("", 0)
    return address_of(str(peer[0]), _header(scope, b"x-forwarded-for"), on_space())


def address_behind(request: gr.Request) -> str:
    """The same, of a request as Gradio hands it to a function."""
    assert request.request is not None, "it has come in by HTTP"
    return visitor_address(request.request.scope)


class CountingBlocks(gr.Blocks):
    """``gr.Blocks`` whose events count for the address that they come from, as a group."""

    async def call_function(
        self,
        block_fn: Any,
        processed_input: list[Any],
        iterator: Any = None,
        requests: Any = None,
        *rest: Any,
        **options: Any,
    ) -> Any:
        request = requests[0] if isinstance(requests, list) else requests
        if request is not None:
            GROUP.set(address_behind(request))
        arguments = block_fn, processed_input, iterator, requests
        return await super().call_function(*arguments, *rest, **options)


def on_behalf(scope: Mapping[str, Any], address: str) -> dict[str, Any]:
    """The same request; what the app asks itself for because of it counts for this address."""
    kept = [(name, value) for name, value in scope["headers"] if name.lower() != ON_BEHALF]
    return {**scope, "headers": [*kept, (ON_BEHALF, f"{_SECRET} {address}".encode())]}


@lru_cache(10_000)
def address_of(peer: str, forwarded: str, on_space: bool) -> str:
    """The address to count against; of IPv6 the network, of which one subscriber has 2⁶⁴ addresses.

    ``peer`` is the other end of the connection, ``forwarded`` the header ``X-Forwarded-For``.
    """
    if on_space:
        hops = [hop.strip() for hop in forwarded.split(",")]
        peer = next((hop for hop in reversed(hops) if _is_public(hop)), peer)
    try:
        address = ip_address(peer)
    except ValueError:
        return peer
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ip_network((address, 64), strict=False))
    return str(address)


def _header(scope: Mapping[str, Any], name: bytes) -> str:
    """All that a header says, on however many lines."""
    lines = [value for key, value in scope["headers"] if key.lower() == name]
    return b", ".join(lines).decode("latin-1")


def _is_public(address: str) -> bool:
    try:
        return ip_address(address).is_global
    except ValueError:
        return False
