"""Something that changes in the background, and that several can follow at their own pace.

Who follows waits on an event loop and costs no thread, however many they are and however long it
takes. So many can follow one thing, and so many actions on it can go on at a time: one visitor,
with however many windows or programs, leaves room for the others.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

LOOK_SECONDS = 0.2  # whoever follows is told of changes at most this often
AGAIN_SECONDS = 0.01  # until it is looked again at what somebody is changing
MOST_FOLLOWING = 12  # more than the windows that a person has open
MOST_ACTING = 16  # clicks come faster than a busy machine does what they ask for
MOST_MEASURING = 2  # of what takes as long as a measurement, beside any other


class TooMuchAtOnce(ValueError):
    """One visitor asks for more at a time than they get."""

    def __init__(self) -> None:
        super().__init__(
            "Too much is going on in this session at once; wait until some of it is done."
        )


class Followed:
    """What can be followed. Changes are made under ``_changed`` and told by ``_tell``.

    What goes wrong in the background is handed to ``_fail`` and raised, once, to whoever follows.
    """

    def __init__(self) -> None:
        self._changed = threading.RLock()  # guards all that is shown
        self._version = 0
        self._failure: Exception | None = None
        self._counting = threading.Lock()  # guards the two below; never held for long
        self._followers: set[Callable[[], object]] = set()  # what wakes them
        self._acting = 0

    @property
    def version(self) -> int:
        """Grows with every change."""
        return self._version

    @property
    def followed(self) -> bool:
        """Whether anybody follows it now."""
        return bool(self._followers)

    @contextmanager
    def acting(self, most: int = MOST_ACTING) -> Iterator[None]:
        """Something is done meanwhile that its visitor waits for.

        Raises TooMuchAtOnce if as many things as ``most`` are being done already.
        """
        with self._counting:
            if self._acting >= most:
                raise TooMuchAtOnce
            self._acting += 1
        try:
            yield
        finally:
            with self._counting:
                self._acting -= 1

    async def follow(self, busy: Callable[[], bool]) -> AsyncIterator[None]:
        """Yield when there is something new to see, at most a few times a second, while ``busy()``.

        Yields at least once, the last time after the last change. Raises what went wrong in the
        background meanwhile. Where too many follow already it yields once and ends.
        """
        loop, news = asyncio.get_running_loop(), asyncio.Event()
        wake = partial(loop.call_soon_threadsafe, news.set)
        with self._counting:
            crowded = len(self._followers) >= MOST_FOLLOWING
            if not crowded:
                self._followers.add(wake)
        try:
            seen: Hashable = None
            while True:
                look = self._look(busy)
                if look is None:
                    await asyncio.sleep(AGAIN_SECONDS)
                    continue
                going_on, now, failure = look
                if going_on and now == seen and failure is None:
                    await _rest(news, LOOK_SECONDS)
                    continue
                seen = now
                yield
                if failure is not None:
                    raise failure
                if crowded or not going_on:
                    return
                rested = loop.time() + LOOK_SECONDS
                while busy() and (left := rested - loop.time()) > 0:
                    await _rest(news, left)
        finally:
            with self._counting:
                self._followers.discard(wake)

    def _look(self, busy: Callable[[], bool]) -> tuple[bool, Hashable, Exception | None] | None:
        """Whether it goes on, how it is now, and what went wrong; None while somebody changes it.

        No event loop waits for a lock that may be held for as long as a disk takes.
        """
        if not self._changed.acquire(blocking=False):
            return None
        try:
            failure, self._failure = self._failure, None
            return busy(), self._now(), failure
        finally:
            self._changed.release()

    def _now(self) -> Hashable:
        """Changes whenever there is something new to see."""
        return self._version

    def _tell(self) -> None:
        with self._changed:
            self._version += 1
        with self._counting:
            followers = [*self._followers]
        for wake in followers:
            with suppress(RuntimeError):  # its event loop has ended, and with it whoever followed
                wake()

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._failure = error
            self._tell()


async def _rest(news: asyncio.Event, seconds: float) -> None:
    """Until there is news, but no longer than so many seconds."""
    timer = asyncio.get_running_loop().call_later(seconds, news.set)
    try:
        await news.wait()
    finally:
        timer.cancel()
        news.clear()
