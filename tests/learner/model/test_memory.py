"""What is free is read right, a plan holds what a pass takes, and running out is survived."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learner.model import memory
from learner.model.base_model import BaseModel
from learner.model.decoding_cache import ROOM_STEP, CachedRows
from learner.model.forward import Batch, Row
from learner.model.memory import (
    OutOfMemory,
    decoding_budget,
    free_bytes,
    free_system_bytes,
    in_halves,
    ran_out,
    training_budget,
)
from tests.learner.tiny_models import build_base_model

CPU = torch.device("cpu")
GIB = 1 << 30
CPU_ERROR = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: "
    "you tried to allocate 99999999999 bytes. Error code 12 (Cannot allocate memory)"
)
CUDA_ERROR = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")


# Running out


class Machine:
    """Runs over items, as long as there are no more than fit."""

    def __init__(self, fits: int, error: Exception) -> None:
        self.fits = fits
        self.error = error
        self.runs: list[list[int]] = []

    def run(self, items: Sequence[int]) -> list[int]:
        self.runs.append(list(items))
        if len(items) > self.fits:
            raise self.error
        return [10 * item for item in items]


@pytest.mark.parametrize("error", [CPU_ERROR, CUDA_ERROR, MemoryError()])
@given(count=st.integers(1, 40), fits=st.integers(0, 45))
def test_a_pass_is_halved_once(error: Exception, count: int, fits: int) -> None:
    machine = Machine(fits, error)
    items = list(range(count))
    with mock.patch.object(memory.gc, "collect"):  # slow, and there is nothing to collect
        check_halving(machine, items)


def check_halving(machine: Machine, items: list[int]) -> None:
    fits, count = machine.fits, len(items)
    if fits >= count or (fits >= (count + 1) // 2 and count > 1):
        results = in_halves(machine.run, items, CPU)
        assert [value for part in results for value in part] == [10 * item for item in items]
        assert len(results) == (1 if fits >= count else 2)
    else:
        with pytest.raises(OutOfMemory, match="Memory ran out on cpu over"):
            in_halves(machine.run, items, CPU)
        assert len(machine.runs) <= 2


@pytest.mark.parametrize("error", [RuntimeError("shapes do not match"), ValueError("too long")])
def test_other_errors_are_not_taken_for_it(error: Exception) -> None:
    machine = Machine(0, error)
    with pytest.raises(type(error), match=str(error)):
        in_halves(machine.run, [1, 2, 3], CPU)
    assert machine.runs == [[1, 2, 3]]


def test_what_the_failed_pass_held_is_gone_before_the_next() -> None:
    """A traceback keeps the frames alive, and they the tensors."""

    class Tensor:
        alive = 0

        def __init__(self) -> None:
            Tensor.alive += 1

        def __del__(self) -> None:
            Tensor.alive -= 1

    def run(items: Sequence[int]) -> int:
        assert Tensor.alive == 0
        held = Tensor()
        if len(items) > 1:
            raise RuntimeError(str(CPU_ERROR))
        return len([held])

    assert in_halves(run, [1, 2], CPU) == [1, 1]


def test_the_real_allocators_error_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert ran_out(caught.value)


# What is free


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MEMINFO = {"proc/meminfo": f"MemTotal: {64 << 20} kB\nMemAvailable:   {32 << 20} kB\n"}
V2 = "sys/fs/cgroup"
V1 = "sys/fs/cgroup/memory"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 32 * GIB),
        ({"proc/self/cgroup": "0::/\n"}, 32 * GIB),
        (
            {
                "proc/self/cgroup": "0::/app/inner\n",
                f"{V2}/app/inner/memory.max": "max",
                f"{V2}/app/inner/memory.current": f"{GIB}",
                f"{V2}/app/memory.max": f"{4 * GIB}\n",
                f"{V2}/app/memory.current": f"{3 * GIB}\n",
            },
            GIB,
        ),
        (
            {
                "proc/self/cgroup": "0::/\n",
                f"{V2}/memory.max": f"{4 * GIB}",
                f"{V2}/memory.current": f"{3 * GIB}",
                f"{V2}/memory.stat": f"anon 1\ninactive_file {GIB}\nactive_file 7\n",
            },
            2 * GIB,
        ),
        (  # in a container the path is the host's, and the mount is the group itself
            {
                "proc/self/cgroup": "9:cpu:/x\n4:memory:/docker/abc\n0::/\n",
                f"{V1}/memory.limit_in_bytes": f"{8 * GIB}",
                f"{V1}/memory.usage_in_bytes": f"{2 * GIB}",
                f"{V1}/memory.stat": f"inactive_file 1\ntotal_inactive_file {GIB}\n",
            },
            7 * GIB,
        ),
        (  # more is used than allowed, for a moment
            {
                "proc/self/cgroup": "0::/\n",
                f"{V2}/memory.max": f"{GIB}",
                f"{V2}/memory.current": f"{2 * GIB}",
            },
            0,
        ),
    ],
    ids=["no groups", "no limit", "parent", "file pages", "version 1", "beyond"],
)
def test_free_is_what_machine_and_container_allow(
    tmp_path: Path, files: dict[str, str], expected: int
) -> None:
    assert free_system_bytes(written(tmp_path, MEMINFO | files)) == expected


def test_without_proc_half_of_what_is_built_in_counts(tmp_path: Path) -> None:
    numbers = {"SC_PHYS_PAGES": 1 << 20, "SC_PAGE_SIZE": 4096}
    with mock.patch.object(memory.os, "sysconf", numbers.__getitem__):
        assert free_system_bytes(tmp_path) == 2 * GIB
    with mock.patch.object(memory.os, "sysconf_names", {}):
        assert free_system_bytes(tmp_path) == memory.UNKNOWN_FREE


def test_this_machine_has_some_free() -> None:
    assert 1 << 20 < free_bytes(CPU) < 1 << 50


def test_on_cuda_what_pytorch_has_reserved_and_does_not_use_is_free_too() -> None:
    with mock.patch.multiple(
        torch.cuda,
        mem_get_info=lambda device: (5 * GIB, 80 * GIB),
        memory_reserved=lambda device: 3 * GIB,
        memory_allocated=lambda device: GIB,
    ):
        assert free_bytes(torch.device("cuda")) == 7 * GIB


# Plans

LONG = [Row(0, (9, 8, 7), tuple(range(4, 4 + n)), 3) for n in (40, 200, 30, 60)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
def test_a_training_pass_keeps_what_was_planned(architecture: str, dtype: torch.dtype) -> None:
    """What autograd holds at the end of the forward pass is within the plan, and not far below."""
    base_model = build_base_model(architecture, dtype=dtype)
    weights = {parameter.data_ptr() for parameter in base_model.model.parameters()}
    kept: dict[int, torch.Tensor] = {}  # all are held, so that no address is used twice

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    prompts = torch.ones((8, base_model.hidden_size)).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = Batch(base_model, LONG, [8]).logits(prompts)
        torch.nn.functional.cross_entropy(logits.float(), torch.zeros(12, dtype=torch.long))
    held = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    budget = training_budget(base_model)
    planned = budget.bytes(11, 11, 0) + sum(
        budget.bytes(len(row.tokens), 11 + len(row.tokens), row.predictions) for row in LONG
    )
    assert planned / 4 < held < planned


def test_rows_that_are_decoded_keep_what_was_planned(base_model: BaseModel) -> None:
    decoded = CachedRows(base_model.device)
    batch = Batch(base_model, LONG, [8], decoded=decoded, room=5)
    with torch.inference_mode():
        batch.logits(torch.ones((8, base_model.hidden_size)))
    longest = 11 + 200 + 5
    held = sum(state.nbytes for states in decoded.taken()[0].values() for state in states)
    planned = len(LONG) * longest * decoding_budget(base_model).cached
    assert planned <= held < planned * (1 + ROOM_STEP / longest)


def test_plans_follow_what_is_free(qwen2: BaseModel) -> None:
    plans = []
    for free in (0, 1 << 24, 1 << 34):
        with mock.patch.object(memory, "free_bytes", lambda device, free=free: free):
            plans.append((training_budget(qwen2), decoding_budget(qwen2)))
    for kind in (0, 1):
        tokens = [plan[kind].tokens for plan in plans]
        assert tokens == sorted(tokens) and tokens[0] >= memory.LEAST
        free = [plan[kind].free for plan in plans]
        assert free == sorted(free) and free[0] < free[-1]


@pytest.mark.parametrize(
    ("device", "tokens"), [("cpu", memory.WIDEST // (4 * 3000)), ("cuda", memory.LONGEST_TRAINING)]
)
def test_a_pass_on_a_cpu_has_no_activation_that_is_allocated_anew(device: str, tokens: int) -> None:
    config = SimpleNamespace(
        hidden_size=8,
        intermediate_size=3000,
        num_hidden_layers=1,
        num_attention_heads=2,
        get_text_config=lambda: config,
    )
    model = SimpleNamespace(
        model=SimpleNamespace(config=config),
        device=torch.device(device),
        dtype=torch.float32,
        vocabulary_size=100,
    )
    with mock.patch.object(memory, "free_bytes", lambda device: 1 << 40):
        assert training_budget(model).tokens == tokens


def test_a_model_without_an_intermediate_size_is_planned_for_too() -> None:
    config = SimpleNamespace(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, get_text_config=lambda: config
    )
    model = SimpleNamespace(
        model=SimpleNamespace(config=config),
        device=CPU,
        dtype=torch.float32,
        vocabulary_size=100,
    )
    assert training_budget(model).token == (20 * 8 + 3 * 32) * 4
    assert decoding_budget(model).cached == 2 * 2 * 4 * 4
