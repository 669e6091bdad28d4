"""Which address counts: the connection's own, and on a Space the one that a proxy saw."""

import pytest

from learner.view.server.origin import address_of


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
