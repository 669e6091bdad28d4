"""Something that changes in the background, and that several can follow at their own pace."""

import threading
from collections.abc import Callable, Hashable, Iterator

LOOK_SECONDS = 0.2  # whoever follows is told of changes at most this often


class Followed:
    """What can be followed. Changes are made under ``_changed`` and told by ``_tell``.

    What goes wrong in the background is handed to ``_fail`` and raised, once, to whoever follows.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.RLock())  # guards all that is shown
        self._version = 0
        self._failure: Exception | None = None

    @property
    def version(self) -> int:
        """Grows with every change."""
        return self._version

    def follow(self, busy: Callable[[], bool]) -> Iterator[None]:
        """Yield when there is something new to see, at most a few times a second, while ``busy()``.

        Yields at least once, the last time after the last change. Raises what went wrong in the
        background meanwhile.
        """
        seen: Hashable = None
        while True:
            with self._changed:
                going_on = busy()
                now = self._now()
                if going_on and now == seen:
                    self._changed.wait(LOOK_SECONDS)
                    continue
                seen = now
                failure, self._failure = self._failure, None
            yield
            if failure is not None:
                raise failure
            if not going_on:
                return
            with self._changed:
                self._changed.wait_for(lambda: not busy(), LOOK_SECONDS)

    def _now(self) -> Hashable:
        """Changes whenever there is something new to see."""
        return self._version

    def _tell(self) -> None:
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._failure = error
            self._tell()
