"""CUDA graphs: a function over tensors at fixed addresses, launched as one thing.

On a GPU a pass over a small model takes longer to launch, kernel by kernel from Python, than to
run: a decoding step of 24 layers 12 ms instead of 2. A graph repeats what it has seen once: the
same kernels, at the same addresses, in the same shapes. So whoever uses one keeps the tensors it
works on (a `Fixture`), in few sizes, and all fixtures of a base model have one bound.

All graphs of a device share one pool of memory for what arises in between: what a graph returns has
to be read before another one is repeated.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakSet

import torch

Result = TypeVar("Result")

MOST_FIXTURES = 24  # of one base model
SHARE = 1 / 8  # of a device's memory, which the fixtures of one base model may hold


class Repeated(Generic[Result]):
    """``run`` as it is the first time (kernels are loaded), then captured, from then on repeated.

    It does the same each time: its sizes are fixed, it waits for nothing, and whatever changes
    stands in tensors. On a CPU it is run as it is each time.
    """

    def __init__(self, run: Callable[[], Result], device: torch.device) -> None:
        self._run = run
        self._device = device
        self._was_run = device.type != "cuda"
        self._captured: tuple[torch.cuda.CUDAGraph, Result] | None = None

    def __call__(self) -> Result:
        if self._device.type != "cuda" or not self._was_run:
            self._was_run = True
            return self._run()
        if self._captured is None:
            self._captured = _capture(self._run, self._device)
        graph, result = self._captured
        graph.replay()
        return result


class Fixture(Protocol):
    """Tensors at fixed addresses, and the graphs over them: about so many ``bytes``."""

    @property
    def bytes(self) -> int: ...

    @property
    def is_lent(self) -> bool:
        """Whether somebody still needs what is in it."""
        ...


class Fixtures:
    """The fixtures of one base model, those used last; for one thread."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._kept: OrderedDict[Hashable, Fixture] = OrderedDict()
        _everywhere.add(self)

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def bytes(self) -> int:
        return sum(fixture.bytes for fixture in self._kept.values())

    def get(self, key: Hashable) -> Fixture | None:
        """The fixture of this name, if there is one."""
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def put(self, key: Hashable, fixture: Fixture) -> bool:
        """Keep a new one, in the place of those that have not been used for longest.

        False if there is no room beside those that are lent.
        """
        free = [one for one, kept in self._kept.items() if not kept.is_lent]
        while len(self) >= MOST_FIXTURES or self.bytes + fixture.bytes > self.max_bytes:
            if not free:
                return False
            del self._kept[free.pop(0)]
        self._kept[key] = fixture
        return True

    def clear(self) -> None:
        """Let go of all that are not lent."""
        for key in [one for one, kept in self._kept.items() if not kept.is_lent]:
            del self._kept[key]


def fixtures_on(device: torch.device) -> Fixtures:
    """Room for the fixtures of a base model on this device; a CPU has use for none."""
    if device.type != "cuda":
        return Fixtures(0)
    return Fixtures(int(SHARE * torch.cuda.get_device_properties(device).total_memory))


def clear_fixtures() -> None:
    """Let go of all that is kept for graphs and not in use, of all base models."""
    for fixtures in list(_everywhere):
        fixtures.clear()
    _pools.clear()


def held_by_graphs(device: torch.device) -> int:
    """Bytes of a device that PyTorch has reserved for its graphs and nothing else can have."""
    return sum(pool.bytes for pool in _pools.values()) if device.type == "cuda" else 0


@dataclass
class _Pool:
    """Memory that graphs share. It lives as long as a graph does that was captured in it."""

    handle: Any
    first: torch.cuda.CUDAGraph
    bytes: int = 0


_everywhere: WeakSet[Fixtures] = WeakSet()
_pools: dict[int, _Pool] = {}


def _capture(
    run: Callable[[], Result], device: torch.device
) -> tuple[torch.cuda.CUDAGraph, Result]:
    pool = _pool(torch.cuda.current_device() if device.index is None else device.index)
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved(device)
    graph = torch.cuda.CUDAGraph()
    # Other threads may use the device meanwhile: only what this one does is captured.
    with torch.cuda.graph(graph, pool=pool.handle, capture_error_mode="thread_local"):
        result = run()
    pool.bytes += max(0, torch.cuda.memory_reserved(device) - before)
    return graph, result


def _pool(index: int) -> _Pool:
    if index not in _pools:
        handle, first = torch.cuda.graph_pool_handle(), torch.cuda.CUDAGraph()
        with torch.cuda.graph(first, pool=handle, capture_error_mode="thread_local"):
            torch.zeros(1, device=f"cuda:{index}")
        _pools[index] = _Pool(handle, first)
    return _pools[index]
