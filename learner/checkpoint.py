"""Checkpoints: a learner on disk, as a folder that PEFT loads as it stands, or as its zip file.

What the files hold is in `checkpoint_format.py`; here is how they get to the disk and back: written
so that a crash leaves the old checkpoint or the new one, and read no further than they should be.
"""

import contextlib
import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from learner.atomic_folder import OccupiedFolderError, settle, write_file, write_folder
from learner.base_model import BaseModel
from learner.checkpoint_format import (
    SIZE_LIMITS,
    OtherModelError,
    check_names_and_sizes,
    pack,
    unpack,
)
from learner.checkpoint_reading import CheckpointError
from learner.soft_prompt import Learner

__all__ = [
    "CheckpointError",
    "OtherModelError",
    "load",
    "load_zip",
    "save",
    "save_zip",
]

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same learner gives the same bytes whenever it is saved
_MAX_ZIP_BYTES = sum(SIZE_LIMITS.values())
_MAX_ZIP_READ = 1 << 17  # bytes; holds the directory of any zip with a handful of entries


def save(learner: Learner, folder: Path, base_model: BaseModel | None = None) -> Path:
    """Write ``learner``'s checkpoint to ``folder`` in one step; return its resolved path.

    A checkpoint that is already there is replaced, any other content is not. ``base_model``
    completes PEFT's config (see `pack`). Raises CheckpointError if it cannot be written.
    """
    with _write_errors(folder):
        return write_folder(pack(learner, base_model), folder, replaceable=SIZE_LIMITS)


def load(folder: Path, base_model: BaseModel, accept_other_model: bool = False) -> Learner:
    """The learner in a checkpoint folder: ours, or a prompt-tuning adapter that PEFT saved.

    Files of other names are not looked at. Raises as `unpack` does.
    """
    return unpack(read_folder(folder, SIZE_LIMITS), base_model, accept_other_model)


def read_folder(folder: Path, limits: Mapping[str, int]) -> dict[str, bytes]:
    """The files in ``folder`` that ``limits`` (bytes) names, each read one byte past it at most."""
    name = folder.resolve().name  # a visitor need not know where on the server it lies
    files = {}
    try:
        settle(folder)
        if not folder.is_dir():
            raise CheckpointError(f"{name} is not a folder; a checkpoint is a folder of files.")
        for file_name, limit in limits.items():
            path = folder / file_name
            if path.is_file():
                with open(path, "rb") as file:
                    files[file_name] = file.read(limit + 1)
    except OSError as error:
        raise CheckpointError(
            f"{name} cannot be read ({_reason(error)}); check that you may open it."
        ) from error
    return files


def save_zip(learner: Learner, path: Path, base_model: BaseModel | None = None) -> Path:
    """Write the checkpoint folder's files as the zip file ``path``, in one step. As `save`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in pack(learner, base_model).items():
            archive.writestr(zipfile.ZipInfo(name, _ZIP_EPOCH), data, zipfile.ZIP_DEFLATED)
    with _write_errors(path):
        return write_file(buffer.getvalue(), path)


def load_zip(path: Path, base_model: BaseModel, accept_other_model: bool = False) -> Learner:
    """The learner in a zipped checkpoint folder, from anybody. Nothing is unpacked to disk.

    Raises as `unpack` does; also for folders, links, encryption, and names that do not belong.
    """
    return unpack(_read_zip(path), base_model, accept_other_model)


class _CautiousFile(io.FileIO):
    """A file that refuses large reads: a zip's directory is read whole, at the size it claims."""

    def read(self, size: int | None = -1, /) -> bytes:
        most = _MAX_ZIP_READ + 1
        data = super().read(most if size is None or size < 0 else min(size, most))
        if len(data) > _MAX_ZIP_READ:
            raise zipfile.BadZipFile("its directory is too large")
        return data


def _read_zip(path: Path) -> dict[str, bytes]:
    try:
        with _CautiousFile(path) as file:
            if file.seek(0, io.SEEK_END) > _MAX_ZIP_BYTES:
                raise zipfile.BadZipFile("it is larger than any checkpoint")
            with zipfile.ZipFile(file) as archive:
                entries = archive.infolist()
                sizes = {entry.filename: entry.file_size for entry in entries}
                check_names_and_sizes(sizes)
                if len(sizes) != len(entries):
                    raise zipfile.BadZipFile("it holds two files of one name")
                return {entry.filename: _read_entry(archive, entry) for entry in entries}
    except CheckpointError:
        raise
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        NotImplementedError,  # a version or a method that this zipfile does not know
        EOFError,
        OSError,
        ValueError,
    ) as error:
        raise CheckpointError(
            f"{path.name} cannot be read as a zip file ({_reason(error)}); zip the checkpoint's "
            "files, or download it again."
        ) from error


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """One file of the archive, at most as long as it said it is; its checksum is compared too."""
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
        raise zipfile.BadZipFile(f"{entry.filename} is a link or a device, not a file")
    if entry.flag_bits & 1:
        raise zipfile.BadZipFile(f"{entry.filename} is encrypted")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile(f"{entry.filename} is compressed in a way other than deflate")
    with archive.open(entry) as file:
        return b"".join(iter(lambda: file.read(_MAX_ZIP_READ // 2), b""))


@contextlib.contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    """Say in a sentence why ``path`` could not be written."""
    try:
        yield
    except OccupiedFolderError as error:
        raise CheckpointError(
            f"{path} holds files that are not a checkpoint's ({error}); choose a new folder."
        ) from error
    except OSError as error:
        raise CheckpointError(
            f"The checkpoint could not be written to {path} ({_reason(error)}); choose another "
            "place, or make room."
        ) from error


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or "it ends early"
