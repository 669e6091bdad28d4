"""Write small files so that a crash at any moment leaves the old content or the new, never a mix.

A folder is written as a sibling and synced, then the two change places. Linux can exchange two
names in one step (``renameat2``). Where that is not to be had the old folder is moved aside first,
under a fixed name, and `settle` moves it back should the second rename never come.
"""

import contextlib
import ctypes
import os
import secrets
import shutil
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path

_AT_FDCWD = -100  # <fcntl.h>: paths are relative to the working directory
_RENAME_EXCHANGE = 2  # <linux/fs.h>
_LEFTOVER_SECONDS = 3600.0  # nobody takes that long to write: the process was killed


class OccupiedFolderError(OSError):
    """The folder holds something else already; the message names some of it."""


def write_folder(files: Mapping[str, bytes], folder: Path, replaceable: Collection[str]) -> Path:
    """Make ``folder`` hold exactly ``files`` (flat names), in one step; return its resolved path.

    An existing folder is replaced only if each of its entries has a name in ``replaceable``, so
    that a mistyped path deletes nobody's work; otherwise OccupiedFolderError. Any other OSError is
    the file system's. Whatever is raised, the old folder is still there.
    """
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    settle(folder)
    _sweep_leftovers(folder)
    if folder.exists():
        others = sorted(set(os.listdir(folder)) - set(replaceable))
        if others:
            raise OccupiedFolderError(", ".join(others[:3]) + (", …" if len(others) > 3 else ""))
    fresh = _fresh_sibling(folder)
    fresh.mkdir()
    try:
        for name, data in files.items():
            _write_synced(fresh / name, data)
        _sync_folder(fresh)
        _put_in_place(fresh, folder)
        _sync_folder(folder.parent)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)  # after an exchange this is the old folder
    return folder


def write_file(data: bytes, path: Path) -> Path:
    """Make the file ``path`` hold exactly ``data``, in one step; return its resolved path."""
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep_leftovers(path)
    fresh = _fresh_sibling(path)
    try:
        _write_synced(fresh, data)
        os.replace(fresh, path)
        _sync_folder(path.parent)
    finally:
        fresh.unlink(missing_ok=True)
    return path


def settle(folder: Path) -> None:
    """Bring back the old ``folder`` if its writer was killed between two renames."""
    folder = folder.resolve()
    aside = _aside(folder)
    if not aside.exists():
        return
    if folder.exists():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        os.rename(aside, folder)


def _put_in_place(fresh: Path, folder: Path) -> None:
    """Rename ``fresh`` to ``folder``; an old ``folder`` is at ``fresh`` afterwards, or gone."""
    if not folder.exists():
        os.rename(fresh, folder)
    elif not _exchange(fresh, folder):
        aside = _aside(folder)
        os.rename(folder, aside)
        try:
            os.rename(fresh, folder)
        except OSError:
            os.rename(aside, folder)
            raise
        shutil.rmtree(aside, ignore_errors=True)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two names in one step; False, and nothing done, where the system cannot."""
    if sys.platform != "linux":
        return False
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)  # older C libraries lack it
    if renameat2 is None:
        return False
    names = (_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second))
    return renameat2(*names, _RENAME_EXCHANGE) == 0


def _write_synced(path: Path, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable; Windows has no such call and needs none."""
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _fresh_sibling(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")


def _sweep_leftovers(path: Path) -> None:
    """Remove what writers of ``path`` that were killed long ago left beside it."""
    for entry in os.scandir(path.parent):
        if entry.name.startswith(f".{path.name}.") and entry.name.endswith(".new"):
            with contextlib.suppress(FileNotFoundError):  # its writer was alive after all
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > _LEFTOVER_SECONDS:
                    if entry.is_dir(follow_symlinks=False):
                        shutil.rmtree(entry.path, ignore_errors=True)
                    else:
                        os.unlink(entry.path)
