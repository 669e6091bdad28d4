"""Run benchmarks and print their tables: ``python -m tests.benchmarks [NAME …]``.

    python -m tests.benchmarks                                all of them, 50 minutes on two cores
    python -m tests.benchmarks training_step floor            some
    python -m tests.benchmarks --json times.json --plot scaling.svg
    python -m tests.benchmarks --small --repetitions 1        does everything work?
    python -m tests.benchmarks live --model SmolLM2-135M-Instruct-Q4_1.gguf --rows click step

The exit status is 1 if the sides of a benchmark did not do the same work, which leaves it without
a result. A target that was missed is said in the table.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

import torch

from learner.model.loading import DEVICES, DTYPES
from learner.model.source import POCKET
from tests.benchmarks.plot import draw
from tests.benchmarks.report import environment, heading, table, write_json
from tests.benchmarks.timing import LIVE_ROWS, DifferentWork, Line, Setting

NAMES = (
    "training_step",
    "episode",
    "evaluation",
    "floor",
    "step_profile",
    "many_learners",
    "reward_step",
    "scaling",
    "service_load",
    "replicas",
    "capacity",
    "app_load",
    "page_frames",
    "start",
    "decoding",
    "live",
    "precision",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks that were named, or all; returns the exit status."""
    options = parser().parse_args(arguments)
    if options.list:
        for name in NAMES:
            print(f"{name:15} {(benchmark(name).__doc__ or '').splitlines()[0]}")
        return 0
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    setting = Setting(
        torch.device(device),
        options.repetitions,
        options.small,
        options.model,
        options.dtype,
        tuple(options.rows),
    )
    facts = environment(setting)
    print(heading(facts), flush=True)
    results: dict[str, list[Line | str]] = {}
    failed = False
    for name in options.names or NAMES:
        print(f"\n## {name}\n", flush=True)
        found = results[name] = []
        try:
            for one in benchmark(name).run(setting):
                found.append(one)
                if options.json:  # as far as it has come, should it be cut short
                    write_json(options.json, facts, results)
        except DifferentWork as error:
            failed = True
            found[:] = [f"No result. {error}."]
        lines = [one for one in found if isinstance(one, Line)]
        if lines:
            print(table(lines))
        for note in (one for one in found if isinstance(one, str)):
            print(f"\n{note}", flush=True)
        if failed and options.json:
            write_json(options.json, facts, results)
        points = [line.point for line in lines if line.point]
        if options.plot and points:
            options.plot.write_text(draw(points), encoding="utf-8")
    return int(failed)


def benchmark(name: str) -> ModuleType:
    """The module of a benchmark; only those that run are imported."""
    return import_module(f"tests.benchmarks.{name}")


def parser() -> argparse.ArgumentParser:
    """The flags."""
    flags = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = flags.add_argument
    add(
        "names",
        nargs="*",
        type=known,
        metavar="NAME",
        help=f"{', '.join(NAMES)}; default: all",
    )
    add("--list", action="store_true", help="say what there is and stop")
    add("--json", type=Path, metavar="FILE", help="also write everything to this file")
    add("--plot", type=Path, metavar="FILE", help="draw the curves of scaling to this SVG file")
    add("--repetitions", type=positive, default=5, help="of each measurement (default: 5)")
    add("--device", default="auto", choices=DEVICES)
    add("--small", action="store_true", help="a model of a few layers, to try things out")
    add = flags.add_argument_group("what live measures").add_argument
    add("--model", default=POCKET, help="as of app.py (default: the embedded one)")
    add("--dtype", default="auto", choices=["auto", *DTYPES], help="of its weights")
    add("--rows", nargs="*", default=(), choices=LIVE_ROWS, help="default: all of them")
    return flags


def known(name: str) -> str:
    """The name of a benchmark. Raises ArgumentTypeError for any other."""
    if name not in NAMES:
        raise argparse.ArgumentTypeError(f"there is no {name!r}; --list says what there is")
    return name


def positive(text: str) -> int:
    """A number of repetitions. Raises ArgumentTypeError below 1, ValueError for no number."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
