"""The arena stands alone; the other arrows are in tests/learner/test_arrows.py."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "transformers", "gradio")


def imported(path: Path) -> set[str]:
    """The top-level names of all modules that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.split(".")[0])
    return found


def files(folder: str) -> list[Path]:
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found, folder
    return found


def test_importing_the_arena_loads_nothing_heavy():
    command = f"import sys, arena; print([name for name in {HEAVY} if name in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("path", files("arena"), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_arena_is_pure_python_and_knows_nothing_above_it(path):
    allowed = {*sys.stdlib_module_names, "arena"}
    assert imported(path) <= allowed
