"""Who goes into the next pass: pure queueing, with neither threads nor tensors.

The service asks three questions each time the device is free: how many rows the next pass may have
(`PassSizer`), which training requests go together (`FairQueue`), and how many rows of each waiting
question batch (`deal_rows`).
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")

FIRST_ROWS = 8  # of a pass while nothing has been measured
NEWEST_SHARE = 0.3  # of a measurement in the running average
AS_GOOD = 1.05  # a size that costs so little more than the cheapest is as good, if it is smaller
FORGOTTEN_AFTER = 64  # passes; then a larger size may be worth another try


class FairQueue(Generic[Item]):
    """One first-in-first-out queue per owner; owners take turns.

    An owner with a hundred items waiting delays another owner by one item, not by a hundred, and
    never has two items in one batch: the second usually needs what became of the first.
    """

    def __init__(self, size: Callable[[Item], int]) -> None:
        """``size`` gives the rows an item takes up in a batch."""
        self._size = size
        self._queues: OrderedDict[Hashable, deque[Item]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    @property
    def owners(self) -> frozenset[Hashable]:
        """Whoever has something waiting."""
        return frozenset(self._queues)

    @property
    def rows(self) -> int:
        """The rows of a batch with the next item of every owner."""
        return sum(self._size(queue[0]) for queue in self._queues.values())

    def add(self, owner: Hashable, item: Item) -> None:
        """Put ``item`` behind what ``owner`` already has waiting."""
        self._queues.setdefault(owner, deque()).append(item)

    def take(self, rows: int) -> list[Item]:
        """Remove and return the next batch: at most one item per owner, ``rows`` rows in all.

        The owner whose turn it is gets in even with an item larger than ``rows``; after it, owners
        whose next item does not fit keep their place. So everyone is first sooner or later.
        """
        batch: list[Item] = []
        free = rows
        for owner, queue in list(self._queues.items()):
            if batch and self._size(queue[0]) > free:
                continue
            item = queue.popleft()
            batch.append(item)
            free -= self._size(item)
            if queue:
                self._queues.move_to_end(owner)
            else:
                del self._queues[owner]
        return batch

    def take_all(self) -> list[Item]:
        """Remove and return everything that waits."""
        items = [item for queue in self._queues.values() for item in queue]
        self._queues.clear()
        return items


def deal_rows(sizes: Sequence[int], rows: int) -> list[int]:
    """How many of its remaining rows each request gets in a pass of at most ``rows`` rows (≥ 4).

    ``sizes`` are the remaining rows in order of arrival. The smallest requests go first, so a click
    that asks for four answers does not wait behind an evaluation of hundreds; the oldest request
    has a quarter of the pass to itself, so the evaluation is not put off for ever either.
    """
    dealt = [0] * len(sizes)
    if not sizes:
        return dealt
    dealt[0] = min(sizes[0], rows // 4)
    free = rows - dealt[0]
    for index in sorted(range(len(sizes)), key=lambda index: sizes[index]):
        more = min(sizes[index] - dealt[index], free)
        dealt[index] += more
        free -= more
    return dealt


class PassSizer:
    """How many rows a pass may have, from what passes have taken so far.

    Merging pays as long as a larger pass costs less a row, and not beyond: on a CPU in float32 a
    pass of many rows falls out of cache, on a GPU none is too large. So nothing is assumed. Sizes
    are powers of two; the next larger one is tried as long as that has paid, and twice: the first
    pass of a size also pays for kernels that are compiled for its shapes. Of those that are over
    in ``longest`` seconds, it is the smallest that costs about as little a row as any. What larger
    ones took is forgotten after a while, since machines get busy and free again.
    """

    def __init__(self, most: int, longest: float) -> None:
        """``most`` bounds the rows, ``longest`` the seconds for which a pass keeps others waiting.

        One that is too large all the same (a request is not cut) is allowed, alone.
        """
        self._most = most
        self._longest = longest
        self._passes = 0
        self._costs: dict[int, float] = {}  # seconds a row, by size
        self._stretches: dict[int, float] = {}  # seconds without a pause, of a pass of that size
        self._measured: dict[int, int] = {}  # after how many passes each was measured last
        self._times: dict[int, int] = {}  # how often each was measured

    @property
    def rows(self) -> int:
        """The rows that the next pass may have."""
        if not self._costs:
            return min(FIRST_ROWS, self._most)
        quick = [size for size in self._costs if self._stretches[size] <= self._longest]
        if not quick:
            return max(1, min(self._costs) // 2)
        good = AS_GOOD * min(self._costs[size] for size in quick)
        largest = max(quick)
        if largest >= FIRST_ROWS and self._times[largest] < 2:
            return largest
        larger = min(max(2 * largest, FIRST_ROWS), self._most)
        expected = self._stretches[largest] * larger / largest
        if larger not in self._costs and self._costs[largest] <= good and expected <= self._longest:
            return larger
        return min(size for size in quick if self._costs[size] <= good)

    def measured(self, rows: int, seconds: float, stretch: float | None = None) -> None:
        """A pass of ``rows`` rows took ``seconds``, ``stretch`` of them at once (None: all)."""
        size = min(1 << (rows - 1).bit_length(), self._most)
        self._passes += 1
        for values, value in (
            (self._costs, seconds / rows),
            (self._stretches, (seconds if stretch is None else stretch) * size / rows),
        ):
            before = values.get(size, value) if self._times.get(size, 0) > 1 else value
            values[size] = before + NEWEST_SHARE * (value - before)
        self._measured[size] = self._passes
        self._times[size] = self._times.get(size, 0) + 1
        for old in [size for size in self._costs if size > self.rows]:
            if self._passes - self._measured[old] > FORGOTTEN_AFTER:
                for known in (self._costs, self._stretches, self._measured, self._times):
                    del known[old]
