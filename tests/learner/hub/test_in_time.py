"""A look at the Hub ends in time, whatever it does; that it is away is one line in the log."""

import threading
from collections import Counter

import pytest

from learner.hub import in_time as module
from learner.hub.client import HubAwayError, HubError
from learner.hub.in_time import in_time
from learner.hub.soft_prompts import browse
from learner.service.protocol import GROUP
from tests.hub.samples import POCKET_MODEL
from tests.hub.server import HubServer


def test_what_is_found_comes_back_and_what_is_raised_is_raised():
    assert in_time(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        in_time(lambda: 1 / 0)


def test_a_hub_that_says_nothing_is_given_up_and_logged_in_a_line(caplog):
    over = threading.Event()
    with pytest.raises(HubAwayError, match="did not answer within 0 s"):
        in_time(over.wait, seconds=0.01)
    over.set()
    (line,) = caplog.messages
    assert "\n" not in line


def test_a_hub_that_is_away_is_logged_in_a_line(online, caplog):
    with HubServer() as gone:
        endpoint = gone.endpoint
    with pytest.raises(HubAwayError, match="out of reach"):
        in_time(lambda: browse(POCKET_MODEL, None, endpoint=endpoint))
    assert len(caplog.messages) == 1


def test_only_so_many_look_at_once_and_one_address_leaves_places_to_others(monkeypatch):
    over, looking = threading.Event(), Counter()
    monkeypatch.setattr(module, "_looking", looking)
    monkeypatch.setattr(module, "MOST", 3)
    monkeypatch.setattr(module, "MOST_OF_ONE", 2)

    def look_as(address, look=over.wait):
        token = GROUP.set(address)
        try:
            return in_time(look, seconds=0.01 if look == over.wait else 60)
        finally:
            GROUP.reset(token)

    for _ in range(2):
        with pytest.raises(HubAwayError):
            look_as("a flood")
    with pytest.raises(HubError, match="Too many people"):
        look_as("a flood")
    assert look_as("somebody else", lambda: 7) == 7
    with pytest.raises(HubAwayError):
        look_as("somebody else")
    with pytest.raises(HubError, match="Too many people"):
        look_as("a third", lambda: 7)
    over.set()
    while looking:
        pass
    assert look_as("a flood", lambda: 7) == 7
