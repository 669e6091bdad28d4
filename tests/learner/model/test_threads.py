"""How many threads compute is measured, and said to nobody who has chosen it."""

import pytest
import torch

from learner.model import threads
from learner.model.base_model import BaseModel
from learner.model.threads import compute_with, fast_threads, layer_seconds, use_fast_threads


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of a machine with two threads: those that were set, the last one last."""
    numbers = [2]
    monkeypatch.setattr(threads, "ALL", 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: numbers[-1])
    monkeypatch.setattr(torch, "set_num_threads", numbers.append)
    return numbers


@pytest.mark.parametrize(
    ("alone", "together", "expected"),
    [
        (1.0, 0.6, 2),
        (1.0, 0.9, 1),  # hardly faster: the other core answers the page
        (1.0, 1.9, 1),
    ],
)
def test_all_threads_compute_where_that_is_clearly_faster(
    chosen: list[int],
    monkeypatch: pytest.MonkeyPatch,
    alone: float,
    together: float,
    expected: int,
) -> None:
    seconds = {1: alone, 2: together}
    monkeypatch.setattr(threads, "layer_seconds", lambda count, *shape: seconds[count])
    assert fast_threads(torch.float32, 576, 1536) == expected
    assert chosen[-1] == 2  # trying them decides nothing


def test_where_there_is_one_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "ALL", 1)
    monkeypatch.setattr(threads, "layer_seconds", None)
    assert fast_threads(torch.float32, 576, 1536) == 1


def test_what_one_model_is_fast_with_does_not_bind_the_next(
    chosen: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    compute_with(1)
    monkeypatch.setattr(threads, "layer_seconds", lambda count, *shape: 1.0 / count)
    assert fast_threads(torch.float32, 896, 4864) == 2
    assert chosen[-1] == 1


def test_whoever_asked_for_so_many_gets_them(
    chosen: list[int], monkeypatch: pytest.MonkeyPatch, base_model: BaseModel
) -> None:
    monkeypatch.setattr(threads, "fast_threads", lambda *_: 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert use_fast_threads(base_model) == 2
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert use_fast_threads(base_model) == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_quickest_of_a_few_rounds_counts(
    chosen: list[int], monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    """Each look at the clock is a second after the last, but for one round of each kind."""
    rounds = [9.0] * (threads.ROUNDS - 1) + [2.0]
    looks = iter([second for took in rounds * len(threads.TOKENS) for second in (0.0, took)])
    monkeypatch.setattr(threads.time, "perf_counter", lambda: next(looks))
    assert layer_seconds(2, dtype, 8, 16) == 2.0 * len(threads.TOKENS)
    assert chosen == [2, 2]
