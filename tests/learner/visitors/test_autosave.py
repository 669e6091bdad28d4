"""The autosaver: what changed is saved, in time, once, and never by two threads at once."""

import threading

import pytest

from learner.visitors.autosave import Autosaver

PATIENCE = 30.0
NEVER = 1e6  # an interval that no test outlives: only flush and close save


def test_marks_are_saved_together_when_flushed():
    saved = []
    saver = Autosaver(saved.append, NEVER)
    for item in "aab":
        saver.mark(item)
    assert saved == []
    saver.flush()
    assert sorted(saved) == ["a", "b"]
    saver.flush()
    assert sorted(saved) == ["a", "b"]
    saver.close()


@pytest.mark.parametrize("interval, at_once", [(0.0, False), (NEVER, True)])
def test_what_is_due_is_saved_in_the_background(interval, at_once):
    done = threading.Event()
    threads = []

    def save(item):
        threads.append(threading.current_thread())
        done.set()

    saver = Autosaver(save, interval)
    saver.mark("a", at_once)
    assert done.wait(PATIENCE)
    saver.close()
    assert threads[0] is not threading.current_thread()


def test_a_mark_at_once_is_not_put_off_by_a_later_one():
    done = threading.Event()
    entered, go_on = threading.Event(), threading.Event()

    def save(item):
        if item == "first":
            entered.set()
            assert go_on.wait(PATIENCE)
        else:
            done.set()

    saver = Autosaver(save, NEVER)
    saver.mark("first", at_once=True)
    assert entered.wait(PATIENCE)
    saver.mark("a", at_once=True)
    saver.mark("a")
    go_on.set()
    assert done.wait(PATIENCE)
    saver.close()


def test_a_change_during_its_save_is_saved_again_afterwards():
    entered, go_on = threading.Event(), threading.Event()
    saved, value = [], ["old"]

    def save(item):
        seen = value[0]
        entered.set()
        assert go_on.wait(PATIENCE)
        saved.append(seen)

    saver = Autosaver(save, NEVER)
    saver.mark("a", at_once=True)
    assert entered.wait(PATIENCE)
    value[0] = "new"
    saver.mark("a")
    flusher = threading.Thread(target=saver.flush)
    flusher.start()
    go_on.set()
    flusher.join(PATIENCE)
    assert saved == ["old", "new"]
    saver.close()


def test_closing_saves_ends_the_thread_and_later_marks_save_themselves():
    saved = []
    before = set(threading.enumerate())
    saver = Autosaver(saved.append, NEVER)
    saver.mark("a")
    saver.close()
    saver.close()
    assert saved == ["a"]
    assert set(threading.enumerate()) <= before
    saver.mark("b")
    assert saved == ["a", "b"]
