"""What torch saved in an original checkpoint (``checkpoint_ep80.pt``), read and never run.

``torch.save`` wrote a zip archive of the tensors' bytes and of a pickle, which in hostile hands is
a program. Two things keep it from being one here: `pickle_grammar` lets through only what such a
checkpoint says; and torch then reads it with ``weights_only=True``, from an archive written afresh,
because its own zip reader is not meant for hostile files. The values have yet to be checked:
`learner.checkpoint.original.learner`.
"""

import io
import pickle
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from learner.checkpoint.cautious_zip import CautiousZip, open_zip
from learner.checkpoint.original.pickle_grammar import METRICS, check_pickle
from learner.checkpoint.reading import CheckpointError
from learner.learning.learner import MAX_SOFT_TOKENS

MAX_PICKLE = 1 << 19  # bytes; some 8,000 episodes
_PICKLE = "data.pkl"
_MAX_ENTRIES = 32  # an original has ten files: the pickle, four tensors, versions
_allowing = threading.Lock()  # what torch allows, it allows to the whole process


@dataclass(frozen=True)
class LearningMetrics:
    """One episode in an original checkpoint. ``accuracy`` is 1 or 0, ``timestamp`` seconds since
    the epoch, ``loss`` in nats a token of the whole text."""

    episode: int
    loss: float
    accuracy: float
    task_type: str
    timestamp: float


def read_archive(path: Path, hidden_size: int) -> Any:
    """The value that was saved, of a soft prompt for vectors of ``hidden_size`` numbers.

    Raises CheckpointError for what torch.save did not write, or is larger than it can be.
    """
    max_bytes = 3 * 4 * MAX_SOFT_TOKENS * hidden_size + 2 * MAX_PICKLE
    remedy = (
        "it should be what torch.save has written since version 1.6, so where you trust an older "
        "one, load and save it again with torch"
    )
    with open_zip(path, max_bytes, remedy) as archive:
        records = _records(archive, path.name, max_bytes)
    check_pickle(records[_PICKLE], path.name)
    return _torch_load(records, path.name)


def _records(archive: CautiousZip, file: str, max_bytes: int) -> dict[str, bytes]:
    """The pickle and the tensors' bytes, by their names inside the archive's one folder."""
    sizes = archive.sizes
    root = next((name[: -len(_PICKLE)] for name in sizes if name.endswith(f"/{_PICKLE}")), None)
    if root is None:
        raise CheckpointError(
            f"{file} was not written by torch.save; a checkpoint that was saved here ends in .zip."
        )
    wanted = [name for name in sizes if name.startswith((f"{root}data", f"{root}byteorder"))]
    size = sum(sizes[name] for name in wanted)
    if sizes[root + _PICKLE] > MAX_PICKLE or size > max_bytes or len(sizes) > _MAX_ENTRIES:
        raise CheckpointError(
            f"{file} holds {len(sizes)} files, {size / 1e6:.1f} MB to read, which is more than any "
            "checkpoint of the original experiments does; take one of theirs."
        )
    return {name.removeprefix(root): archive.read(name) for name in wanted}


def _torch_load(records: Mapping[str, bytes], file: str) -> Any:
    """What torch reads in the records: the grammar has been checked, the values have not."""
    fresh = io.BytesIO()
    with zipfile.ZipFile(fresh, "w", zipfile.ZIP_STORED) as archive:
        for name, data in {"version": b"3\n", **records}.items():
            archive.writestr(f"original/{name}", data)
    fresh.seek(0)
    classes: list[Any] = [(LearningMetrics, name) for name in METRICS]
    try:
        with _allowing, torch.serialization.safe_globals(classes):
            return torch.load(fresh, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        AssertionError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise CheckpointError(
            f"{file} names tensors that it does not hold, or is damaged; download it again."
        ) from error
