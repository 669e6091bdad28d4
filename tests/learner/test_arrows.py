"""The arrows between the parts: whatever imports, imports from below. The table is the layout."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS = (
    "app",  # and the command line: they put the parts together
    "view",
    "cli",
    "pocket",
    "inspection",
    "report",
    "experiments",
    "visitors",
    "hub",
    "checkpoint",
    "service",
    "measuring",
    "learning",
    "model",
    "plot",
    "wording",
    "arena",
)
"""Top to bottom: ``app.py``, the packages and modules of ``learner/`` by name, ``arena/``."""

KNOW_GRADIO = ("app", "view")
KNOWS_RAY = "learner.service.ray_serve"


def layer(module: str) -> str:
    """The layer that a dotted name is of; "" for what is not ours."""
    first, _, rest = module.partition(".")
    if first != "learner":
        return first if first in ("app", "arena") else ""
    return rest.split(".")[0].replace("__main__", "app")


def sources() -> list[Path]:
    return [ROOT / "app.py", *sorted((ROOT / "learner").rglob("*.py"))]


def imported(path: Path) -> Iterator[str]:
    """The dotted names of what a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports here are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_whatever_imports_imports_from_its_own_layer_or_from_below(path: Path) -> None:
    if path == ROOT / "learner" / "__init__.py":
        assert not list(imported(path))
        return
    mine = LAYERS.index(layer(name_of(path)))
    upwards = [name for name in imported(path) if layer(name) in LAYERS[:mine]]
    assert not upwards


def test_the_table_names_all_there_is_and_nothing_else() -> None:
    found = {layer(name_of(path)) for path in sources()} - {"__init__"}
    assert found | {"arena"} == set(LAYERS)


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_only_the_app_and_its_view_know_gradio(path: Path) -> None:
    knows = any(name.split(".")[0] == "gradio" for name in imported(path))
    assert not knows or layer(name_of(path)) in KNOW_GRADIO


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_only_the_child_of_the_app_knows_ray(path: Path) -> None:
    names = [f"{name}." for name in imported(path)]
    assert not any(name.startswith(f"{KNOWS_RAY}.") for name in names)
    knows = any(name.split(".")[0] == "ray" for name in names)
    assert not knows or name_of(path) == KNOWS_RAY


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_words_for_a_toast_which_are_taken_for_markup_are_escaped_in_one_place(path: Path) -> None:
    said = {
        node.func.attr
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "gr"
    }
    assert name_of(path) == "learner.view.screen" or not said & {"Info", "Warning", "Error"}
