"""Where a base model comes from: the value that loading, checkpoints, cards and the Hub share.

A `ModelSource` may go anywhere, so it never holds a path of this machine: a local model is known by
its own name and the hash of its weights. Where such a model lies, only `locate` knows.
"""

import re
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

EMBEDDED, FOLDER, HUB, GGUF = KINDS = ("embedded", "folder", "hub", "gguf")
POCKET = "pocket"  # what the embedded model is called
POCKET_FOLDER = Path(__file__).resolve().parents[2] / "assets" / "pocket"

_FILES = ("*.json", "*.jinja", "*.safetensors", "merges.txt", "tokenizer.model", "vocab.txt")
_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_STEP = r"[^./\\\x00-\x1f][^/\\\x00-\x1f]*"  # of a path: never "..", nor hidden
_HUB_FILE = re.compile(rf"({_HUB_ID.pattern})/(?:{_STEP}/)*{_STEP}(?<=\.gguf)", re.IGNORECASE)
_HUB_NAME = re.compile(r"(\w[\w.-]*/)?\w[\w.-]*")  # the oldest models there have no user
_CONTENT_HASH = re.compile(r"[0-9a-f]{64}")


class ModelError(ValueError):
    """A base model cannot be used; the message is one sentence for the person who asked for it."""


@dataclass(frozen=True)
class ModelSource:
    """Which base model: of one of ``KINDS``, under this name, with exactly these weights.

    ``name`` is "pocket", a Hub id (user/name), a GGUF file's name, on the Hub behind its id
    (user/name/file.gguf), or a folder's own name. ``revision`` is the commit of a model on the Hub,
    and the SHA-256 of the weights of any other; "" where it is not known. Raises ValueError for
    another kind.
    """

    kind: str
    name: str
    revision: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"A base model is {', '.join(KINDS)}, not {self.kind!r}.")

    @property
    def is_embedded(self) -> bool:
        """Whether it is the model that comes with the app."""
        return self.kind == EMBEDDED

    @property
    def is_local(self) -> bool:
        """Whether only this machine has it, so that its name does not say where it lies."""
        return self.kind == FOLDER or (self.kind == GGUF and self.hub_id is None)

    @property
    def hub_id(self) -> str | None:
        """The repository on the Hub that it is in, None if it is in none."""
        if self.kind == GGUF:
            found = _HUB_FILE.fullmatch(self.name)
            return found[1] if found else None
        return self.name if self.kind == HUB and _HUB_ID.fullmatch(self.name) else None

    @property
    def gguf_file(self) -> str | None:
        """The GGUF file, within its repository or folder; None if it is no such file."""
        if self.kind != GGUF:
            return None
        return self.name.removeprefix(f"{self.hub_id}/")

    @property
    def short_name(self) -> str:
        """The last part of its name, for the names of files and repositories."""
        last = self.name.split("/")[-1]
        return re.sub(r"\.gguf$", "", last, flags=re.IGNORECASE) if self.kind == GGUF else last

    def fits(self, used: "ModelSource") -> bool:
        """Whether what was learnt in front of this means the same in front of ``used``.

        Equal weights do, whatever they are called; otherwise the name has to be the same, and the
        revision too, unless it says nothing exact: there is none, or it is a branch.
        """
        if _CONTENT_HASH.fullmatch(self.revision) and self.revision == used.revision:
            return True
        same_name = self.name in ("", used.name)
        return same_name and self.revision in ("", "main", used.revision)


def split_revision(text: str) -> tuple[str, str | None]:
    """The name and the revision in ``name@revision``, as a model on the Hub may be asked for."""
    name, at, revision = text.rpartition("@")
    return (name, revision) if at and name and not Path(text).exists() else (text, None)


def is_model_file(path: str) -> bool:
    """Whether loading a model with safetensors looks at this file of its repository."""
    return "/" not in path and any(fnmatch(path, pattern) for pattern in _FILES)


class Location(NamedTuple):
    """A source whose revision is not known yet, and where it lies; None: on the Hub."""

    source: ModelSource
    path: Path | None


def locate(text: str) -> Location:
    """What a person means by ``text``: "pocket", a folder, a GGUF file, or a name on the Hub.

    A name on the Hub is user/name, and user/name/file.gguf for a GGUF file there. What is on this
    machine comes first. Raises ModelError if it can be none of these.
    """
    if text == POCKET:
        return Location(ModelSource(EMBEDDED, POCKET), POCKET_FOLDER)
    path = Path(text)
    if path.is_dir():
        return Location(ModelSource(FOLDER, path.resolve().name), path)
    if path.is_file():
        return Location(ModelSource(GGUF, path.name), path)
    if text.lower().endswith(".gguf"):
        if not _HUB_FILE.fullmatch(text):
            raise ModelError(
                f"There is no file {text}; on the Hub it would be user/name/file.gguf."
            )
        return Location(ModelSource(GGUF, text), None)
    if not _HUB_NAME.fullmatch(text):
        raise ModelError(f"The model {text} is neither a folder nor a model id (user/name).")
    return Location(ModelSource(HUB, text), None)


def recorded_source(name: str, revision: str, kind: str = "") -> ModelSource:
    """The source that a file names.

    Without a ``kind``, as in files from before there was one and in those that only PEFT wrote, it
    follows from the rest; a name may then be a path, of which the last part is kept. Raises
    ValueError for an unknown kind.
    """
    if kind:
        return ModelSource(kind, name, revision)
    if name == POCKET:
        return ModelSource(EMBEDDED, name, revision)
    paths = PurePosixPath(name), PureWindowsPath(name)
    if name.lower().endswith(".gguf"):
        kind = GGUF
    elif _CONTENT_HASH.fullmatch(revision) or any(path.is_absolute() for path in paths):
        kind = FOLDER
    else:
        kind = HUB
    is_local = kind == FOLDER or (kind == GGUF and not _HUB_FILE.fullmatch(name))
    return ModelSource(kind, (paths[1].name or name) if is_local else name, revision)
