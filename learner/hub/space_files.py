"""The files of a Space: this tree without what only its makers need, made ready for the hardware.

The README's front matter is what the Hub builds a Space from. ZeroGPU is particular about it: only
some versions of Python and torch run there.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import SpaceCard

from learner.model.source import recorded_source

CPU, ZEROGPU = "cpu-basic", "zerogpu"
MARKER = "learner/__init__.py"  # a Space that has it is one of this app
MODELS_VARIABLE = "SOFT_PROMPT_MODELS"  # with commas between them, each perhaps with its @revision
MCP_VARIABLE, SESSIONS_VARIABLE = "SOFT_PROMPT_MCP", "SOFT_PROMPT_SESSIONS"
BUCKET_MOUNT = "/data"  # where a Space finds its bucket
BUCKET_SESSIONS = f"file://{BUCKET_MOUNT}/sessions"

_TOP_LEVEL = ("LICENSE", "README.md", "app.py", "requirements.txt")
_FOLDERS = ("arena", "assets", "learner")
_FLAVORS = {ZEROGPU: "zero-a10g"}  # what the Hub's API calls it, whatever card is behind it now
_PYTHON = "3.12.12"
_ZERO_TORCH = "torch==2.11.0"
_ZERO_PACKAGE = "spaces>=0.51,<1"
_LONGEST_START = "1h"  # a build that downloads a large model takes longer than the default
_TORCH_LINE = re.compile(r"^torch\b.*$", re.MULTILINE)


@dataclass(frozen=True)
class SpaceModel:
    """A base model of a Space: ``commit`` and ``files`` on the Hub, none of the embedded one."""

    name: str
    commit: str = ""
    files: tuple[str, ...] = ()
    size: int = 0  # bytes

    @property
    def asked_for(self) -> str:
        """What the app calls exactly this model."""
        return f"{self.name}@{self.commit}" if self.commit else self.name


def model_variables(models: Sequence[SpaceModel]) -> dict[str, str]:
    """The environment by which the app asks for these models, the first of them for newcomers."""
    return {MODELS_VARIABLE: ",".join(model.asked_for for model in models)}


def flavor(hardware: str) -> str:
    """What the Hub's API calls a kind of hardware."""
    return _FLAVORS.get(hardware, hardware)


def space_files(
    root: Path, repo_id: str, hardware: str, models: Sequence[SpaceModel], mcp: bool = False
) -> dict[str, bytes]:
    """The files of the Space by path, with what ``mcp`` needs if it is to have tools for agents.

    Raises FileNotFoundError if ``root`` is not this project.
    """
    paths = [root / name for name in _TOP_LEVEL]
    for folder in _FOLDERS:
        paths += sorted(path for path in (root / folder).rglob("*") if _belongs(path, root))
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}
    files["README.md"] = _readme(files["README.md"].decode(), repo_id, hardware, models).encode()
    needed = files["requirements.txt"].decode()
    files["requirements.txt"] = _requirements(needed, hardware, mcp).encode()
    return files


def _belongs(path: Path, root: Path) -> bool:
    parts = path.relative_to(root).parts
    hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
    return path.is_file() and not hidden and path.suffix != ".pyc"


def _readme(text: str, repo_id: str, hardware: str, models: Sequence[SpaceModel]) -> str:
    card = SpaceCard(text)
    card.data["python_version"] = _PYTHON
    card.data["suggested_hardware"] = flavor(hardware)
    card.data["startup_duration_timeout"] = _LONGEST_START
    card.data["thumbnail"] = (
        f"https://huggingface.co/spaces/{repo_id}/resolve/main/assets/screenshot.png"
    )
    repositories = {model: recorded_source(model.name, "").hub_id for model in models}
    loaded = {model: repository for model, repository in repositories.items() if repository}
    if loaded:
        card.data["models"] = [*dict.fromkeys(loaded.values())]
        card.data["preload_from_hub"] = [
            f"{repository} {','.join(model.files)} {model.commit}"
            for model, repository in loaded.items()
        ]
    return str(card)


def _requirements(text: str, hardware: str, mcp: bool) -> str:
    if mcp:
        text = text.replace("gradio[oauth]", "gradio[oauth,mcp]")
    if hardware != ZEROGPU:
        return text
    return f"{_TORCH_LINE.sub(_ZERO_TORCH, text).rstrip()}\n{_ZERO_PACKAGE}\n"
