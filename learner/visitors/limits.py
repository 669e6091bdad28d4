"""What bounds sessions: how many newcomers are let in and kept, and who makes room for whom.

A lecture hall comes from one address within a minute, so an address may bring many at once; what it
may not do is go on at that pace. Each newcomer fills a bucket that empties steadily.

A learner that has really learnt is safe from newcomers for a promised time after its last use:
whoever floods the app with sessions finds no room in the end, and takes nobody's.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from learner.visitors.stores.store import Summary

DAY = 86400.0  # seconds
PROMISED_SECONDS = 7 * DAY
PROMISED_EPISODES = 10  # of training here; loading a trained soft prompt costs nothing

PROMISE = (
    f"Whoever trained on {PROMISED_EPISODES} problems or more finds their soft prompt on this page "
    f"for {PROMISED_SECONDS / DAY:.0f} days after its last use, and longer while there is room."
)
NO_PROMISE = (
    "On this Space soft prompts are kept for as long as it runs: a restart forgets them, so "
    "download what you want to keep."
)


@dataclass(frozen=True)
class Limits:
    """How many sessions are kept, in how many bytes all together, and how long unused (seconds)."""

    sessions: int = 10_000
    size: int = 1 << 31
    age: float = 30 * DAY


def surplus(
    kept: Iterable[Summary], more: Summary | None, now: float, limits: Limits, held: Collection[str]
) -> tuple[list[Summary], bool]:
    """Which of those ``kept`` to remove, and whether there is room for ``more`` afterwards.

    Those not used for too long go whether or not there is room, those ``held`` stay. Then the
    longest unused go, those first that have hardly learnt; never one within its promised time.
    """
    others = [summary for summary in kept if more is None or summary.key != more.key]
    free = [summary for summary in others if summary.key not in held]
    gone = [summary for summary in free if now - summary.used_at > limits.age]
    young = [summary for summary in free if now - summary.used_at <= limits.age]
    count = len(others) - len(gone) + (more is not None)
    size = sum(summary.size for summary in others) - sum(summary.size for summary in gone)
    size += more.size if more else 0
    spare = [summary for summary in young if not _promised(summary, now)]
    spare.sort(key=lambda summary: (summary.learnt >= PROMISED_EPISODES, summary.used_at))
    for summary in spare:
        if count <= limits.sessions and size <= limits.size:
            break
        gone.append(summary)
        count -= 1
        size -= summary.size
    return gone, count <= limits.sessions and size <= limits.size


def _promised(summary: Summary, now: float) -> bool:
    return summary.learnt >= PROMISED_EPISODES and now - summary.used_at <= PROMISED_SECONDS


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
