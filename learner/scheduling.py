"""Who goes into the next pass: pure queueing, with neither threads nor tensors.

`service.py` asks two questions each time the device is free: which training requests go together
(`FairQueue`), and how many rows of each waiting question batch (`deal_rows`).
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")


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
