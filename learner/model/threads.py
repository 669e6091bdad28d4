"""How many threads compute: all that there are, or one, as this machine is faster with.

Two cores of a virtual machine may be one real core, which two threads do not make faster; they wake
each other for every operation, and leave no core to what answers the page. There SmolLM2's first 80
episodes in the app took 15.5 s with two threads and 10.8 with one. Elsewhere two are nearly twice
as fast. So both are tried, for a fraction of a second, on what a layer of the model's own shape
does.
"""

import os
import time

import torch
import torch.nn.functional as F

from learner.model.base_model import BaseModel
from learner.model.memory import widths
from learner.model.own_thread import in_own_thread

LAYERS, TOKENS = 8, (16, 128)  # of a decoding step, and of a prompt or a training pass
WIDEST = 4096  # a larger matrix says nothing more
ALL = torch.get_num_threads()  # at first: one model's choice is not the next one's most
ROUNDS = 5  # the quickest counts: others may use the machine meanwhile
CLEARLY = 1.3  # times as fast as one thread: less is not worth a core that could answer the page


def use_fast_threads(base_model: BaseModel) -> int:
    """Have threads that begin after this compute with as many as is fast; returns how many.

    OMP_NUM_THREADS has the last word.
    """
    if base_model.device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(fast_threads(base_model.dtype, *widths(base_model.model.config)))
    return torch.get_num_threads()


def compute_with(threads: int) -> None:
    """Have this thread compute with so many, and those that begin after it.

    A thread keeps the number that it began with, whatever others choose meanwhile.
    """
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def fast_threads(dtype: torch.dtype, hidden: int, intermediate: int) -> int:
    """How many threads a model of these widths should compute with on this CPU."""
    if ALL == 1:
        return 1
    before = torch.get_num_threads()
    shape = dtype, min(hidden, WIDEST), min(intermediate, WIDEST)
    try:
        alone, together = (in_own_thread(layer_seconds, count, *shape) for count in (1, ALL))
    finally:
        torch.set_num_threads(before)
    return ALL if alone >= CLEARLY * together else 1


def layer_seconds(threads: int, dtype: torch.dtype, hidden: int, intermediate: int) -> float:
    """Seconds on a CPU, with so many threads, for some feed-forward layers over few and many rows.

    It is for this thread and those that begin to compute after it.
    """
    torch.set_num_threads(threads)
    up = torch.ones((LAYERS, intermediate, hidden), dtype=dtype)
    down = torch.ones((LAYERS, hidden, intermediate), dtype=dtype)
    quickest = 0.0
    with torch.inference_mode():
        for tokens in TOKENS:
            rounds = []
            for _ in range(ROUNDS):
                rows, began = torch.ones((tokens, hidden), dtype=dtype), time.perf_counter()
                for wider, back in zip(up, down, strict=True):
                    read = F.silu(F.linear(F.rms_norm(rows, (hidden,)), wider))
                    rows = rows + F.linear(read, back)
                rounds.append(time.perf_counter() - began)
            quickest += min(rounds)
    return quickest
