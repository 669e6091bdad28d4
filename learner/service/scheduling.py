"""Who is next: pure queueing, with neither threads nor tensors.

The service asks two questions: whose turn it is (`Shares`), and which training requests go together
(`FairQueue`).
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Hashable, Sequence
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

    def take(self, rows: int, without: Collection[Hashable] = ()) -> list[Item]:
        """Remove and return the next batch: at most one item per owner, ``rows`` rows in all.

        Owners that it goes ``without`` keep their place. The one whose turn it is gets in even with
        an item larger than ``rows``; after it, owners whose next item does not fit keep theirs. So
        everyone is first sooner or later.
        """
        batch: list[Item] = []
        free = rows
        for owner, queue in list(self._queues.items()):
            if owner in without or (batch and self._size(queue[0]) > free):
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


class Shares:
    """Whose turn it is, where each kind of work has a share of the time (stride scheduling).

    Whatever is ready and has had least, by the weight of its kind, is next; of equals, the first
    kind. What was not ready may catch up on no more than its ``arrears``, in seconds: it goes first
    for so long. So a kind of much weight hardly waits, one whose next request comes a moment late
    loses nothing, and one of little weight is never put off for ever.
    """

    def __init__(self, weights: Sequence[float], arrears: Sequence[float]) -> None:
        self._weights = weights
        self._arrears = arrears
        self._had = [0.0] * len(weights)  # seconds, by weight
        self._ready = [False] * len(weights)

    def next(self, ready: Sequence[bool]) -> int:
        """The kind whose turn it is, of those that are ready, at least one."""
        before = [had for had, was in zip(self._had, self._ready, strict=True) if was]
        for kind, (is_ready, was) in enumerate(zip(ready, self._ready, strict=True)):
            if is_ready and not was and before:
                arrears = self._arrears[kind] / self._weights[kind]
                self._had[kind] = max(self._had[kind], min(before) - arrears)
        self._ready = list(ready)
        return min((had, kind) for kind, had in enumerate(self._had) if ready[kind])[1]

    def took(self, kind: int, seconds: float) -> None:
        """A turn of this kind took so long."""
        self._had[kind] += seconds / self._weights[kind]
