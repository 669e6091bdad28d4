"""Sessions as objects that are written once, for storage that can do little more than that.

`open_store` makes one of an address: ``--sessions file:///data``, ``s3://bucket/folder``, and in a
test ``memory:///``. It is a `Store` like that in SQLite, to be used by several apps at once.
A session's row is one object a version: the next version is made only if nobody else has made it,
and the newest whole one is the row. So several apps can share one storage, and of two that change
a row at once one is told, as in a database.

    rows/KEY/VERSION                     the row: a checksum, then when it was used, and its data
    used/KEY/VERSION.LEARNT.USED_AT      nothing; says by its name what a list needs to know

The version before the newest stays: somebody may be reading it, and the newest may be torn.
"""

import re
import struct
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

from learner.visitors.stores.leases import ObjectLeases
from learner.visitors.stores.objects import Objects, open_objects
from learner.visitors.stores.store import Conflict, Leases, Row, StoreError, Summary

_ATTEMPTS = 5
_LISTED_SECONDS = 60.0  # what others have written is counted this much later
_HEAD = struct.Struct("<4s32sdQ")  # a mark, the checksum of the rest, used_at, learnt
_MARK = b"spa1"
_ROW = re.compile(r"rows/(?P<key>[^/]+)/(?P<version>\d{1,18})")
_USE = re.compile(r"used/[^/]+/(\d{1,18})\.(\d{1,18})\.(\d{1,18})")


def open_store(where: str) -> "ObjectStore | None":
    """The store at an address, as `open_objects` takes them; None for the path of a folder.

    Raises ValueError.
    """
    return ObjectStore(open_objects(where)) if "://" in where else None


class _Use(NamedTuple):
    """What the name of an object under ``used/`` says: ``used_at`` in milliseconds."""

    version: int
    learnt: int
    used_at: int

    def path(self, key: str) -> str:
        return f"used/{key}/{self.version}.{self.learnt}.{self.used_at}"


class ObjectStore:
    """A `Store` in ``objects``, which other apps may use at the same time.

    `summaries` and `size` see what others write within a minute. ``clock`` gives seconds, of any
    origin.
    """

    def __init__(self, objects: Objects, clock: Callable[[], float] = time.monotonic) -> None:
        self.losses = 0
        self.leases: Leases | None = ObjectLeases(objects)
        self._objects = objects
        self._clock = clock
        self._lock = threading.Lock()  # guards those below
        self._uses: dict[str, _Use] = {}  # as last written here
        self._listed: dict[str, Summary] = {}
        self._listed_at: float | None = None

    def read(self, key: str) -> Row | None:
        for _ in range(_ATTEMPTS):
            versions = sorted(self._versions(key))
            if not versions:
                return None
            for version in reversed(versions):
                packed = self._objects.read(_path(key, version))
                if packed is None:
                    break  # a newer one has taken its place meanwhile
                if (whole := _unpacked(packed)) is not None:
                    used_at, _, data = whole
                    uses = [use.used_at / 1000 for use in self._found_uses(key)]
                    return Row(versions[-1], max([used_at, *uses]), data)
            else:
                return Row(versions[-1], 0.0, b"")
        raise StoreError("it is being written too often")

    def write(self, key: str, data: bytes, learnt: int, used_at: float, version: int) -> int:
        new, path = version + 1, _path(key, version + 1)
        if not self._objects.create(path, _packed(data, learnt, used_at)):
            raise Conflict
        # Older versions do not stay, so that there was none of this number proves little yet.
        versions = self._versions(key)
        if max(versions, default=0) != new or (version and version not in versions):
            self._objects.delete([path])
            raise Conflict
        self._note_use(key, _Use(new, learnt, _milliseconds(used_at)))
        self._objects.delete([_path(key, old) for old in versions if old < version])
        with self._lock:
            self._listed[key] = Summary(key, new, used_at, learnt, len(data))
        return new

    def touch(self, key: str, used_at: float) -> None:
        with self._lock:
            use = self._uses.get(key)
        if use is None:
            if not (found := self._found_uses(key)):
                return  # there is none, or its writer was killed; then what the row says counts
            use = max(found)
        self._note_use(key, use._replace(used_at=_milliseconds(used_at)))
        with self._lock:
            if (summary := self._listed.get(key)) is not None:
                self._listed[key] = summary._replace(used_at=used_at)

    def remove(self, key: str, version: int) -> None:
        versions = self._versions(key)
        if max(versions, default=0) != version:
            return
        uses = [use.path(key) for use in self._found_uses(key)]
        self._objects.delete([*(_path(key, one) for one in versions), *uses])
        with self._lock:
            self._uses.pop(key, None)
            self._listed.pop(key, None)

    def summaries(self) -> list[Summary]:
        with self._lock:
            listed_at = self._listed_at
        if listed_at is None or self._clock() - listed_at > _LISTED_SECONDS:
            listed = self._list()
            with self._lock:
                self._listed, self._listed_at = listed, self._clock()
        with self._lock:
            return [*self._listed.values()]

    def size(self) -> int:
        return sum(summary.size for summary in self.summaries())

    def close(self) -> None:
        """Nothing is held."""

    def _versions(self, key: str) -> set[int]:
        found = map(_ROW.fullmatch, self._objects.below(f"rows/{key}"))
        return {int(row["version"]) for row in found if row}

    def _found_uses(self, key: str) -> list[_Use]:
        return [use for path in self._objects.below(f"used/{key}") if (use := _use(path))]

    def _note_use(self, key: str, use: _Use) -> None:
        """Say that a row was used, in place of what was said here before."""
        with self._lock:
            before = self._uses.get(key)
            self._uses[key] = use
        self._objects.create(use.path(key), b"")
        if before is not None and before != use:
            self._objects.delete([before.path(key)])

    def _list(self) -> dict[str, Summary]:
        """All rows as they are now; what their uses said before goes."""
        newest: dict[str, tuple[int, int]] = {}
        for path, size in self._objects.below("rows").items():
            if row := _ROW.fullmatch(path):
                found_one = (int(row["version"]), max(0, size - _HEAD.size))
                newest[row["key"]] = max(newest.get(row["key"], (0, 0)), found_one)
        uses: dict[str, list[_Use]] = {}
        for path in self._objects.below("used"):
            key = path.split("/")[1]
            if use := _use(path):
                uses.setdefault(key, []).append(use)
        listed, stale = {}, []
        for key, found in uses.items():
            last = {max(found), max(found, key=lambda use: use.used_at)} if key in newest else set()
            stale += [use.path(key) for use in found if use not in last]
        for key, (version, size) in newest.items():
            found = uses.get(key) or self._use_in_row(key, version)
            learnt = max(found).learnt if found else 0
            used_at = max((use.used_at for use in found), default=0) / 1000
            listed[key] = Summary(key, version, used_at, learnt, size)
        self._objects.delete(stale)
        return listed

    def _use_in_row(self, key: str, version: int) -> list[_Use]:
        """What the row itself says of its use, whose writer was killed before it could say more."""
        whole = _unpacked(self._objects.read(_path(key, version)) or b"")
        return [_Use(version, whole[1], _milliseconds(whole[0]))] if whole else []


def _path(key: str, version: int) -> str:
    return f"rows/{key}/{version}"


def _use(path: str) -> _Use | None:
    found = _USE.fullmatch(path)
    return _Use(*map(int, found.groups())) if found else None


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _packed(data: bytes, learnt: int, used_at: float) -> bytes:
    checksum = sha256(struct.pack("<dQ", used_at, learnt) + data).digest()
    return _HEAD.pack(_MARK, checksum, used_at, learnt) + data


def _unpacked(packed: bytes) -> tuple[float, int, bytes] | None:
    """When it was used, how much it has learnt, and its data; None if the object is not whole."""
    if len(packed) < _HEAD.size:
        return None
    mark, checksum, used_at, learnt = _HEAD.unpack_from(packed)
    data = packed[_HEAD.size :]
    whole = sha256(struct.pack("<dQ", used_at, learnt) + data).digest() == checksum
    return (used_at, learnt, data) if mark == _MARK and whole else None
