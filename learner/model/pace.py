"""How much of something takes so long: a size that is found out by measuring."""

import time
from dataclasses import dataclass, field

import torch

NEWEST_SHARE = 0.3  # of a measurement in the running estimate
MOST_AT_ONCE = 2.0  # the most that a size grows or shrinks by from one measurement
TELLING = 0.5  # of the size: what was much smaller does not say what the size takes


class Pace:
    """A size (of tokens, of rows) that takes about ``seconds``, between ``least`` and ``most``.

    What something takes need not be proportional to its size, and changes with what is run; so
    nothing is assumed but that more takes longer, and nothing kept for long. What took no longer
    than it may is no reason for smaller sizes, however little it was.
    """

    def __init__(self, seconds: float, first: int, least: int = 1, most: int = 1 << 20) -> None:
        """``first`` is the size while nothing has been measured."""
        self._seconds = seconds
        self._least, self._most = least, most
        self._size = float(min(max(first, least), most))

    @property
    def size(self) -> int:
        return int(self._size)

    def measured(self, size: int, seconds: float) -> None:
        """So much took so many seconds."""
        fits = size * self._seconds / max(seconds, 1e-9)
        if not size or (size < TELLING * self._size and fits >= self._size):
            return
        if seconds < self._seconds and size >= self.size:
            fits = max(fits, self._size + 1)  # else small sizes, most of them fixed cost, stay
        if seconds <= self._seconds and fits < self._size:
            return
        known = max(self._size, size)
        if fits > MOST_AT_ONCE * known:
            self._size = MOST_AT_ONCE * known  # far from it: no need to be cautious
        else:
            fits = max(fits, self._size / MOST_AT_ONCE)
            self._size += NEWEST_SHARE * (fits - self._size)
        self._size = min(max(self._size, self._least), self._most)


class Largest:
    """The largest of several paces: some may take longer, but only up to a size of theirs."""

    def __init__(self, *paces: Pace) -> None:
        self._paces = paces

    @property
    def size(self) -> int:
        return max(pace.size for pace in self._paces)

    def measured(self, size: int, seconds: float) -> None:
        """So much took so many seconds."""
        for pace in self._paces:
            pace.measured(size, seconds)


def worked(device: torch.device) -> float:
    """Seconds that this thread has worked, from some moment on; on a GPU, seconds of the clock.

    While others keep a processor busy everything takes longer, small sizes as well as large ones.
    Were they told by the clock, sizes would shrink just then, and cost more for what they do.
    """
    return time.thread_time() if device.type == "cpu" else time.perf_counter()


@dataclass(frozen=True)
class Paces:
    """Those of one base model on one machine, where nobody may be kept waiting for long."""

    # No smaller ones, however slow it is: they would cost far more a token than they spare, since
    # each reads all weights. Of Qwen2.5-0.5B in float32 on two cores a question takes 96 ms in
    # chunks of 1024 tokens, 111 in those of 256, 130 of 128 and 200 of 64; a step of 4 problems
    # 1.1 s in one pass and 2.3 in four.
    # Of what others wait for, 0.1 s are enough where that is many tokens, as on a small model.
    chunk: Pace | Largest = field(  # tokens read
        default_factory=lambda: Largest(Pace(0.1, 256, least=256), Pace(0.25, 256, 256, most=1024))
    )
    step: Pace = field(default_factory=lambda: Pace(0.25, 64, least=16))  # rows that write a token
    # Tokens learnt. A click waits for them, and with more than this many each costs as much.
    training: Pace | Largest = field(
        default_factory=lambda: Largest(Pace(0.1, 512, least=128), Pace(0.4, 512, 128, most=512))
    )
