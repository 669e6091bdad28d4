"""Scaling: what a step costs in time and memory by rows, learners, prompt length and model size.

Sizes of one series are measured in turn. Nothing may grow faster than linearly in rows or learners:
between neighbours, the time of twice as many must be at most twice as long, with a tenth for noise.
``--plot FILE`` draws the series.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import pairwise

from learner.learning.learner import LearnerConfig, new_learner
from learner.learning.training import train_step, train_steps
from learner.model.base_model import BaseModel
from tests.benchmarks.memory import peak_bytes
from tests.benchmarks.models import EMBEDDED, base_model, encodings, lengths, problems
from tests.benchmarks.timing import (
    Line,
    Point,
    Setting,
    Spread,
    Target,
    duration,
    measure_in_turn,
    short,
)

SIZES = (1, 2, 4, 8, 16, 32, 64)
PROMPT_LENGTHS = (1, 8, 25, 50, 100)
PROBLEMS = 8
LINEAR = Target("≤", 1.1)
Steps = dict[float, Callable[[], object]]


def run(setting: Setting) -> Iterator[Line | str]:
    base = base_model(setting.shape, setting.dtypes[0], setting.device)
    sizes = SIZES[:3] if setting.small else SIZES
    for axis, steps in (("rows", by_rows(base, sizes)), ("learners", by_learners(base, sizes))):
        times = measure_in_turn(_named(steps), setting)
        yield from _series(axis, base, steps, times, setting)
        yield _growth(axis, times)
    steps = by_prompt_length(base, PROMPT_LENGTHS[: 2 if setting.small else None])
    yield from _series(
        "prompt tokens", base, steps, measure_in_turn(_named(steps), setting), setting
    )
    yield f"rows: {lengths(encodings(base, problems(base, sizes[-1])))}."
    for shape in (EMBEDDED, setting.shape) if setting.small else (EMBEDDED, "0.5B", "1.5B"):
        base = base_model(shape, setting.dtypes[0], setting.device)
        steps = {base.parameter_count: by_rows(base, (PROBLEMS,))[PROBLEMS]}
        yield from _series("weights", base, steps, measure_in_turn(_named(steps), setting), setting)


def by_rows(base: BaseModel, sizes: tuple[int, ...]) -> Steps:
    """Steps of one learner on that many problems."""
    learner = new_learner(base, LearnerConfig(chat_template=True))
    chosen = problems(base, sizes[-1])
    return {n: partial(train_step, base, learner, chosen[:n]) for n in sizes}


def by_learners(base: BaseModel, sizes: tuple[int, ...]) -> Steps:
    """Merged steps of that many learners on one problem each."""
    requests = [
        (new_learner(base, LearnerConfig(chat_template=True, seed=i)), [problem])
        for i, problem in enumerate(problems(base, sizes[-1]))
    ]
    return {n: partial(train_steps, base, requests[:n]) for n in sizes}


def by_prompt_length(base: BaseModel, prompt_lengths: tuple[int, ...]) -> Steps:
    """Steps of one learner with that many soft tokens on 8 problems."""
    chosen = problems(base, PROBLEMS)
    return {
        n: partial(
            train_step,
            base,
            new_learner(base, LearnerConfig(soft_tokens=n, chat_template=True)),
            chosen,
        )
        for n in prompt_lengths
    }


def _named(steps: Steps) -> Mapping[str, Callable[[], object]]:
    return {f"{size:g}": step for size, step in steps.items()}


def _series(
    axis: str, base: BaseModel, steps: Steps, times: Mapping[str, list[float]], setting: Setting
) -> Iterator[Line]:
    """A line for each size of a series, with its memory."""
    for size, step in steps.items():
        samples = times[f"{size:g}"]
        median = Spread.of(samples).median
        peak = peak_bytes(step, setting.device)
        taken = "memory unknown" if peak is None else f"{peak / 1e6:.0f} MB"
        yield Line(
            f"{axis}: {size:,.0f} ({base.name}, {short(base.dtype)})",
            f"{duration(median)}, {taken}",
            "",
            samples={f"{size:g}": samples},
            point=Point(axis, size, median, peak),
        )


def _growth(axis: str, times: Mapping[str, list[float]]) -> Line:
    """The steepest growth between neighbouring sizes, where 1 is linear."""
    sizes = list(times)
    growths = [
        Spread.of(
            [
                (large / small) / (float(after) / float(before))
                for small, large in zip(times[before], times[after], strict=True)
            ]
        )
        for before, after in pairwise(sizes)
    ]
    return Line(
        f"{axis}: steepest growth between neighbours",
        "",
        "",
        max(growths, key=lambda growth: growth.median),
        unit="× linear",
        target=LINEAR,
    )
