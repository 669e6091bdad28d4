"""Save what changes in the background, so that no click and no training step waits for a disk.

A change is saved within an interval of being made; changes in between are saved together. One
thread does it, so a slow disk makes saves rarer, not the queue longer. What cannot be saved is
tried again until it can.
"""

import atexit
import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class Autosaver(Generic[Item]):
    """Calls ``save`` with each item that was marked, at most ``interval`` seconds later.

    ``save`` says whether it makes sense to go on; if not, whatever else is due waits ``retry``
    seconds, or until it is marked again. An item that could not be saved is for ``save`` to
    `put_off`.
    """

    def __init__(
        self,
        save: Callable[[Item], bool],
        interval: float,
        retry: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._save = save
        self._interval = interval
        self.retry = retry
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

    def waiting(self) -> list[Item]:
        """What is marked and not saved yet, those marked first at the front."""
        with self._changed:
            return [*self._due]

    def put_off(self, item: Item, seconds: float) -> None:
        """Mark an item that nobody is in a hurry to save."""
        with self._changed:
            self._due.setdefault(item, self._clock() + seconds)
            self._changed.notify_all()

    def forget(self, item: Item) -> None:
        """Do not save what was marked."""
        with self._changed:
            self._due.pop(item, None)

    def flush(self) -> None:
        """Save everything that is marked; it is saved when this returns, if that is possible."""
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
            for i, item in enumerate(items):
                with self._changed:
                    if self._due.pop(item, None) is None:
                        continue  # forgotten meanwhile
                if not self._save(item):
                    with self._changed:
                        later = self._clock() + self.retry
                        self._due.update((one, later) for one in items[i + 1 :] if one in self._due)
                    return
