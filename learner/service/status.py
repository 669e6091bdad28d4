"""What the service is doing, in numbers: queue depth, the size of passes, waits, totals."""

import statistics
from collections import deque
from collections.abc import Iterable

from learner.service.protocol import ServiceStatus

WAITS_KEPT = 256  # waits are told over so many of the latest requests


class Meter:
    """Collects those numbers. Not thread-safe."""

    def __init__(self) -> None:
        self._waits: deque[float] = deque(maxlen=WAITS_KEPT)
        self._rows = 0
        self._seconds = 0.0
        self._training_rows = 0
        self._answering_rows = 0
        self._passes = 0
        self._steps = 0
        self._completions = 0

    def trains(self, rows: int) -> None:
        """A training pass begins."""
        self._passes += 1
        self._training_rows = rows

    def answers(self, rows: int, joined: int) -> None:
        """A chunk of ``rows`` prompts was read, or a token of so many written; some ``joined``."""
        self._passes += 1
        self._answering_rows = rows or self._answering_rows
        self._completions += joined

    def steps(self, requests: int) -> None:
        """So many training requests are in a pass now."""
        self._steps += requests

    def waited(self, seconds: Iterable[float]) -> None:
        """Requests have waited for so long until their pass."""
        self._waits.extend(seconds)

    def over(self, rows: int, seconds: float) -> None:
        """A pass is over."""
        self._rows, self._seconds = rows, seconds

    def status(self, waiting: int, busy: bool) -> ServiceStatus:
        """The numbers as they are now."""
        waits = sorted(self._waits) or [0.0]
        return ServiceStatus(
            waiting=waiting,
            busy=busy,
            rows=self._rows,
            seconds=self._seconds,
            training_rows=self._training_rows,
            answering_rows=self._answering_rows,
            median_wait=statistics.median(waits),
            p95_wait=waits[-(-19 * len(waits) // 20) - 1],
            passes=self._passes,
            steps=self._steps,
            completions=self._completions,
        )
