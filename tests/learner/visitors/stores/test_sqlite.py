"""The store in SQLite: compare and swap, and each way in which a database can fail."""

import multiprocessing
import os
import shutil
import sqlite3
import tempfile
import threading
from pathlib import Path

import pytest

from learner.visitors.stores.sqlite import NAME, SqliteStore
from learner.visitors.stores.store import Conflict, Row, StoreError, Summary

PATIENCE = 30.0


@pytest.fixture
def store(tmp_path):
    store = SqliteStore(tmp_path / "kept")
    yield store
    store.close()


def test_what_is_written_is_read_in_its_newest_version(store):
    assert store.read("a") is None
    assert store.write("a", b"one", 3, 10.0, 0) == 1
    assert store.write("a", b"two", 4, 11.0, 1) == 2
    assert store.read("a") == Row(2, 11.0, b"two")
    store.touch("a", 12.5)
    store.write("b", b"", 0, 1.0, 0)
    assert sorted(store.summaries()) == [Summary("a", 2, 12.5, 4, 3), Summary("b", 1, 1.0, 0, 0)]
    assert store.size() == 3


def test_whoever_does_not_know_what_is_there_changes_nothing(store):
    for version in (1, 5):
        with pytest.raises(Conflict):
            store.write("a", b"mine", 0, 1.0, version)
    store.write("a", b"one", 0, 1.0, 0)
    for version in (0, 2):
        with pytest.raises(Conflict):
            store.write("a", b"mine", 0, 1.0, version)
    store.remove("a", 2)
    assert store.read("a") == Row(1, 1.0, b"one")
    store.remove("a", 1)
    assert store.read("a") is None


def test_looking_makes_nothing(store, tmp_path):
    assert store.read("a") is None
    assert store.summaries() == []
    assert store.size() == 0
    store.touch("a", 1.0)
    store.remove("a", 1)
    assert list(tmp_path.iterdir()) == []


def test_of_many_who_change_the_same_version_one_succeeds(store, tmp_path):
    store.write("a", b"", 0, 1.0, 0)
    stores = [store, SqliteStore(tmp_path / "kept")]
    barrier = threading.Barrier(8, timeout=PATIENCE)
    outcomes = []

    def change(number):
        barrier.wait()
        try:
            stores[number % 2].write("a", bytes([number]), 0, 1.0, 1)
            outcomes.append(number)
        except Conflict:
            outcomes.append(None)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    stores[1].close()
    (winner,) = (number for number in outcomes if number is not None)
    assert len(outcomes) == 8
    assert store.read("a") == Row(2, 1.0, bytes([winner]))


def test_nobody_else_on_the_machine_may_read_it(store, tmp_path):
    store.write("a", b"one", 0, 1.0, 0)
    assert (tmp_path / "kept").stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "kept").iterdir())


# Faults


def test_locked_by_another_program_it_can_be_read_and_written_again_afterwards(store, tmp_path):
    store.write("a", b"one", 0, 1.0, 0)
    other = sqlite3.connect(tmp_path / "kept" / NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="another program is writing there"):
        store.write("a", b"two", 0, 1.0, 1)
    assert store.read("a") == Row(1, 1.0, b"one")
    other.execute("COMMIT")
    other.close()
    assert store.write("a", b"two", 0, 1.0, 1) == 2


def test_full_it_keeps_what_it_has_and_takes_more_when_there_is_room(tmp_path):
    store = SqliteStore(tmp_path, max_bytes=1 << 17)
    store.write("a", bytes(50_000), 0, 1.0, 0)
    with pytest.raises(StoreError, match="there is no room left"):
        store.write("b", bytes(90_000), 0, 1.0, 0)
    with pytest.raises(StoreError, match="there is no room left"):
        store.write("a", bytes(190_000), 0, 1.0, 1)
    assert store.read("a") == Row(1, 1.0, bytes(50_000))
    assert store.read("b") is None
    store.remove("a", 1)
    assert store.write("b", bytes(90_000), 0, 1.0, 0) == 1
    store.close()
    assert (tmp_path / NAME).stat().st_size <= 1 << 17


def test_damaged_it_is_set_aside_and_a_fresh_one_takes_its_place(tmp_path):
    store = SqliteStore(tmp_path)
    store.write("a", b"one", 0, 1.0, 0)
    store.close()
    (tmp_path / NAME).write_bytes(b"\xff" * 20_000)
    assert store.read("a") is None
    assert store.losses == 1
    assert store.write("a", b"two", 0, 1.0, 0) == 1
    assert (tmp_path / f"{NAME}.damaged").read_bytes() == b"\xff" * 20_000
    assert store.read("a") == Row(1, 1.0, b"two")
    assert store.losses == 1
    store.close()


def test_damaged_under_the_running_app_it_is_set_aside_too(tmp_path):
    store = SqliteStore(tmp_path)
    for number in range(100):  # far more than is kept in memory
        store.write(str(number), bytes(100_000), 0, 1.0, 0)
    size = (tmp_path / NAME).stat().st_size
    with open(tmp_path / NAME, "r+b") as file:
        file.write(b"\xff" * (size - 10_000))
    for number in range(100):
        store.read(str(number))
    assert store.losses == 1
    assert (tmp_path / f"{NAME}.damaged").exists()
    assert store.write("0", b"two", 0, 1.0, 0) == 1
    store.close()


@pytest.mark.parametrize("remove", [lambda path: path.unlink(), lambda p: shutil.rmtree(p.parent)])
def test_deleted_under_the_running_app_it_is_made_anew(store, tmp_path, remove):
    store.write("a", b"one", 0, 1.0, 0)
    remove(tmp_path / "kept" / NAME)
    assert store.read("a") is None
    assert store.losses == 1
    assert store.write("b", b"two", 0, 1.0, 0) == 1
    assert store.read("b") == Row(1, 1.0, b"two")
    assert store.losses == 1


def test_where_no_folder_can_be_made_it_says_so_until_there_is_room_for_one(tmp_path):
    (tmp_path / "kept").write_text("in the way")
    store = SqliteStore(tmp_path / "kept")
    with pytest.raises(StoreError, match=r"exists|directory"):
        store.write("a", b"one", 0, 1.0, 0)
    (tmp_path / "kept").unlink()
    assert store.write("a", b"one", 0, 1.0, 0) == 1
    store.close()


def only_reading(folder, said):
    """Use the store as somebody who may only read it."""
    if os.getuid() == 0:
        os.setuid(65534)
    store = SqliteStore(folder)
    said.send((store.read("a"), store.size()))
    for action in (lambda: store.write("a", b"", 0, 1.0, 1), lambda: store.touch("a", 2.0)):
        try:
            action()
        except StoreError as error:
            said.send(str(error))


def test_read_only_it_can_be_read_and_says_that_it_cannot_be_written():
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "kept"
        store = SqliteStore(kept)
        store.write("a", b"one", 0, 1.0, 0)
        store.close()
        for path, mode in ((Path(folder), 0o755), (kept, 0o555), (kept / NAME, 0o444)):
            path.chmod(mode)
        heard, said = multiprocessing.Pipe(duplex=False)
        reader = multiprocessing.get_context("fork").Process(
            target=only_reading, args=(kept, said), daemon=True
        )
        reader.start()
        said.close()
        assert heard.recv() == (Row(1, 1.0, b"one"), 3)
        assert heard.recv() == "it is read-only"
        assert heard.recv() == "it is read-only"
        reader.join(PATIENCE)
        kept.chmod(0o755)


def only_looking(folder, said):
    """Read what lies there, as somebody who may only read it."""
    if os.getuid() == 0:
        os.setuid(65534)
    said.send(SqliteStore(folder).read("a"))


def test_read_only_what_a_killed_app_had_just_written_can_be_read_too():
    with tempfile.TemporaryDirectory() as folder:
        kept, left = Path(folder) / "kept", Path(folder) / "left"
        store = SqliteStore(kept)
        store.write("a", b"one", 0, 1.0, 0)
        shutil.copytree(kept, left)  # as it lies there without being closed
        store.close()
        assert (left / f"{NAME}-wal").stat().st_size > 0
        for path, mode in ((Path(folder), 0o755), (left, 0o555)):
            path.chmod(mode)
        for path in left.iterdir():
            path.chmod(0o444)
        heard, said = multiprocessing.Pipe(duplex=False)
        reader = multiprocessing.get_context("fork").Process(
            target=only_looking, args=(left, said), daemon=True
        )
        reader.start()
        said.close()
        assert heard.recv() == Row(1, 1.0, b"one")
        reader.join(PATIENCE)
        left.chmod(0o755)
