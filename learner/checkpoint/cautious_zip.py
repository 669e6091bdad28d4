"""Read a zip file from anybody: nothing is unpacked to disk, and nothing is inflated unseen.

A zip file says what it holds in a directory at its end. That is read in bounds; then the caller
decides by names and sizes what it wants, and no file gives more than the size it said it had.
"""

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from learner.checkpoint.reading import CheckpointError, quoted

_MAX_READ = 1 << 17  # bytes; holds the directory of any zip with a handful of entries
_BLOCK = 1 << 16


class CautiousZip:
    """An open zip file: the ``sizes`` (bytes) of its files by name, and how to `read` one."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._entries = {entry.filename: entry for entry in archive.infolist()}
        if len(self._entries) != len(archive.infolist()):
            raise zipfile.BadZipFile("it holds two files of one name")
        self.sizes = {name: entry.file_size for name, entry in self._entries.items()}

    def read(self, name: str) -> bytes:
        """A file, at most as long as ``sizes`` says it is; its checksum is compared too."""
        entry = self._entries[name]
        if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
            raise zipfile.BadZipFile(f"{name} is a link or a device, not a file")
        if entry.flag_bits & 1:
            raise zipfile.BadZipFile(f"{name} is encrypted")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise zipfile.BadZipFile(f"{name} is compressed in a way other than deflate")
        with self._archive.open(entry) as file:
            return b"".join(iter(lambda: file.read(_BLOCK), b""))


@contextmanager
def open_zip(path: Path, max_bytes: int, remedy: str) -> Iterator[CautiousZip]:
    """Open the zip file at ``path``, of at most ``max_bytes``.

    Raises CheckpointError, with ``remedy`` at the end of the sentence, if it is none, too large,
    damaged, or anything but plain files that are stored or deflated.
    """
    try:
        with _CautiousFile(path) as file:
            if file.seek(0, io.SEEK_END) > max_bytes:
                raise zipfile.BadZipFile("it is larger than any checkpoint")
            with zipfile.ZipFile(file) as archive:
                yield CautiousZip(archive)
    except CheckpointError:
        raise
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        NotImplementedError,  # a version or a method that this zipfile does not know
        EOFError,
        OverflowError,  # zip64 can name places that no file has
        OSError,
        ValueError,
    ) as error:
        raise CheckpointError(
            f"{path.name} cannot be read as a zip file ({reason(error)}); {remedy}."
        ) from error


class _CautiousFile(io.FileIO):
    """A file that refuses large reads: a zip's directory is read whole, at the size it claims."""

    def read(self, size: int | None = -1, /) -> bytes:
        most = _MAX_READ + 1
        data = super().read(most if size is None or size < 0 else min(size, most))
        if len(data) > _MAX_READ:
            raise zipfile.BadZipFile("its directory is too large")
        return data


def reason(error: Exception) -> str:
    """Why something could not be read or written, in few words; some errors quote all of it."""
    said = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return quoted(said) or "it ends early"
