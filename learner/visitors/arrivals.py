"""How many newcomers are let in, and kept, from one address and altogether.

A lecture hall comes from one address within a minute, so an address may bring many at once; what it
may not do is go on at that pace. Each newcomer fills a bucket that empties steadily.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

DAY = 86400.0  # seconds


@dataclass(frozen=True)
class Rate:
    """So many at once, and in the long run so many a day."""

    at_once: int
    per_day: float


VISITS = Rate(400, DAY), Rate(2000, 5 * DAY)
"""Of newcomers who are let in: from one address, and altogether. A visit costs four answers."""
KEPT = Rate(400, 1000), Rate(2000, 5000)
"""Of newcomers whose learners are kept: no address fills the store before promises have lapsed."""


class Arrivals:
    """Counts newcomers. Thread-safe; ``clock`` gives seconds."""

    def __init__(
        self, by_address: Rate, overall: Rate, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._by_address = by_address
        self._overall = overall
        self._clock = clock
        self._lock = threading.Lock()  # guards the two below
        self._all = 0.0, clock()
        self._levels: dict[str, tuple[float, float]] = {}  # how full, and when that was

    def admit(self, address: str) -> bool:
        """Whether one more may come from this address, who is counted then."""
        with self._lock:
            now = self._clock()
            level = _level(self._levels.get(address, (0.0, now)), self._by_address, now)
            overall = _level(self._all, self._overall, now)
            if level + 1 > self._by_address.at_once or overall + 1 > self._overall.at_once:
                return False
            self._all = overall + 1, now
            self._levels[address] = level + 1, now
            if len(self._levels) > 2 * self._overall.at_once:  # most are empty by now
                self._levels = {
                    one: filled
                    for one, filled in self._levels.items()
                    if _level(filled, self._by_address, now)
                }
            return True


def _level(filled: tuple[float, float], rate: Rate, now: float) -> float:
    level, then = filled
    return max(0.0, level - (now - then) * rate.per_day / DAY)
