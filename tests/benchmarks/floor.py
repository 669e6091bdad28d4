"""Floor: how far a training step is from the matrix products it cannot do without.

Counted is what has to be multiplied to know the gradient of the soft prompt: for every token and
every weight matrix of every layer one multiply-add forward and one back to the input (weights are
frozen, so there is none for their own gradient), attention over the pairs that may see each other
(two products forward, four back), and the output layer where an answer token is predicted. The last
layer counts in full only there too: of the other tokens it needs no more than keys and values. The
shared prefix counts once. Two more lines say what it would be without either: the last layer at
every token, and the prefix once for every row.

FLOPs become seconds by the rate at which this machine runs the step's own bare products: the same
weights, one after the other, at the same number of tokens, in the same precision, with nothing in
between; measured in turn with the step. Those products read every weight from memory twice, as the
step does.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F

from learner.learning.learner import LearnerConfig, new_learner
from learner.learning.training import train_step
from learner.model.base_model import BaseModel
from learner.model.formatting import Encoded
from tests.benchmarks.models import base_model, encodings, lengths, problems
from tests.benchmarks.timing import (
    Line,
    Setting,
    Spread,
    Target,
    duration,
    measure_in_turn,
    seconds,
    short,
)

PROBLEMS = 8
SOFT_TOKENS = 8


@dataclass(frozen=True)
class Work:
    """The sizes of a step: ``pairs`` are a query and a key it may see, in one head of one layer.

    The last layer has its own, where only what an answer needs is counted.
    """

    tokens: int
    answers: int
    pairs: int
    answer_pairs: int


@dataclass(frozen=True)
class Products:
    """Multiply-adds a token of the weight matrices, and a pair of attention, in a model."""

    layers: int
    layer: int  # all matrices of one layer
    key_value: int  # of those, the ones that make keys and values
    output: int
    pair: int  # one product over all heads


def run(setting: Setting) -> Iterator[Line | str]:
    for dtype in setting.dtypes:
        base = base_model(setting.shape, dtype, setting.device)
        chosen = problems(base, PROBLEMS)
        rows = encodings(base, chosen)
        learner = new_learner(base, LearnerConfig(soft_tokens=SOFT_TOKENS, chat_template=True))
        shared, unshared = work(rows, SOFT_TOKENS, True), work(rows, SOFT_TOKENS, False)
        sizes = products(base)
        replay, replayed = bare_products(base, shared.tokens, shared.answers)
        samples = measure_in_turn(
            {"step": partial(train_step, base, learner, chosen), "bare products": replay}, setting
        )
        target = Target("≤", 1.3) if dtype == setting.dtypes[0] else None
        counts = (
            ("what must be done", shared.tokens, flops_needed(sizes, shared), target),
            ("all layers everywhere", shared.tokens, flops_needed(sizes, shared, True), None),
            ("prefix not shared", unshared.tokens, flops_needed(sizes, unshared), None),
        )
        for name, tokens, needed, limit in counts:
            floors = [time * needed / replayed for time in samples["bare products"]]
            yield Line(
                f"{PROBLEMS} problems, {short(dtype)}, {name}",
                f"{duration(Spread.of(samples['step']).median)} step",
                f"{duration(Spread.of(floors).median)} for {needed / 1e9:.4g} GFLOP "
                f"of {tokens} tokens",
                Spread.of([s / f for s, f in zip(samples["step"], floors, strict=True)]),
                unit="× the floor",
                target=limit,
                samples={"step": samples["step"], "floor": floors},
            )
        rate = replayed / Spread.of(samples["bare products"]).median
        yield f"{short(dtype)}: {_machine(base, rate, setting)}"
    yield f"{lengths(rows)}."


def work(rows: Sequence[Encoded], soft_tokens: int, shared: bool) -> Work:
    """The sizes of a training step on problems behind one soft prompt."""
    prefix = soft_tokens + len(rows[0].head)
    own = [len(row.question) + len(row.answer) - 1 for row in rows]
    prefixes = 1 if shared and len(rows) > 1 else len(rows)
    ends = [(prefix + length, len(row.answer)) for length, row in zip(own, rows, strict=True)]
    return Work(
        tokens=prefixes * prefix + sum(own),
        answers=sum(len(row.answer) for row in rows),
        pairs=prefixes * _triangle(prefix)
        + sum(_triangle(prefix + length) - _triangle(prefix) for length in own),
        answer_pairs=sum(_triangle(end) - _triangle(end - answers) for end, answers in ends),
    )


def products(base: BaseModel) -> Products:
    """The matrix products of a Qwen2 model."""
    config = base.model.config
    matrices = {
        name: module.weight.numel()
        for name, module in base.model.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    output = matrices.pop("lm_head")
    keys_and_values = sum(
        numbers for name, numbers in matrices.items() if name.endswith(("k_proj", "v_proj"))
    )
    width = config.hidden_size // config.num_attention_heads
    return Products(
        layers=config.num_hidden_layers,
        layer=sum(matrices.values()) // config.num_hidden_layers,
        key_value=keys_and_values // config.num_hidden_layers,
        output=output,
        pair=config.num_attention_heads * width,
    )


def flops_needed(sizes: Products, step: Work, everywhere: bool = False) -> int:
    """Floating-point operations of a step; with the last layer ``everywhere`` or where it must."""
    last_layer = step.tokens * sizes.layer
    last_pairs = step.pairs
    if not everywhere:
        last_layer = step.tokens * sizes.key_value
        last_layer += step.answers * (sizes.layer - sizes.key_value)
        last_pairs = step.answer_pairs
    whole = sizes.layers - 1
    forward_and_back = whole * step.tokens * sizes.layer + last_layer
    forward_and_back += step.answers * sizes.output
    attention = whole * step.pairs + last_pairs
    return 2 * (2 * forward_and_back + 6 * attention * sizes.pair)


def bare_products(base: BaseModel, tokens: int, answers: int) -> tuple[Callable[[], None], int]:
    """A function that runs a step's weight products and nothing else, and the FLOPs it takes."""
    generator = torch.Generator().manual_seed(0)
    matrices = [
        (module.weight, answers if name == "lm_head" else tokens)
        for name, module in base.model.named_modules()
        if isinstance(module, torch.nn.Linear)
    ]

    def states(rows: int, width: int) -> torch.Tensor:
        return torch.randn(rows, width, generator=generator).to(base.device, base.dtype)

    inputs = {size: states(*size) for size in {(n, w.shape[1]) for w, n in matrices}}
    gradients = {size: states(*size) for size in {(n, w.shape[0]) for w, n in matrices}}

    def replay() -> None:
        with torch.inference_mode():
            for weight, rows in matrices:
                F.linear(inputs[rows, weight.shape[1]], weight)
            for weight, rows in reversed(matrices):
                gradients[rows, weight.shape[0]] @ weight

    return replay, 4 * sum(weight.numel() * rows for weight, rows in matrices)


def _triangle(length: int) -> int:
    return length * (length + 1) // 2


def _machine(base: BaseModel, rate: float, setting: Setting) -> str:
    """What this machine can do, for comparison: its best product, its memory, and the weights."""
    size = 256 if setting.small else 2048
    square = torch.ones((size, size), device=base.device, dtype=base.dtype)
    best = _best(lambda: square @ square, setting)
    block = torch.ones(1 << (20 if setting.small else 26), device=base.device)
    target = torch.empty_like(block)
    copied = 2 * block.nbytes / _best(lambda: target.copy_(block), setting)
    weights = sum(weight.nbytes for weight in base.model.parameters())
    return (
        f"the step's products run at {rate / 1e9:.4g} GFLOP/s, one of {size}³ at "
        f"{2 * size**3 / best / 1e9:.4g}; the weights ({weights / 1e9:.3g} GB), read once forward "
        f"and once back, take {duration(2 * weights / copied)} at the {copied / 1e9:.3g} GB/s of "
        "a copy."
    )


def _best(run_once: Callable[[], object], setting: Setting) -> float:
    run_once()
    return min(seconds(run_once, setting.device) for _ in range(5))
