"""What a run of the benchmarks says: the machine and versions, tables, and the same as JSON."""

import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.timing import Line, Setting, Spread, short

PACKAGES = ("torch", "transformers", "peft")
HEADER = ("case", "ours", "rival", "result [least, greatest]", "target", "met")


def environment(setting: Setting) -> dict[str, str]:
    """What a number depends on besides the code, each in a few words."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    facts = {
        "processor": _processor(),
        "threads": f"{torch.get_num_threads()} on {usable} usable cores",
        "device": _device(setting.device),
        "precision": " and ".join(map(short, setting.dtypes)),
        "versions": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "repetitions": f"{setting.repetitions}, medians of runs in turn",
    }
    if hasattr(os, "getloadavg"):
        facts["other load"] = f"{os.getloadavg()[0]:.1f} processes running when it began"
    if setting.small:
        facts["model"] = "small, to try the benchmarks out: the numbers mean nothing"
    return facts


def heading(facts: Mapping[str, str]) -> str:
    """The environment as a list."""
    return "\n".join(f"- {name}: {fact}" for name, fact in facts.items())


def table(lines: Sequence[Line]) -> str:
    """A Markdown table, a line a case."""
    cells = [HEADER, *(_cells(line) for line in lines)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADER))]
    rows = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join((rows[0], rule, *rows[1:]))


def write_json(path: Path, facts: Mapping[str, str], results: Mapping[str, Sequence[Any]]) -> None:
    """Everything, raw samples included; ``results`` are the lines and notes of each benchmark."""
    benchmarks = {
        name: {
            "lines": [_record(one) for one in found if isinstance(one, Line)],
            "notes": [one for one in found if isinstance(one, str)],
        }
        for name, found in results.items()
    }
    text = json.dumps({"environment": facts, "benchmarks": benchmarks}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def _cells(line: Line) -> tuple[str, ...]:
    target = "–" if line.target is None else f"{line.target.relation} {line.target.limit:g}"
    met = {None: "–", True: "yes", False: "**no**"}[line.met]
    value = "–" if line.value is None else _value(line.value, line.unit)
    return line.case, line.ours, line.rival or "–", value, target, met


def _value(value: Spread, unit: str) -> str:
    median, low, high = (f"{number:.3g}" for number in (value.median, value.low, value.high))
    said = f"p = {median}" if unit == "p" else f"{median}{unit}"
    return said if low == high else f"{said} [{low}, {high}]"


def _record(line: Line) -> dict[str, Any]:
    return {**asdict(line), "met": line.met}


def _device(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "the processor"


def _processor() -> str:
    """The processor's name, and whether it multiplies bfloat16 matrices natively."""
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", information.read_text(), re.MULTILINE)
        name = found[1] if found else name
    capabilities = torch.cpu.get_capabilities()
    fast = [kind for kind in ("amx_bf16", "avx512_bf16", "avx2") if capabilities.get(kind)]
    return f"{name} ({', '.join(fast)})" if fast else name
