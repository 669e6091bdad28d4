"""The bridge: what it makes of a child that serves, refuses, falls silent or dies."""

import os
import signal
import time

import pytest

from learner.service import bridge as bridge_module
from learner.service.bridge import Bridge, Deployment
from learner.service.replica import BEAT
from learner.service.replicas import ReplicaGone
from tests.learner.held_model import PATIENCE

DEPLOYMENT = Deployment((("pocket", None),), "auto", "auto", 1, 1, "")

CHILD = """
import os, sys
from multiprocessing.connection import Connection

connection = Connection(int(sys.argv[2]))
connection.send((None, "ready", ""))
while (message := connection.recv())[0] is not None:
    number, model, key, data = message
    if data is None:
        open({notes!r}, "a").write(f"over {{number}}\\n")
    elif data == b"echo":
        for value in (b"one", b"", b"two"):
            connection.send((number, "value", value))
        connection.send((number, "end", None))
    elif data == b"who":
        connection.send((number, "value", str(os.getpid()).encode()))
    elif data == b"gone":
        connection.send((number, "gone", "It died."))
    elif data == b"fault":
        connection.send((number, "fault", "It is broken."))
"""


@pytest.fixture
def child(tmp_path, monkeypatch):
    """Has a scripted child in place of one that knows Ray; returns what it notes."""
    notes = tmp_path / "notes"
    monkeypatch.setattr(bridge_module, "_CHILD", CHILD.format(notes=str(notes)))
    return notes


def is_there(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_values_come_without_beats_and_end(child):
    with Bridge(DEPLOYMENT) as bridge:
        assert not bridge.trouble
        assert BEAT not in list(bridge.call(b"echo")) == [b"one", b"two"]


def test_a_call_that_is_closed_is_told_once(child):
    with Bridge(DEPLOYMENT) as bridge:
        call = bridge.call(b"who")
        next(call)
        call.close()
        call.close()
        list(bridge.call(b"echo"))  # the child has read all that came before
    assert child.read_text().splitlines() == ["over 0"]


@pytest.mark.parametrize(
    ("data", "error", "sentence"),
    [(b"gone", ReplicaGone, "It died."), (b"fault", RuntimeError, "It is broken.")],
)
def test_how_a_call_ends_is_told(child, data, error, sentence):
    with Bridge(DEPLOYMENT) as bridge, pytest.raises(error, match=sentence):
        next(bridge.call(data))


def test_a_replica_that_is_silent_is_gone(child, monkeypatch):
    monkeypatch.setattr(bridge_module, "SILENCE", 0.01)
    with Bridge(DEPLOYMENT) as bridge, pytest.raises(ReplicaGone, match="Nothing was heard"):
        next(bridge.call(b"nothing"))


def test_calls_end_with_the_child_and_go_on_with_another_one(child):
    with Bridge(DEPLOYMENT) as bridge:
        call = bridge.call(b"who")
        pid = int(next(call))
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ReplicaGone):
            next(call)
        with bridge._changed:
            assert bridge._changed.wait_for(lambda: not bridge._trouble, PATIENCE)
        other = int(next(bridge.call(b"who")))
        assert other != pid and not is_there(pid)
    assert not is_there(other)


def test_while_there_is_no_child_that_is_told(child, monkeypatch):
    with Bridge(DEPLOYMENT) as bridge:
        pid = int(next(bridge.call(b"who")))
        monkeypatch.setattr(bridge_module, "_CHILD", "pass")  # those that follow find nothing
        os.kill(pid, signal.SIGKILL)
        with bridge._changed:
            assert bridge._changed.wait_for(lambda: bridge._trouble, PATIENCE)
        assert "out of reach" in bridge.trouble and "is kept" in bridge.trouble
        with pytest.raises(ReplicaGone):
            bridge.call(b"who")


def test_what_the_first_child_refuses_is_an_error(monkeypatch):
    refuses = (
        "import sys; from multiprocessing.connection import Connection; "
        "Connection(int(sys.argv[2])).send((None, 'refused', 'There is no such model.'))"
    )
    monkeypatch.setattr(bridge_module, "_CHILD", refuses)
    with pytest.raises(ValueError, match="no such model"):
        Bridge(DEPLOYMENT)


def test_a_first_child_that_dies_is_an_error(monkeypatch):
    monkeypatch.setattr(bridge_module, "_CHILD", "raise SystemExit(1)")
    with pytest.raises(ValueError, match="did not start"):
        Bridge(DEPLOYMENT)


def test_a_child_that_does_not_go_is_ended_with_all_that_it_started(tmp_path, monkeypatch):
    monkeypatch.setattr(bridge_module, "PATIENCE", 0.1)
    child = """
import subprocess, sys, time
from multiprocessing.connection import Connection

started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
connection = Connection(int(sys.argv[2]))
connection.send((None, "ready", ""))
number, model, key, data = connection.recv()
connection.send((number, "value", str(started.pid).encode()))
time.sleep(1000)
"""
    monkeypatch.setattr(bridge_module, "_CHILD", child)
    bridge = Bridge(DEPLOYMENT)
    started = int(next(bridge.call(b"who")))
    assert is_there(started)
    bridge.close()
    until = time.monotonic() + PATIENCE
    while runs(started):  # a killed process is not gone at once
        assert time.monotonic() < until


def runs(pid):
    """Whether it is more than a process that ended and that nobody has asked after."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
