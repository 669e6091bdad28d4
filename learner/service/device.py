"""One thread that computes for the services of several base models, in fair turns.

It is one for all of them, because threads that compute side by side on a CPU slow each other down
even while they take turns (`own_thread` says why).
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakKeyDictionary


class Device:
    """Runs the turns of services, of those that wait that of whichever has had least.

    So models that are busy at once share the time equally, however long a turn of each is. Who did
    not want it has nothing to catch up on. ``clock`` gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="device")
        self._changed = threading.Condition()  # guards everything below
        self._had: WeakKeyDictionary[object, float] = WeakKeyDictionary()  # seconds
        self._waiting: list[object] = []
        self._latest = 0.0  # what whoever had the latest turn had had before it
        self._taken = False

    def run(self, service: object, turn: Callable[[], None]) -> None:
        """Do ``turn`` when it is this service's; returns when it is done. Raises what it raises."""
        with self._changed:
            self._had[service] = max(self._had.get(service, 0.0), self._latest)
            self._waiting.append(service)
            self._changed.wait_for(lambda: not self._taken and self._next is service)
            self._waiting.remove(service)
            self._taken = True
            self._latest = self._had[service]
        began = self._clock()
        try:
            self._thread.submit(turn).result()
        finally:
            with self._changed:
                self._had[service] += self._clock() - began
                self._taken = False
                self._changed.notify_all()

    @property
    def _next(self) -> object:
        return min(self._waiting, key=lambda service: self._had[service])
