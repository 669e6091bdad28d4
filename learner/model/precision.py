"""Which precision is fast here: measured on products of a model's own shapes, never looked up.

A processor that has instructions for bfloat16 need not be fast with them: two cores with
AVX512-BF16 and without AMX took 1.6 times as long for a decoding step of a 0.5B model in bfloat16
as in float32. So where there are such instructions, both are tried, for a fraction of a second,
over more weights than the caches hold: reading them is most of what decoding does.
"""

import math
import time

import torch
import torch.nn.functional as F

WEIGHT_BYTES = 48 << 20  # in float32
MOST_COPIES = 32
WIDEST = 8192  # a larger matrix says nothing more
TOKENS = (4, 256)  # of a decoding step, and of a prompt or a training pass
ROUNDS = 3  # the quickest counts: others may use the machine meanwhile
CLEARLY = 1.1  # times as fast as bfloat16, which takes half the memory: then it is float32


def native_bfloat16(device: torch.device) -> bool:
    """Whether the hardware has instructions for bfloat16 products (else emulation is slow)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16"))
    return False


def fast_dtype(device: torch.device, hidden: int, intermediate: int) -> torch.dtype:
    """Bfloat16, or float32 where that is faster for weights [intermediate, hidden]."""
    if not native_bfloat16(device):
        return torch.float32
    if device.type != "cpu":
        return torch.bfloat16
    shape = min(hidden, WIDEST), min(intermediate, WIDEST)
    float32, bfloat16 = (
        product_seconds(dtype, *shape) for dtype in (torch.float32, torch.bfloat16)
    )
    return torch.float32 if float32 * CLEARLY <= bfloat16 else torch.bfloat16


def product_seconds(dtype: torch.dtype, hidden: int, intermediate: int) -> float:
    """Seconds on a CPU for the products of a few tokens and of many with weights of this shape."""
    copies = min(MOST_COPIES, math.ceil(WEIGHT_BYTES / (4 * hidden * intermediate)))
    weights = torch.ones((copies, intermediate, hidden), dtype=dtype)
    quickest = 0.0
    with torch.inference_mode():
        for tokens in TOKENS:
            rows = torch.ones((tokens, hidden), dtype=dtype)
            rounds = []
            for _ in range(ROUNDS):
                began = time.perf_counter()
                for weight in weights:
                    F.linear(rows, weight)
                rounds.append(time.perf_counter() - began)
            quickest += min(rounds) / tokens**0.5  # neither kind of product drowns the other
    return quickest
