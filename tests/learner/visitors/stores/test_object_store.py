"""The store of objects that are written once: in memory, in a folder, and on a mounted bucket."""

import errno
import os
import threading

import pytest

from learner.visitors.stores.object_store import ObjectStore
from learner.visitors.stores.objects import FolderObjects, RemoteObjects, open_objects
from learner.visitors.stores.store import Conflict, Row, StoreError, Summary
from tests.learner.session_server import teach
from tests.object_storage import PAGE, ObjectStorage

PATIENCE = 60.0
OUT_OF_REACH = "its storage is out of reach, or does not let this app in"


def no_links(*_):
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.fixture
def storage(monkeypatch):
    """Object storage on loopback, which the environment names."""
    with ObjectStorage() as storage:
        for name, value in storage.environment.items():
            monkeypatch.setenv(name, value)
        yield storage


@pytest.fixture(params=["memory", "s3", "folder", "mount"])
def objects(request, tmp_path, monkeypatch):
    if request.param == "memory":
        return RemoteObjects("memory:///")
    if request.param == "s3":
        request.getfixturevalue("storage")
        return open_objects("s3://bucket/a/folder")
    if request.param == "mount":
        monkeypatch.setattr(os, "link", no_links)
    return FolderObjects(tmp_path / "kept")


@pytest.fixture
def store(objects):
    return ObjectStore(objects)


def test_what_is_written_is_read_in_its_newest_version(store, objects):
    assert store.read("a") is None
    assert store.write("a", b"one", 3, 10.0, 0) == 1
    assert store.write("a", b"two", 4, 11.0, 1) == 2
    assert store.write("a", b"three", 5, 12.0, 2) == 3
    assert store.read("a") == Row(3, 12.0, b"three")
    store.touch("a", 13.5)
    store.write("ab", b"", 0, 1.0, 0)
    for one in (store, ObjectStore(objects)):
        assert one.read("a") == Row(3, 13.5, b"three")
        assert sorted(one.summaries()) == [
            Summary("a", 3, 13.5, 5, 5),
            Summary("ab", 1, 1.0, 0, 0),
        ]
        assert one.size() == 5
    assert len(objects.below("rows/a")) == 2 and len(objects.below("used/a")) == 1


def test_whoever_does_not_know_what_is_there_changes_nothing(store, objects):
    for version in (1, 5):
        with pytest.raises(Conflict):
            store.write("a", b"mine", 0, 1.0, version)
    assert objects.below("rows") == {}
    for version in range(4):
        store.write("a", b"one", 0, 1.0, version)
    for version in (0, 1, 2, 3, 5):
        with pytest.raises(Conflict):
            store.write("a", b"mine", 0, 1.0, version)
    store.remove("a", 3)
    assert store.read("a") == Row(4, 1.0, b"one")
    store.remove("a", 4)
    assert store.read("a") is None and store.summaries() == []
    assert objects.below("rows") == objects.below("used") == {}
    with pytest.raises(Conflict):
        store.write("a", b"mine", 0, 1.0, 4)
    assert store.write("a", b"anew", 0, 1.0, 0) == 1


def test_of_many_apps_that_change_a_row_at_once_each_time_one_succeeds(objects):
    rounds, barrier = 5, threading.Barrier(6, timeout=PATIENCE)
    won = []

    def change(number):
        store = ObjectStore(objects)
        for version in range(rounds):
            barrier.wait()
            try:
                store.write("a", b"%d" % number, 0, 1.0, version)
                won.append((version, number))
            except Conflict:
                pass
            barrier.wait()

    threads = [threading.Thread(target=change, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(version for version, _ in won) == [*range(rounds)]
    assert ObjectStore(objects).read("a") == Row(rounds, 1.0, b"%d" % max(won)[1])


def test_what_others_write_is_listed_within_a_minute(objects):
    now = [0.0]
    store, other = ObjectStore(objects, clock=lambda: now[0]), ObjectStore(objects)
    assert store.summaries() == []
    other.write("a", b"one", 3, 10.0, 0)
    assert store.read("a") == Row(1, 10.0, b"one")
    now[0] += 61.0
    assert store.summaries() == [Summary("a", 1, 10.0, 3, 3)]
    other.remove("a", 1)
    now[0] += 61.0
    assert store.summaries() == []


def test_a_torn_newest_version_is_passed_over_and_replaced(objects):
    store = ObjectStore(objects)
    store.write("a", b"one", 3, 10.0, 0)
    whole = objects.read("rows/a/1")
    for torn in (b"", whole[:-1], whole[:20], whole[:-1] + b"x"):
        objects.create("rows/a/2", torn)
        assert store.read("a") == Row(2, 10.0, b"one")
        objects.delete(["rows/a/2"])
    objects.create("rows/a/2", whole[:-1])
    assert store.write("a", b"three", 4, 11.0, 2) == 3
    assert store.read("a") == Row(3, 11.0, b"three")
    objects.create("rows/b/1", b"torn")
    assert store.read("b") == Row(1, 0.0, b"")
    assert store.write("b", b"two", 0, 1.0, 1) == 2


def test_a_writer_that_was_killed_before_it_said_so_is_counted(objects):
    store = ObjectStore(objects)
    store.write("a", b"one", 30, 10.0, 0)
    objects.delete(objects.below("used"))
    again = ObjectStore(objects)
    assert again.summaries() == [Summary("a", 1, 10.0, 30, 3)]
    again.touch("a", 99.0)
    assert again.read("a") == Row(1, 10.0, b"one")


def test_what_lies_there_too_is_left_alone(store, objects):
    for path in ("rows/.keep", "rows/a/readme.md", "rows/a/b/1", "used/a/1.2", "used/x", "else"):
        objects.create(path, b"not ours")
    before = {**objects.below("rows"), **objects.below("used")}
    assert store.read("a") is None and store.summaries() == []
    store.write("a", b"one", 0, 1.0, 0)
    store.remove("a", 1)
    assert {**objects.below("rows"), **objects.below("used")} == before


def test_no_space_is_a_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    objects = FolderObjects(tmp_path)
    store = ObjectStore(objects)
    store.write("a", b"one", 0, 1.0, 0)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match="No space left on device"):
            store.write("a", b"two", 0, 1.0, 1)
    assert [path.name for path in (tmp_path / "rows" / "a").iterdir()] == ["1"]
    assert store.write("a", b"two", 0, 1.0, 1) == 2


def test_a_place_that_is_in_the_way_is_a_sentence(tmp_path):
    (tmp_path / "kept").write_text("in the way")
    store = ObjectStore(FolderObjects(tmp_path / "kept"))
    with pytest.raises(StoreError, match=r"exists|directory"):
        store.write("a", b"one", 0, 1.0, 0)


def test_a_list_may_be_longer_than_one_answer(storage):
    objects = open_objects("s3://bucket/kept")
    for number in range(1, PAGE + 3):
        storage.objects[f"kept/rows/{number}/1"] = b"x"
        storage.objects[f"kept/used/{number}/1.0.5000"] = b""
    assert len(ObjectStore(objects).summaries()) == PAGE + 2


@pytest.mark.parametrize("status", [400, 403])
def test_storage_that_refuses_is_a_sentence_and_works_again_afterwards(storage, status):
    store = ObjectStore(open_objects("s3://bucket"))
    store.write("a", b"one", 0, 1.0, 0)
    storage.status = status
    for action in (
        lambda: store.read("a"),
        lambda: store.write("a", b"two", 0, 1.0, 1),
        lambda: store.touch("a", 2.0),
        lambda: store.remove("a", 1),
        store.summaries,
    ):
        with pytest.raises(StoreError) as caught:
            action()
        assert str(caught.value) == OUT_OF_REACH
    storage.status = None
    assert store.write("a", b"two", 0, 1.0, 1) == 2
    assert store.read("a") == Row(2, 1.0, b"two")


def test_storage_that_does_not_answer_is_a_sentence_without_its_secrets(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    store = ObjectStore(open_objects("s3://bucket/folder"))
    with pytest.raises(StoreError) as caught:
        store.read("a")
    assert str(caught.value) == OUT_OF_REACH


@pytest.mark.parametrize("url", ["ftp://a/b", "file://host/a", "file:a", "s3:", "C:/a", "http://a"])
def test_what_is_no_address_is_a_sentence(url):
    with pytest.raises(ValueError) as caught:
        open_objects(url)
    assert str(caught.value).endswith((".", "--help."))


def test_without_obstore_one_is_told_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr("learner.visitors.stores.objects.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install obstore"):
        open_objects("s3://bucket")
    assert open_objects(tmp_path.as_uri()).create("a/b", b"")  # a folder needs nothing


def test_two_apps_that_share_a_store_lose_neither_learner(server, objects):
    one, two = (server.start(store=ObjectStore(objects)) for _ in range(2))
    session_id = server.visitor(one, steps=1)
    here, there = one.get(session_id), two.get(session_id)
    teach(here, 5)
    one.flush()
    teach(there, 6)
    two.flush()
    assert server.start(store=ObjectStore(objects)).get(session_id).learner.steps == 6
    assert there.undo().steps == 5
