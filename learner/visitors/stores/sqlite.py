"""Sessions in an SQLite database on a local disk.

The database may be locked by another program, full, damaged, read-only, or deleted under the
running app. Each is a StoreError with its reason or, where nothing stands in the way, a fresh
database; the next call tries again. Not for network file systems, whose locks cannot be trusted.
"""

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from learner.visitors.stores.store import Conflict, Leases, Row, StoreError, Summary

NAME = "sessions.sqlite3"
LOCK_SECONDS = 0.5  # that a click may have to wait while another program writes
_WAL_BYTES = 1 << 24
_SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    key TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    used_at REAL NOT NULL,
    learnt INTEGER NOT NULL,
    size INTEGER NOT NULL,
    data BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS summaries ON sessions (used_at, learnt, size, version, key);
"""

Found = TypeVar("Found")


class SqliteStore:
    """A `Store` in the file `NAME` of a folder, made when something is first written.

    The file never grows beyond ``max_bytes``. A damaged one is set aside as ``….damaged``, for its
    keeper to look at; of several only the last stays.
    """

    def __init__(self, folder: Path, max_bytes: int = 1 << 32) -> None:
        self.leases: Leases | None = None
        self.losses = 0
        self._path = folder.resolve() / NAME
        self._max_bytes = max_bytes
        self._lock = threading.Lock()  # guards everything below, and the connection
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None  # the file that the connection is to
        self._frozen = False  # whether it may only be read

    def read(self, key: str) -> Row | None:
        query = "SELECT version, used_at, data FROM sessions WHERE key = ?"
        found = self._do(lambda db: db.execute(query, (key,)).fetchone(), make=False)
        return None if found is None else Row(*found)

    def write(self, key: str, data: bytes, learnt: int, used_at: float, version: int) -> int:
        values: tuple[object, ...] = (version + 1, used_at, learnt, len(data), data, key)
        if version:
            command = (
                "UPDATE sessions SET version = ?, used_at = ?, learnt = ?, size = ?, data = ? "
                "WHERE key = ? AND version = ?"
            )
            values = (*values, version)
        else:
            command = (
                "INSERT INTO sessions (version, used_at, learnt, size, data, key) "
                "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
            )
        if self._do(lambda db: db.execute(command, values).rowcount, make=True) != 1:
            raise Conflict
        return version + 1

    def touch(self, key: str, used_at: float) -> None:
        command = "UPDATE sessions SET used_at = ? WHERE key = ?"
        self._do(lambda db: db.execute(command, (used_at, key)), make=False)

    def remove(self, key: str, version: int) -> None:
        command = "DELETE FROM sessions WHERE key = ? AND version = ?"
        self._do(lambda db: db.execute(command, (key, version)), make=False)

    def summaries(self) -> list[Summary]:
        query = "SELECT key, version, used_at, learnt, size FROM sessions"
        return [
            Summary(*row) for row in self._do(lambda db: [*db.execute(query)], make=False) or ()
        ]

    def size(self) -> int:
        query = "SELECT coalesce(sum(size), 0) FROM sessions"
        size: int = (self._do(lambda db: db.execute(query).fetchone(), make=False) or (0,))[0]
        return size

    def close(self) -> None:
        with self._lock:
            self._disconnect()

    def _do(self, action: Callable[[sqlite3.Connection], Found], make: bool) -> Found | None:
        """``action`` in one transaction; None if there is no database and none is to be made."""
        with self._lock:
            try:
                try:
                    return self._attempt(action, make)
                except sqlite3.OperationalError:
                    raise
                except sqlite3.DatabaseError:
                    self._set_aside()
                    return self._attempt(action, make)
            except sqlite3.Error as error:
                raise StoreError(_reason(error)) from error
            except OSError as error:
                raise StoreError(error.strerror or "it cannot be opened") from error

    def _attempt(self, action: Callable[[sqlite3.Connection], Found], make: bool) -> Found | None:
        connection = self._connected(make)
        if connection is None:
            return None
        with connection:
            return action(connection)

    def _connected(self, make: bool) -> sqlite3.Connection | None:
        there = self._identity()
        if self._connection is not None and there != self._file:
            self._disconnect()  # its file is gone, or another one has taken its place
            self.losses += 1
        if self._frozen and self._writable():
            self._disconnect()
        if self._connection is None and (make or there is not None):
            self._connection = self._connect()
            self._file = self._identity()
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._path.exists() and not self._writable():
            self._frozen = True  # SQLite would want to make files beside it even for reading
            # What a killed app left beside it holds the newest rows: then SQLite has to look there.
            immutable = "" if Path(f"{self._path}-wal").exists() else "&immutable=1"
            return _open(f"{self._path.as_uri()}?mode=ro{immutable}")
        connection = _open(self._path.as_uri())
        try:
            os.chmod(self._path, 0o600)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # what is saved outlives a power cut
            connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
            (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
            connection.execute(f"PRAGMA max_page_count = {self._max_bytes // page_bytes}")
            connection.executescript(_SCHEMA)
        except (sqlite3.Error, OSError):
            connection.close()
            raise
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection, self._file, self._frozen = None, None, False

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def _writable(self) -> bool:
        return os.access(self._path.parent, os.W_OK) and os.access(self._path, os.W_OK)

    def _set_aside(self) -> None:
        """Make way for a fresh database."""
        self._disconnect()
        aside = self._path.with_name(f"{NAME}.damaged")
        for ending in ("-wal", "-shm"):
            Path(f"{aside}{ending}").unlink(missing_ok=True)
        os.replace(self._path, aside)
        for ending in ("-wal", "-shm"):
            if Path(f"{self._path}{ending}").exists():
                os.replace(f"{self._path}{ending}", f"{aside}{ending}")
        self.losses += 1


def _open(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, timeout=LOCK_SECONDS, check_same_thread=False, uri=True)


def _reason(error: sqlite3.Error) -> str:
    """Why, in words that mean something to a visitor; never where the database lies."""
    text = str(error)
    for sign, reason in (
        ("locked", "another program is writing there"),
        ("full", "there is no room left"),
        ("readonly", "it is read-only"),
        ("unable to open", "it cannot be opened"),
    ):
        if sign in text:
            return reason
    return text
