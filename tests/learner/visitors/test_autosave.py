"""The autosaver: what changed is saved, in time, once, and never by two threads at once."""

import threading

import pytest

from learner.visitors.autosave import Autosaver

PATIENCE = 30.0
NEVER = 1e6  # an interval that no test outlives: only flush and close save


def into(saved):
    """Saves into a list."""
    return lambda item: saved.append(item) is None


def test_marks_are_saved_together_when_flushed():
    saved = []
    saver = Autosaver(into(saved), NEVER)
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
        return True

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
        return True

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
        return True

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
    saver = Autosaver(into(saved), NEVER)
    saver.mark("a")
    saver.close()
    saver.close()
    assert saved == ["a"]
    assert set(threading.enumerate()) <= before
    saver.mark("b")
    assert saved == ["a", "b"]


def test_when_saving_makes_no_sense_everything_waits_and_nothing_is_lost():
    saved, works = [], [False]

    def save(item):
        saved.append(item)
        if not works[0]:
            saver.put_off(item, NEVER)
        return works[0]

    saver = Autosaver(save, NEVER, NEVER)
    for item in "abc":
        saver.mark(item)
    saver.flush()
    assert saved == ["a"]
    assert sorted(saver.waiting()) == ["a", "b", "c"]
    saver.forget("b")
    works[0] = True
    saver.flush()
    assert sorted(saved[1:]) == ["a", "c"]
    saver.close()


def test_what_was_put_off_is_tried_again_in_time():
    saved, done = [], threading.Event()

    def save(item):
        saved.append(item)
        if len(saved) == 3:
            done.set()
            return True
        saver.put_off(item, 0.0)
        return False

    saver = Autosaver(save, NEVER, 0.0)
    saver.mark("a", at_once=True)
    assert done.wait(PATIENCE)
    assert saved == ["a", "a", "a"]
    saver.close()
