"""Who is next: pure queueing, with neither threads nor tensors.

The service asks two questions: whose turn it is (`Shares`), and which training requests go together
(`FairQueue`).
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from itertools import chain, zip_longest
from typing import Generic, TypeVar

Item = TypeVar("Item")
_NOBODY = object()


class FairQueue(Generic[Item]):
    """One first-in-first-out queue per owner; owners take turns, and before them their groups.

    An owner with a hundred items waiting delays another owner by one item, not by a hundred, and
    never has two items in one batch: the second usually needs what became of the first. So does a
    group of a hundred owners delay another group by its part of a batch.
    """

    def __init__(self, size: Callable[[Item], int]) -> None:
        """``size`` gives the rows an item takes up in a batch."""
        self._size = size
        self._groups: OrderedDict[Hashable, OrderedDict[Hashable, deque[Item]]] = OrderedDict()
        self._group_of: dict[Hashable, Hashable] = {}  # of whoever has something waiting

    def __len__(self) -> int:
        return sum(map(len, self._queues()))

    @property
    def owners(self) -> frozenset[Hashable]:
        """Whoever has something waiting."""
        return frozenset(self._group_of)

    @property
    def rows(self) -> int:
        """The rows of a batch with the next item of every owner."""
        return sum(self._size(queue[0]) for queue in self._queues())

    def add(self, owner: Hashable, item: Item, group: Hashable = None) -> None:
        """Put ``item`` behind what ``owner`` already has waiting; without a group it is its own."""
        group = self._group_of.setdefault(owner, owner if group is None else group)
        self._groups.setdefault(group, OrderedDict()).setdefault(owner, deque()).append(item)

    def take(self, rows: int, without: Collection[Hashable] = ()) -> list[Item]:
        """Remove and return the next batch: at most one item per owner, ``rows`` rows in all.

        No group has more of these than its equal part, or one item. Owners that it goes ``without``
        keep their place. The one whose turn it is gets in even with an item larger than ``rows``;
        after it, owners whose next item does not fit keep theirs. So everyone is first sooner or
        later.
        """
        waiting = [
            [one for one in owners if one not in without] for owners in self._groups.values()
        ]
        part = rows // max(1, sum(map(bool, waiting)))
        batch: list[Item] = []
        had: Counter[Hashable] = Counter()  # rows, by group
        for owner in chain.from_iterable(zip_longest(*waiting, fillvalue=_NOBODY)):
            if owner is _NOBODY:
                continue
            group = self._group_of[owner]
            size = self._size(self._groups[group][owner][0])
            if batch and size > min(
                rows - had.total(), part - had[group] if group in had else rows
            ):
                continue
            batch.append(self._remove(owner, group))
            had[group] += size
        return batch

    def take_all(self) -> list[Item]:
        """Remove and return everything that waits."""
        items = [item for queue in self._queues() for item in queue]
        self._groups.clear()
        self._group_of.clear()
        return items

    def _queues(self) -> Iterator[deque[Item]]:
        return (queue for owners in self._groups.values() for queue in owners.values())

    def _remove(self, owner: Hashable, group: Hashable) -> Item:
        """The owner's next item; it has had its turn then, and so has its group."""
        owners = self._groups[group]
        item = owners[owner].popleft()
        owners.move_to_end(owner)
        self._groups.move_to_end(group)
        if not owners[owner]:
            del owners[owner], self._group_of[owner]
        if not owners:
            del self._groups[group]
        return item


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
