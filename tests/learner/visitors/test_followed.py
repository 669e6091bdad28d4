"""Following costs no thread, waits for nobody's lock, and one visitor gets so much of it."""

import asyncio
import threading
from contextlib import ExitStack

import pytest

from learner.visitors import followed
from learner.visitors.followed import MOST_ACTING, MOST_FOLLOWING, Followed, TooMuchAtOnce
from tests.coroutines import finished, follow


class Counter(Followed):
    """Counts to ``last``."""

    def __init__(self, last):
        super().__init__()
        self.count = 0
        self.last = last

    @property
    def busy(self):
        return self.count < self.last

    def step(self):
        with self._changed:
            self.count += 1
            self._tell()

    def break_off(self, error):
        self._fail(error)

    def held(self):
        return self._changed


async def counts(counter, seen):
    async for _ in counter.follow(lambda: counter.busy):
        seen.append(counter.count)


async def until(happened):
    while not happened():
        await asyncio.sleep(0)


def test_many_follow_one_thing_without_a_thread_and_see_its_end():
    counter = Counter(1)

    async def all_of_them():
        threads = threading.active_count()
        seen = [[] for _ in range(MOST_FOLLOWING)]
        following = [asyncio.ensure_future(counts(counter, one)) for one in seen]
        await until(lambda: all(seen))
        assert threading.active_count() == threads
        stepping = threading.Thread(target=counter.step)
        stepping.start()
        await asyncio.gather(*following)
        stepping.join()
        return seen

    assert finished(all_of_them()) == [[0, 1]] * MOST_FOLLOWING


def test_whoever_is_one_too_many_gets_one_look_and_no_more():
    counter = Counter(1)

    async def too_many():
        first = [[] for _ in range(MOST_FOLLOWING)]
        following = [asyncio.ensure_future(counts(counter, one)) for one in first]
        await until(lambda: all(first))
        late = []
        await counts(counter, late)
        assert late == [0]
        counter.step()
        await asyncio.gather(*following)

    finished(too_many())
    assert [counter.count for _ in follow(counter, lambda: counter.busy)] == [1]  # room again


def test_who_gives_up_makes_room():
    counter = Counter(1)
    for _ in range(2 * MOST_FOLLOWING):
        following = follow(counter, lambda: True)
        next(following)
        following.close()
    following = follow(counter, lambda: counter.busy)
    next(following)
    counter.step()
    assert [counter.count for _ in following] == [1]


def test_an_event_loop_waits_for_no_lock(monkeypatch):
    counter = Counter(0)
    held, free = threading.Event(), threading.Event()

    def hold():
        with counter.held():
            held.set()
            free.wait()

    holding = threading.Thread(target=hold, daemon=True)
    holding.start()
    held.wait()

    async def look():
        seen = []
        following = asyncio.ensure_future(counts(counter, seen))
        for _ in range(10):  # the loop goes on with other things meanwhile
            await asyncio.sleep(followed.AGAIN_SECONDS / 10)
        assert not seen
        free.set()
        await following
        return seen

    assert finished(look()) == [0]
    holding.join()


def test_what_goes_wrong_is_raised_after_a_last_look_and_once():
    counter = Counter(1)
    following = follow(counter, lambda: counter.busy)
    next(following)
    counter.break_off(ValueError("it broke"))
    next(following)
    with pytest.raises(ValueError, match="it broke"):
        next(following)
    counter.step()
    assert [counter.count for _ in follow(counter, lambda: counter.busy)] == [1]


def test_a_change_after_a_loop_has_ended_harms_nobody():
    counter = Counter(2)
    following = counter.follow(lambda: counter.busy)

    async def look_once():
        await anext(following)

    finished(look_once())
    counter.step()
    assert counter.count == 1


def test_so_many_actions_of_one_visitor_go_on_at_a_time():
    counter = Counter(0)
    with ExitStack() as going_on:
        for _ in range(MOST_ACTING):
            going_on.enter_context(counter.acting())
        with pytest.raises(TooMuchAtOnce, match="at once"), counter.acting():
            pass
    with counter.acting(1):
        with pytest.raises(TooMuchAtOnce), counter.acting(1):
            pass
        with counter.acting():
            pass
