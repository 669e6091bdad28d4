"""Writing a folder in one step: killed at every single operation, it is the old one or the new."""

import os
import signal
import sys

import pytest

from learner.checkpoint import atomic_folder
from learner.checkpoint.atomic_folder import OccupiedFolderError, settle, write_file, write_folder

OLD = {"a": b"old a", "b": b"old b"}
NEW = {"a": b"new a", "c": b"new c"}
NAMES = {"a", "b", "c"}


@pytest.fixture(autouse=True)
def synced(monkeypatch):
    """The (device, inode) of what was synced; a real sync takes long and matters to no kill."""
    synced = []

    def note(descriptor):
        synced.append(os.fstat(descriptor)[1:3])

    monkeypatch.setattr(os, "fsync", note)
    return synced


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_it_holds_exactly_the_files(tmp_path):
    folder = tmp_path / "deep" / "folder"
    assert write_folder(OLD, folder, NAMES) == folder
    assert content(folder) == OLD
    write_folder(NEW, folder, NAMES)
    assert content(folder) == NEW
    assert os.listdir(folder.parent) == ["folder"]


def test_files_are_on_the_disk_before_they_are_in_place(tmp_path, synced, monkeypatch):
    rename, synced_before = os.rename, []

    def note(source, target):
        synced_before.extend(synced)
        rename(source, target)

    monkeypatch.setattr(os, "rename", note)
    folder = write_folder(OLD, tmp_path / "folder", NAMES)
    needed = {os.stat(path)[1:3] for path in (folder, folder / "a", folder / "b")}
    assert needed == set(synced_before)
    assert os.stat(tmp_path)[1:3] == synced[-1]


@pytest.fixture
def without_exchange(monkeypatch):
    """A file system on which two names cannot be exchanged."""
    monkeypatch.setattr(atomic_folder, "_exchange", lambda first, second: False)


def test_it_replaces_where_names_cannot_be_exchanged(tmp_path, without_exchange):
    write_folder(OLD, tmp_path / "folder", NAMES)
    write_folder(NEW, tmp_path / "folder", NAMES)
    assert content(tmp_path / "folder") == NEW
    assert os.listdir(tmp_path) == ["folder"]


def killed_at(operation, folder):
    """Write NEW in a child process that gets a SIGKILL at its ``operation``-th file operation.

    Returns whether it had that many and died. The audit hook sees each open, mkdir, rename, removal
    and listing before it happens; a fork keeps it out of this process.
    """
    child = os.fork()
    if child == 0:
        left = operation

        def count(event, _):
            nonlocal left
            if event.split(".")[0] in ("open", "os", "shutil"):
                left -= 1
                if left < 0:
                    signal.raise_signal(signal.SIGKILL)

        sys.addaudithook(count)
        try:
            write_folder(NEW, folder, NAMES)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="needs fork, and audit events in file order")
@pytest.mark.parametrize("exchange", [True, False])
@pytest.mark.parametrize("before", [None, OLD])
def test_killed_at_any_operation_it_is_the_old_or_the_new(tmp_path, monkeypatch, exchange, before):
    if not exchange:
        monkeypatch.setattr(atomic_folder, "_exchange", lambda first, second: False)
    operation, outcomes = 0, set()
    while True:
        folder = tmp_path / str(operation) / "folder"
        folder.parent.mkdir()
        if before is not None:
            write_folder(before, folder, NAMES)
        died = killed_at(operation, folder)
        if exchange and before is not None:
            assert folder.is_dir(), "exchanging leaves no moment without a folder"
        settle(folder)
        after = content(folder) if folder.exists() else None
        assert after in (before, NEW)
        outcomes.add(after == NEW)
        write_folder(NEW, folder, NAMES)  # what the killed one left is in nobody's way
        assert content(folder) == NEW
        operation += 1
        if not died:
            break
    assert operation >= 10
    assert outcomes == {False, True}


def test_a_failed_write_leaves_the_old_one(tmp_path, monkeypatch):
    write_folder(OLD, tmp_path / "folder", NAMES)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_folder(NEW, tmp_path / "folder", NAMES)
    assert content(tmp_path / "folder") == OLD
    assert os.listdir(tmp_path) == ["folder"]


def test_a_failed_second_rename_puts_the_old_one_back(tmp_path, monkeypatch, without_exchange):
    write_folder(OLD, tmp_path / "folder", NAMES)
    rename, renames = os.rename, []

    def second_fails(source, target):
        renames.append(source)
        if len(renames) == 2:
            raise PermissionError(13, "Permission denied")
        rename(source, target)

    monkeypatch.setattr(os, "rename", second_fails)
    with pytest.raises(PermissionError):
        write_folder(NEW, tmp_path / "folder", NAMES)
    assert content(tmp_path / "folder") == OLD


def test_other_peoples_files_are_not_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OccupiedFolderError, match=r"thesis\.tex"):
        write_folder(NEW, tmp_path, NAMES)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize("age, remains", [(60, True), (86400, False)])
def test_leftovers_of_killed_writers_are_removed_when_old(tmp_path, age, remains):
    leftover = tmp_path / ".folder.0123456789abcdef.new"
    leftover.mkdir()
    (leftover / "a").write_bytes(b"half")
    then = os.stat(leftover).st_mtime - age
    os.utime(leftover, (then, then))
    write_folder(NEW, tmp_path / "folder", NAMES)
    assert leftover.exists() == remains


def test_a_file_is_replaced_in_one_step(tmp_path, monkeypatch):
    path = write_file(b"old", tmp_path / "deep" / "file")
    assert path.read_bytes() == b"old"
    write_file(b"new", path)
    assert path.read_bytes() == b"new"

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_file(b"newer", path)
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == ["file"]
