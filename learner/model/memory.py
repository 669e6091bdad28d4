"""Memory: how much is free, what a pass takes of it, and what happens when it runs out after all.

A pass is planned before it runs: a `Budget` says how many rows fit into what is free just then, on
the device or, on a CPU, on the machine and in the container around the process. A plan can be wrong
(another process takes what was free), so whoever runs a pass runs it `in_halves`: where memory runs
out, once more as two smaller passes; where that fails too, `OutOfMemory` says so in one sentence.
"""

import ctypes
import gc
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from transformers import PreTrainedConfig

from learner.model.base_model import BaseModel
from learner.model.cuda_graphs import clear_fixtures, held_by_graphs

Item = TypeVar("Item")
Result = TypeVar("Result")

SHARE = {"cuda": 0.8, "cpu": 0.5}  # of what is free; a CPU's memory is everybody's
UNKNOWN_FREE = 4 << 30  # assumed free bytes where the system does not say
# A longer pass is no faster, and its caches are colder.
LONGEST_TRAINING, LONGEST_DECODING = 8192, 32768
# Bytes of the widest activation of a training pass on a CPU. What is larger than 32 MB, glibc takes
# from the system anew each time, page by page: 64 rows of the 0.5B shape took 6 % longer for it.
WIDEST = 24 << 20
LEAST = 512  # tokens that are always tried


class OutOfMemory(ValueError):
    """A pass, or its half, does not fit into memory."""

    def __init__(self, rows: int, device: torch.device) -> None:
        super().__init__(
            f"Memory ran out on {device.type} over {rows} row{'s' * (rows != 1)} at once; "
            "take fewer or shorter ones, or a smaller model."
        )


@dataclass(frozen=True)
class Budget:
    """What one pass may hold: at most ``tokens`` tokens and ``free`` bytes.

    A token that runs through the model takes ``token`` bytes, one logit vector ``logits``, an
    attention score (a query against a key, all heads and layers) ``score``, and a token of a row
    that is decoded, its prefix's included, ``cached``.
    """

    tokens: int
    free: int
    token: int
    logits: int
    score: int = 0
    cached: int = 0

    def bytes(self, tokens: int, length: int, predictions: int, room: int = 0) -> int:
        """What a row of ``tokens`` tokens takes, ``length`` with its prefix, with its logits."""
        return (
            tokens * self.token
            + tokens * length * self.score
            + predictions * self.logits
            + (length + room) * self.cached
        )


def training_budget(base_model: BaseModel) -> Budget:
    """What a training pass may hold, from what is free now.

    For its backward pass a layer keeps about 20 numbers a token for each of its hidden units and 3
    for each of its intermediate ones (measured on Qwen2 and Llama, from above), and the scores
    where attention is written out; logits are kept in the model's precision and, three times, in
    float32.
    """
    hidden, intermediate, layers, heads = _shape(base_model)
    size = base_model.dtype.itemsize
    token = layers * (20 * hidden + 3 * intermediate) * size
    free = planned(base_model.device)
    longest = LONGEST_TRAINING
    if base_model.device.type == "cpu":
        longest = min(longest, WIDEST // (intermediate * size))
    return Budget(
        tokens=max(LEAST, min(longest, free // token)),
        free=max(free, LEAST * token),
        token=token,
        logits=base_model.vocabulary_size * (2 * size + 12),
        score=layers * heads * size,
    )


def decoding_budget(base_model: BaseModel) -> Budget:
    """What a batch of rows that are decoded may hold, from what is free now.

    Keys and values stay in memory, of all layers; the activations of one layer are alive at a time.
    """
    hidden, intermediate, _, heads = _shape(base_model)
    size = base_model.dtype.itemsize
    cached = cached_bytes(base_model)
    token = cached + (20 * hidden + 3 * intermediate) * size
    return Budget(
        tokens=LONGEST_DECODING,
        free=max(planned(base_model.device), LEAST * token),
        token=token,
        logits=base_model.vocabulary_size * (2 * size + 12),
        score=heads * size,
        cached=cached,
    )


def cached_bytes(base_model: BaseModel) -> int:
    """Bytes of one token's keys and values, in all layers."""
    hidden, _, layers, heads = _shape(base_model)
    config = base_model.model.config.get_text_config()
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    head = getattr(config, "head_dim", None) or hidden // heads
    return 2 * layers * kv_heads * head * base_model.dtype.itemsize


def in_halves(
    run: Callable[[Sequence[Item]], Result], items: Sequence[Item], device: torch.device
) -> list[Result]:
    """``run(items)``; where memory runs out of it, ``run`` of either half of them.

    Raises OutOfMemory where a half does not fit either, or where there is only one item.
    """
    whole = attempt(partial(run, items), device)
    if whole:
        return whole
    if len(items) < 2:
        raise OutOfMemory(len(items), device)
    results: list[Result] = []
    middle = (len(items) + 1) // 2
    for half in (items[:middle], items[middle:]):
        done = attempt(partial(run, half), device)
        if not done:
            raise OutOfMemory(len(half), device)
        results += done
    return results


def attempt(run: Callable[[], Result], device: torch.device) -> list[Result]:
    """A list of what ``run()`` returns; an empty one if memory ran out, with what it held free."""
    try:
        return [run()]
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
    # Only here, after the handler, is the traceback gone that kept the pass's tensors alive.
    give_back(device)
    return []


def ran_out(error: BaseException) -> bool:
    """Whether this is how memory runs out, on a CUDA device or a CPU."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def give_back(device: torch.device) -> None:
    """Let go of what is allocated and not in use."""
    clear_fixtures()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    trim()


def trim() -> None:
    """Give the machine what a CPU's passes have freed: the C library would keep it for later.

    A crowd's passes are large, and what they took stayed: 0.9 GB after sixty people at once.
    """
    if sys.platform == "linux":
        with suppress(AttributeError):  # another C library than glibc
            ctypes.CDLL(None).malloc_trim(0)


def free_bytes(device: torch.device) -> int:
    """Bytes that this process could still allocate on the device."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # What PyTorch has reserved and does not use is free for the next pass too, unless it is
        # what graphs work in.
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return max(0, free + unused - held_by_graphs(device))
    return free_system_bytes()


def free_system_bytes(root: Path = Path("/")) -> int:
    """Bytes free on the machine and within the limits of the container (Linux control groups).

    ``root`` is where the file system begins. Where there is no ``/proc``, half of what is built in.
    """
    meminfo = root / "proc/meminfo"
    if not meminfo.is_file():
        if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
            return UNKNOWN_FREE
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
    available = int(lines["MemAvailable"].split()[0]) << 10
    return max(0, min([available, *_group_rooms(root)]))


def planned(device: torch.device) -> int:
    """Bytes that a pass may plan with, from what is free now."""
    return int(SHARE[device.type] * free_bytes(device))


def widths(config: PreTrainedConfig) -> tuple[int, int]:
    """Hidden and intermediate size of a model."""
    config = config.get_text_config()
    intermediate = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    return config.hidden_size, intermediate


def _shape(base_model: BaseModel) -> tuple[int, int, int, int]:
    """Hidden and intermediate size, layers, attention heads."""
    config = base_model.model.config.get_text_config()
    return (
        *widths(config),
        config.num_hidden_layers,
        config.num_attention_heads,
    )


def _group_rooms(root: Path) -> list[int]:
    """What the process's control groups still allow it, one number for each that has a limit.

    Pages of files that nobody uses at the moment count as used there, but make way.
    """
    membership = root / "proc/self/cgroup"
    lines = membership.read_text().splitlines() if membership.is_file() else []
    rooms = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            folder, limit, used, file = "sys/fs/cgroup", "max", "current", "inactive_file"
        elif "memory" in controllers.split(","):  # version 1
            folder, limit, used, file = (
                "sys/fs/cgroup/memory",
                "limit_in_bytes",
                "usage_in_bytes",
                "total_inactive_file",
            )
        else:
            continue
        group = Path(path.lstrip("/"))
        # In a container the path may be that of the host: then the mount's root is the group.
        for inner in (group, *group.parents):
            place = root / folder / inner
            numbers = [_number(place / f"memory.{name}") for name in (limit, used)]
            if numbers[0] is None or numbers[1] is None:
                continue
            rooms.append(numbers[0] - numbers[1] + _statistic(place / "memory.stat", file))
    return rooms


def _number(path: Path) -> int | None:
    """The number in a file; None without the file, or where it says "max"."""
    text = path.read_text().strip() if path.is_file() else "max"
    return None if text == "max" else int(text)


def _statistic(path: Path, name: str) -> int:
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((int(line.split()[1]) for line in lines if line.split()[0] == name), 0)
