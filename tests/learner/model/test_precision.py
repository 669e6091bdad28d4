"""What is fast is measured: whatever the processor says it can do."""

import pytest
import torch

from learner.model import precision
from learner.model.precision import fast_dtype, product_seconds

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("native", "float32", "bfloat16", "expected"),
    [
        (True, 1.0, 1.6, torch.float32),
        (True, 1.0, 1.05, torch.bfloat16),  # about as fast, in half the memory
        (True, 1.0, 0.4, torch.bfloat16),
        (False, 1.0, 0.4, torch.float32),
    ],
)
def test_the_faster_one_is_taken_where_there_is_a_choice(
    monkeypatch: pytest.MonkeyPatch,
    native: bool,
    float32: float,
    bfloat16: float,
    expected: torch.dtype,
) -> None:
    seconds = {torch.float32: float32, torch.bfloat16: bfloat16}
    asked: list[tuple[int, int]] = []

    def measured(dtype: torch.dtype, hidden: int, intermediate: int) -> float:
        asked.append((hidden, intermediate))
        return seconds[dtype]

    monkeypatch.setattr(precision, "native_bfloat16", lambda device: native)
    monkeypatch.setattr(precision, "product_seconds", measured)
    assert fast_dtype(CPU, 576, 1536) == expected
    assert asked == ([(576, 1536)] * 2 if native else [])


def test_a_gpu_is_not_kept_busy_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "native_bfloat16", lambda device: True)
    monkeypatch.setattr(precision, "product_seconds", None)
    assert fast_dtype(torch.device("cuda"), 576, 1536) == torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_quickest_of_a_few_rounds_counts(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    """Here each look at the clock takes a second more, but for one round of each kind."""
    looks = iter([0.0, 9.0, 10.0, 12.0, 20.0, 29.0] * 2)
    monkeypatch.setattr(precision.time, "perf_counter", lambda: next(looks))
    expected = sum(2.0 / tokens**0.5 for tokens in precision.TOKENS)
    assert product_seconds(dtype, 8, 16) == pytest.approx(expected)
