"""Save what changes in the background, so that no click and no training step waits for a disk.

A change is saved within an interval of being made; changes in between are saved together. One
thread does it, so a slow disk makes saves rarer, not the queue longer.
"""

import atexit
import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class Autosaver(Generic[Item]):
    """Calls ``save`` with each item that was marked, at most ``interval`` seconds later."""

    def __init__(
        self,
        save: Callable[[Item], None],
        interval: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._save = save
        self._interval = interval
        self._clock = clock
        self._saving = threading.Lock()  # held while saving: never two saves of one item at once
        self._changed = threading.Condition()  # guards everything below
        self._due: dict[Item, float] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="learner-autosave", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def mark(self, item: Item, at_once: bool = False) -> None:
        """Say that ``item`` has changed. After `close` it is saved before this returns."""
        with self._changed:
            due = self._clock() + (0 if at_once else self._interval)
            self._due[item] = min(due, self._due.get(item, due))
            self._changed.notify_all()
            closed = self._closed
        if closed:
            self.flush()

    def flush(self) -> None:
        """Save everything that is marked; it is saved when this returns."""
        self._save_due(float("inf"))

    def close(self) -> None:
        """Save everything that is marked and end the thread. Calling it again does nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        self.flush()
        atexit.unregister(self.close)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._closed and (wait := self._seconds_left()) != 0:
                    self._changed.wait(wait)
                if self._closed:
                    return
            self._save_due(self._clock())

    def _seconds_left(self) -> float | None:
        """Until the next save is due: 0 if one is, None if nothing is marked."""
        return max(0.0, min(self._due.values()) - self._clock()) if self._due else None

    def _save_due(self, now: float) -> None:
        with self._saving:
            with self._changed:
                items = [item for item, due in self._due.items() if due <= now]
                for item in items:
                    del self._due[item]
            for item in items:
                self._save(item)
