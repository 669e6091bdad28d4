"""How much memory a call needs at its peak."""

import ctypes
import gc
import re
from collections.abc import Callable
from pathlib import Path

import torch

_STATUS, _FORGET_PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_bytes(run: Callable[[], object], device: torch.device) -> int | None:
    """Bytes beyond what was held before the call; None where the system does not tell.

    On a GPU of the tensors on it, on Linux of the whole process; elsewhere nothing is known.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        return torch.cuda.max_memory_allocated(device) - before
    if not _FORGET_PEAK.exists():
        return None
    ctypes.CDLL(None).malloc_trim(0)  # what was freed before must not hide what is taken now
    before = _held("VmRSS")
    _FORGET_PEAK.write_text("5")  # see proc(5): the peak starts afresh
    run()
    return _held("VmHWM") - before


def _held(what: str) -> int:
    found = re.search(rf"^{what}:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024
