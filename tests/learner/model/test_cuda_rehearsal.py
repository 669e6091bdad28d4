"""A rehearsal for CUDA on tensors that are said to be there and hold nothing (FakeTensorMode).

An operation that mixes devices raises there, and so does whatever needs a number from the device,
which is where the program would wait for it. There is no backward pass: on fake tensors it needs a
CUDA build. Numbers are compared where there is a device (`test_static_cache`,
`test_repeated_steps`).
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.overrides import TorchFunctionMode

from learner.model import cuda_graphs
from learner.model.base_model import BaseModel
from learner.model.completion import TOKENS_A_WAIT, Ask, complete
from learner.model.cuda_graphs import Fixtures
from learner.model.decoding_cache import Prefixes
from learner.model.dense_pass import DensePass
from learner.model.forward import Batch, PackedRows, Row, decoded_rows, next_logits
from tests.learner.questions import QUESTIONS
from tests.learner.tiny_models import build_on

DEVICE = torch.device("cuda", 0)
WRITTEN = 50.0  # the token that every row writes; it ends none
ROWS = [Row(0 if i % 2 else None, (5, 6), tuple(range(10, 15 + i))) for i in range(5)]
aten = torch.ops.aten


class Rehearsal(TorchFunctionMode):
    """Indexing and copying by operations: a CPU build has no guard for CUDA's, which they ask for.

    Counts how often something is read off the device.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits = 0

    def read(self, tensor: torch.Tensor) -> Any:
        self.waits += tensor.device == DEVICE
        return numbers(tensor.shape)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is torch.Tensor.__getitem__:
            return indexed(*args)
        if func is torch.Tensor.__setitem__:
            copied(indexed(*args[:2]), args[2])
            return None
        if func is torch.Tensor.copy_:
            return copied(*args)
        if func is torch.tensor:  # one with a single number would be known, and not be placed
            options = dict(kwargs or {})
            device = options.pop("device", None)
            here = func(*args, **options)
            return torch.empty(here.shape, dtype=here.dtype, device=device)
        return func(*args, **(kwargs or {}))


def indexed(tensor: torch.Tensor, index: Any) -> torch.Tensor:
    indices = index if isinstance(index, tuple) else (index,)
    dim, chosen = 0, [None] * (tensor.ndim + len(indices))
    for place, one in enumerate(indices):
        if one is Ellipsis:
            dim = tensor.ndim - sum(later is not None for later in indices[place + 1 :])
        elif one is None:
            tensor = aten.unsqueeze(tensor, dim)
            dim += 1
        elif isinstance(one, slice):
            tensor = aten.slice(tensor, dim, one.start, one.stop)
            dim += 1
        elif isinstance(one, int):
            tensor = aten.select(tensor, dim, one)
        else:
            chosen[dim] = one if is_tensor(one) else torch.tensor(one, device=tensor.device)
            dim += 1
    return aten.index(tensor, chosen[: tensor.ndim]) if any(map(is_tensor, chosen)) else tensor


def is_tensor(given: Any) -> bool:
    return isinstance(given, torch.Tensor)


def copied(to: torch.Tensor, given: Any) -> torch.Tensor:
    assert to.device == DEVICE
    if is_tensor(given):
        aten.expand(given, to.shape)
    return to


def numbers(shape: Any) -> Any:
    return [numbers(shape[1:]) for _ in range(shape[0])] if shape else WRITTEN


def place(model: torch.nn.Module) -> None:
    """Give a model weights and buffers that are said to be on the device."""
    weights = {id(one): torch.empty(one.shape, device=DEVICE) for one in model.parameters()}
    for module in model.modules():
        for name, weight in module.named_parameters(recurse=False):
            module.register_parameter(
                name, torch.nn.Parameter(weights[id(weight)], requires_grad=False)
            )
        for name, buffer in module.named_buffers(recurse=False):
            module.register_buffer(name, torch.empty(buffer.shape, device=DEVICE))


class Captured:
    """In the place of a graph."""

    repeated = 0

    def replay(self) -> None:
        Captured.repeated += 1


@pytest.fixture(params=[0, 1 << 30])
def rehearsed(request: pytest.FixtureRequest) -> Iterator[tuple[BaseModel, Rehearsal]]:
    """A model on fake tensors, with arenas and without."""
    base_model = replace(build_on("cpu", 0), device=DEVICE)
    vars(base_model)["fixtures"] = Fixtures(request.param)
    Captured.repeated = 0
    with (
        FakeTensorMode(),
        Rehearsal() as rehearsal,
        torch.inference_mode(),
        mock.patch.object(FakeTensor, "tolist", lambda tensor: rehearsal.read(tensor)),
        mock.patch.object(cuda_graphs, "_capture", lambda run, device: (Captured(), run())),
        mock.patch("torch.cuda.mem_get_info", return_value=(1 << 34, 1 << 34)),
        mock.patch("torch.cuda.memory_reserved", return_value=0),
        mock.patch("torch.cuda.memory_allocated", return_value=0),
    ):
        place(base_model.model)
        yield base_model, rehearsal


def test_reading_and_decoding_stay_on_the_device(rehearsed: tuple[BaseModel, Rehearsal]) -> None:
    base_model, rehearsal = rehearsed
    prompt = torch.empty((8, 32), device=DEVICE)
    rows = decoded_rows(base_model, len(ROWS), 40)
    logits = Batch(base_model, ROWS, [8], decoded=rows, room=6).logits(prompt)
    for kept in ([0, 2, 4], [1, 2], [1, 0]):
        assert logits.device == DEVICE
        logits = next_logits(base_model, rows, logits.max(dim=-1).indices)
        rows.keep(kept)
        logits = logits[kept]
    assert rehearsal.waits == 0


@pytest.mark.parametrize("seed", [None, 1])
def test_completions_wait_once_in_a_few_tokens(
    rehearsed: tuple[BaseModel, Rehearsal], seed: int | None
) -> None:
    base_model, rehearsal = rehearsed
    prompt = torch.empty((8, 32), device=DEVICE)
    asks = [
        Ask(question, True, behind, seed=seed)
        for question in QUESTIONS
        for behind in (None, prompt)
    ]
    written = 1 + 3 * TOKENS_A_WAIT["cuda"]
    done = complete(base_model, asks, written, Prefixes())
    assert {one.ids for one in done} == {(int(WRITTEN),) * written}
    assert rehearsal.waits == 1 + 3  # the first token, and three times a few
    in_graphs = base_model.fixtures.max_bytes > 0
    assert len(base_model.fixtures) == in_graphs
    # All but the first step, which is run.
    assert Captured.repeated == (written - 2 if in_graphs else 0)


def test_a_training_pass_stays_on_the_device_until_its_loss(
    rehearsed: tuple[BaseModel, Rehearsal],
) -> None:
    base_model, rehearsal = rehearsed
    prompt = torch.empty((8, 32), device=DEVICE)
    assert Batch(base_model, ROWS, [8]).logits(prompt).device == DEVICE
    with mock.patch.object(torch.Tensor, "requires_grad_", lambda tensor: tensor):
        dense = DensePass(base_model, (64, 16, 8))
    dense.load(PackedRows(ROWS, [8]), prompt, [1] * 5, [0.1] * 5)
    assert dense.logits().device == DEVICE
    assert rehearsal.waits == 0


def test_mixing_devices_is_noticed(rehearsed: tuple[BaseModel, Rehearsal]) -> None:
    with pytest.raises(RuntimeError, match="device"):
        Batch(rehearsed[0], ROWS, [8]).logits(torch.empty((8, 32)))
    with pytest.raises(Exception, match="aten"):
        torch.empty(2, device=DEVICE).sum().item()
