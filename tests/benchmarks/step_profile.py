"""Step profile: what the time of a training step of 8 problems goes into, by kind of operation.

Every operation counts with the time it takes itself, and belongs where the shapes it works on say:
what touches the vocabulary is the output layer and the loss, what touches the feed-forward's width
its products or the SwiGLU between them. What the operations' own times leave of the step (Python,
autograd, the profiler) is the last line. A share is of the whole step.

On CUDA it is how much of a step the device is at work, with graphs and with every kernel launched.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from time import perf_counter

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from learner.learning.learner import LearnerConfig, new_learner
from learner.learning.training import train_step
from learner.model.base_model import BaseModel
from tests.benchmarks.models import base_model, encodings, lengths, problems, without_graphs
from tests.benchmarks.timing import Line, Setting, Spread, duration, seconds, short

PROBLEMS = 8
PRODUCTS = {"aten::mm", "aten::addmm", "aten::addmm_", "aten::linear"}
ATTENTION = ("aten::bmm", "aten::baddbmm", "aten::_softmax", "aten::_scaled_dot_product")
FEED_FORWARD = "products of the feed-forwards"
BETWEEN = "between them (SwiGLU)"
PROJECTIONS = "products of attention's projections"
SCORES = "attention itself"
OUTPUT = "output layer and loss"
HIDDEN = "norms, rotations, residuals, gathering and copies"
REST = "not in an operation"


def run(setting: Setting) -> Iterator[Line | str]:
    if setting.device.type == "cuda":
        yield from at_work(setting)
        return
    for dtype in setting.dtypes:
        base = base_model(setting.shape, dtype, setting.device)
        chosen = problems(base, PROBLEMS)
        learner = new_learner(base, LearnerConfig(chat_template=True))
        step = partial(train_step, base, learner, chosen)
        for _ in range(2):
            step()
        taken = [parts(base, step) for _ in range(setting.repetitions)]
        for kind in (FEED_FORWARD, BETWEEN, PROJECTIONS, SCORES, HIDDEN, OUTPUT, REST):
            spent = [part[kind] for part in taken]
            yield Line(
                f"{PROBLEMS} problems, {short(dtype)}: {kind}",
                duration(Spread.of(spent).median),
                "",
                Spread.of([100 * part[kind] / part.total() for part in taken]),
                unit=" %",
                samples={kind: spent},
            )
    yield f"{lengths(encodings(base, chosen))}."


def at_work(setting: Setting) -> Iterator[Line]:
    """How much of a step's time kernels run on a CUDA device."""
    for dtype in setting.dtypes:
        base = base_model(setting.shape, dtype, setting.device)
        learner = new_learner(base, LearnerConfig(chat_template=True))
        for number in (PROBLEMS, 1):
            chosen = problems(base, number)
            for way, model in (("in a graph", base), ("launched", without_graphs(base))):
                step = partial(train_step, model, learner, chosen)
                for _ in range(3):
                    step()
                whole = [seconds(step, setting.device) for _ in range(setting.repetitions)]
                with profile(activities=[ProfilerActivity.CUDA]) as profiled:
                    step()
                    torch.cuda.synchronize(setting.device)
                kernels = [e for e in profiled.events() if e.device_type is DeviceType.CUDA]
                busy = sum(kernel.time_range.elapsed_us() for kernel in kernels) / 1e6
                yield Line(
                    f"{number} problem{'s' * (number > 1)}, {short(dtype)}, {way}",
                    duration(Spread.of(whole).median),
                    f"{duration(busy)} in {len(kernels)} kernels",
                    Spread.of([100 * busy / one for one in whole]),
                    unit=" % at work",
                    samples={"step": whole, "kernels": [busy]},
                )


def parts(base: BaseModel, step: Callable[[], object]) -> Counter[str]:
    """Seconds of one step by kind of operation; together they are the step."""
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiled:
        began = perf_counter()
        step()
        whole = perf_counter() - began
    config = base.model.config
    found: Counter[str] = Counter()
    for event in profiled.key_averages(group_by_input_shape=True):
        sizes = {size for shape in event.input_shapes for size in _numbers(shape)}
        if kind := kind_of(event.key, sizes, config.intermediate_size, base.vocabulary_size):
            found[kind] += event.self_cpu_time_total / 1e6
    found[REST] = max(0.0, whole - found.total())
    return found


def kind_of(name: str, sizes: set[int], intermediate: int, vocabulary: int) -> str | None:
    """What an operation is for, by its name and the sizes it works on; None for none."""
    if not name.startswith("aten::"):
        return None
    if vocabulary in sizes:
        return OUTPUT
    if intermediate in sizes:
        return FEED_FORWARD if name in PRODUCTS else BETWEEN
    if name in PRODUCTS:
        return PROJECTIONS
    return SCORES if name.startswith(ATTENTION) else HIDDEN


def _numbers(shape: Sequence) -> Iterator[int]:
    """The numbers in a shape, or in the shapes of a list of tensors."""
    for entry in shape:
        if isinstance(entry, int):
            yield entry
        else:
            yield from _numbers(entry)
