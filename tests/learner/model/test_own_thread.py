"""Work in a thread of its own comes back, and leaves nothing behind that slows the others down."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from learner.model.own_thread import in_own_thread

ROOT = Path(__file__).resolve().parents[3]

OPEN_AN_APP = """
import os, threading, time
import torch

def helpers():  # native threads that are not Python's own
    return len(os.listdir("/proc/self/task")) - threading.active_count()

def settled(expected):  # a thread that has ended may take a moment to be gone
    until = time.monotonic() + 30
    while helpers() != expected and time.monotonic() < until:
        time.sleep(0.01)
    return helpers()

before = helpers()
from learner.model.loading import load_base_model
from learner.view.strip import scale

base_model = load_base_model()
scale(base_model)
print(settled(before) - before)
torch.ones(1 << 20).exp()  # what shows that a team is seen where there is one
print(helpers() - before)
"""


def test_what_is_returned_or_raised_comes_back():
    def where(*given, **named):
        return threading.current_thread(), given, named

    thread, given, named = in_own_thread(where, 1, two=2)
    assert thread is not threading.current_thread() and not thread.is_alive()
    assert (given, named) == ((1,), {"two": 2})
    with pytest.raises(ZeroDivisionError):
        in_own_thread(lambda: 1 / 0)


@pytest.fixture
def ctrl_c_raises():
    """Python's own handler, also where the tests run with SIGINT ignored, as under ``nohup``."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_raises")
def test_ctrl_c_does_not_wait_for_it():
    go_on = threading.Event()

    def interrupted():
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        go_on.wait()

    with pytest.raises(KeyboardInterrupt):
        in_own_thread(interrupted)
    go_on.set()


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="only Linux counts threads there")
def test_loading_a_model_leaves_no_team_of_helpers_to_the_thread_that_asked():
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}  # tests run with 1
    done = subprocess.run(
        [sys.executable, "-c", OPEN_AN_APP],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["0", "1"]
