"""Ctrl-C: noted, raised where it is looked for, and let through the second time."""

import signal
import threading

import pytest

from learner.experiments.ctrl_c import CtrlC


@pytest.fixture(autouse=True)
def as_in_a_command():
    """Python's own handler before, and again afterwards, whatever runs the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler


def test_it_is_raised_at_the_next_check_and_once():
    with CtrlC() as ctrl_c:
        ctrl_c.check()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            ctrl_c.check()
        ctrl_c.check()


def test_a_place_that_swallows_exceptions_does_not_swallow_it():
    class Swallowing:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    with CtrlC() as ctrl_c:
        Swallowing()
        with pytest.raises(KeyboardInterrupt):
            ctrl_c.check()


def test_the_second_time_it_is_raised_at_once():
    with CtrlC():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_on_another_thread_it_leaves_signals_alone():
    def body():
        with CtrlC() as ctrl_c:
            found.append(signal.getsignal(signal.SIGINT))
            ctrl_c.check()

    found = []
    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert found == [before]
