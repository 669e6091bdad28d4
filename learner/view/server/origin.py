"""Which address a request comes from, for limits by address.

On a Space every connection comes from the Hub's proxies, which add to ``X-Forwarded-For`` whom they
have it from: its last public address was seen by a proxy, what stands before it may be made up.
Anywhere else only the connection itself is believed. An app behind a proxy of its owner's sees one
address, with what everybody shares.
"""

from ipaddress import IPv6Address, ip_address, ip_network

import gradio as gr

from learner.view.server.login import on_space


def visitor_address(request: gr.Request) -> str:
    """The address that whoever made this request counts for."""
    peer = request.client.host if request.client else ""
    return address_of(peer, dict(request.headers).get("x-forwarded-for", ""), on_space())


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


def _is_public(address: str) -> bool:
    try:
        return ip_address(address).is_global
    except ValueError:
        return False
