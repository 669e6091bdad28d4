"""Timing in turn: us, the rival, us again, in one process, so that both meet the same machine.

Nothing is timed before both sides were shown to do the same work (`require_close`,
`require_equal`); a benchmark whose sides differ has no result.
"""

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import torch

from learner.model.precision import fast_dtype, native_bfloat16
from learner.model.source import POCKET

LIVE_ROWS = ("open", "click", "people", "step")  # what `live` can measure


@lru_cache
def _fast_dtype(device: torch.device) -> torch.dtype:
    """What the app would choose for a model of the 0.5B shape."""
    return fast_dtype(device, 896, 4864)


class DifferentWork(Exception):
    """The two sides of a benchmark did not do the same thing, so their times mean nothing."""


@dataclass(frozen=True)
class Setting:
    """Where and how often to measure; ``small`` is to try things out on a model of a few layers.

    ``model``, its ``dtype`` and ``rows`` (all, if none are named) are what `live` measures.
    """

    device: torch.device
    repetitions: int = 5
    small: bool = False
    model: str = POCKET
    dtype: str = "auto"
    rows: tuple[str, ...] = ()

    @property
    def dtypes(self) -> tuple[torch.dtype, ...]:
        """The precisions worth measuring here, the one that the app would choose first."""
        if not native_bfloat16(self.device):
            return (torch.float32,)
        first = _fast_dtype(self.device)
        return (first, torch.float32 if first == torch.bfloat16 else torch.bfloat16)

    @property
    def shape(self) -> str:
        """The shape that most targets are about."""
        return "small" if self.small else "0.5B"


@dataclass(frozen=True)
class Spread:
    """The median of repeated measurements, with the least and the greatest of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Target:
    """What a number must reach: at least or at most ``limit``."""

    relation: str  # "≥" or "≤"
    limit: float

    def met(self, value: float) -> bool:
        return value >= self.limit if self.relation == "≥" else value <= self.limit


@dataclass(frozen=True)
class Point:
    """A point of a curve over ``axis``: median seconds, and peak bytes where they are known."""

    axis: str
    size: float
    seconds: float
    peak_bytes: int | None


@dataclass(frozen=True)
class Line:
    """One line of a table: both sides in words, the number judged, and its target if it has one.

    ``unit`` follows the number ("×", " s", "× the floor"); "p" is a p-value. ``samples`` are the
    raw measurements behind it, in seconds unless the key says otherwise.
    """

    case: str
    ours: str
    rival: str
    value: Spread | None = None
    unit: str = "×"
    target: Target | None = None
    samples: Mapping[str, Sequence[float]] = field(default_factory=dict)
    point: Point | None = None

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the target; None if there is none."""
        if self.target is None or self.value is None:
            return None
        return self.target.met(self.value.median)


def measure_in_turn(
    contenders: Mapping[str, Callable[[], object]], setting: Setting, warm_up: int = 1
) -> dict[str, list[float]]:
    """Seconds of each contender in each repetition, after ``warm_up`` rounds that do not count.

    On CUDA one more: what is repeated as a graph is captured the second time. Who goes first
    changes from one repetition to the next.
    """
    for _ in range(warm_up + (setting.device.type == "cuda")):
        for run in contenders.values():
            run()
    names = list(contenders)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for repetition in range(setting.repetitions):
        first = repetition % len(names)
        for name in names[first:] + names[:first]:
            gc.collect()
            samples[name].append(seconds(contenders[name], setting.device))
    return samples


def seconds(run: Callable[[], object], device: torch.device) -> float:
    """How long a call takes until its work is done, on the GPU's own clock where there is one."""
    if device.type != "cuda":
        began = time.perf_counter()
        run()
        return time.perf_counter() - began
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    start.record()
    run()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3


def fastest(contenders: Mapping[str, Callable[[], object]], setting: Setting) -> str:
    """The contender with the best of two runs after a warm-up: how a rival's setting is chosen."""
    for run in contenders.values():
        run()
    return min(
        contenders,
        key=lambda name: min(seconds(contenders[name], setting.device) for _ in range(2)),
    )


def speed_up(ours: Sequence[float], rival: Sequence[float]) -> Spread:
    """How many times as fast we are, from pairs measured one after the other."""
    return Spread.of([theirs / mine for mine, theirs in zip(ours, rival, strict=True)])


def compared(
    case: str,
    samples: Mapping[str, Sequence[float]],
    ours: str,
    rival: str,
    target: Target | None = None,
    per: float = 1.0,
) -> Line:
    """The line for two of the contenders, each named with its median time, over ``per``."""
    return Line(
        case,
        f"{duration(statistics.median(samples[ours]) / per)} {ours}",
        f"{duration(statistics.median(samples[rival]) / per)} {rival}",
        speed_up(samples[ours], samples[rival]),
        target=target,
        samples={name: list(samples[name]) for name in (ours, rival)},
    )


def duration(time_taken: float) -> str:
    """Seconds with three digits, in the unit that suits them."""
    scales = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))
    rounded = float(f"{time_taken:.3g}")  # so that 999.9 ms are 1 s
    unit, scale = next((one for one in scales if rounded >= one[1]), scales[-1])
    return f"{time_taken / scale:.3g} {unit}"


def short(dtype: torch.dtype) -> str:
    """``bfloat16`` for ``torch.bfloat16``."""
    return str(dtype).removeprefix("torch.")


def require_close(
    what: str, ours: torch.Tensor | float, rival: torch.Tensor | float, tolerance: float
) -> None:
    """Raise DifferentWork unless the two agree to ``tolerance``, relative to the rival's norm."""
    mine, theirs = (torch.as_tensor(value, dtype=torch.float64) for value in (ours, rival))
    error = float((mine - theirs).norm() / theirs.norm())
    if not error <= tolerance:  # also when it is not a number
        raise DifferentWork(
            f"{what}: the two sides differ by {error:.2g} of the rival's, more than {tolerance:g}"
        )


def require_close_loss(what: str, ours: float, rival: float, tolerance: float) -> float:
    """How far two losses differ, as a share of the rival's, or of a nat if that is more.

    Bfloat16 rounds logits, and so losses, by hundredths of a nat however small they are. Raises
    DifferentWork if it is more than ``tolerance``.
    """
    difference = abs(ours - rival) / max(1.0, abs(rival))
    if not difference <= tolerance:  # also when it is not a number
        raise DifferentWork(f"{what}: {ours:.3g} against {rival:.3g}, more than {tolerance:g} off")
    return difference


def require_equal(what: str, ours: object, rival: object) -> None:
    """Raise DifferentWork unless the two are equal."""
    if ours != rival:
        raise DifferentWork(f"{what}: {ours!r} is not the rival's {rival!r}")
