"""A look at the Hub ends in time, whatever it does; that it is away is one line in the log."""

import threading

import pytest

from learner.hub import in_time as module
from learner.hub.client import HubAwayError, HubError
from learner.hub.in_time import in_time
from learner.hub.soft_prompts import browse
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


def test_only_so_many_look_at_once(monkeypatch):
    over, looking = threading.Event(), threading.BoundedSemaphore(1)
    monkeypatch.setattr(module, "_room", looking)
    with pytest.raises(HubAwayError):
        in_time(over.wait, seconds=0.01)
    with pytest.raises(HubError, match="Too many people"):
        in_time(lambda: 7)
    over.set()
    assert looking.acquire(timeout=60)
