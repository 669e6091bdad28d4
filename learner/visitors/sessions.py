"""Visitors' learners on the server, each under an id that only the visitor's browser knows.

A session survives a reload of the page, being pushed out of memory, and a restart of the app: it is
saved whenever it changes, as a checkpoint with one file more. What is kept is bounded in number and
in age, and two ids never see each other's learner.
"""

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from weakref import WeakValueDictionary

from learner.checkpoint.atomic_folder import write_folder
from learner.checkpoint.files import read_folder
from learner.checkpoint.format import pack, size_limits, unpack
from learner.checkpoint.reading import CheckpointError, parse_count, parse_json
from learner.learning.learner import LearnerConfig, new_learner
from learner.model.base_model import BaseModel
from learner.visitors.autosave import Autosaver
from learner.visitors.session import MAX_NOTES_BYTES, Session, SessionError, SessionState

_SESSION_FILE = "session.json"
_ID = re.compile(r"[A-Za-z0-9_-]{43}")  # what secrets.token_urlsafe(32) makes: 256 random bits
_FOLDER = re.compile(r"[0-9a-f]{64}")
_DAY = 86400.0


class Sessions:
    """The sessions of one app, saved under ``folder``.

    At most ``max_sessions`` are kept on the disk, for ``max_age_seconds`` after their last use, and
    the ``max_in_memory`` used last are kept in memory with their undo. Changes are saved within
    ``save_interval`` (seconds), the end of a run at once; a session that has never changed is not
    saved at all. ``clock`` gives seconds since the epoch.
    """

    def __init__(
        self,
        folder: Path,
        base_model: BaseModel,
        config: LearnerConfig | None = None,
        *,
        max_sessions: int = 1000,
        max_in_memory: int = 100,
        max_age_seconds: float = 30 * _DAY,
        save_interval: float = 1.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder.resolve()
        self._base_model = base_model
        self._file_limits = {**size_limits(base_model), _SESSION_FILE: 2 * MAX_NOTES_BYTES}
        self._config = config or LearnerConfig()
        self._max_sessions = max_sessions
        self._max_in_memory = max_in_memory
        self._max_age_seconds = max_age_seconds
        self._clock = clock
        # A learner is a value: visitors who start with the same settings share its first one.
        self._fresh_learner = lru_cache(maxsize=16)(partial(new_learner, base_model))
        self._lock = threading.Lock()  # guards the two below, and the folder's listing
        self._recent: OrderedDict[str, Session] = OrderedDict()  # by id, used last at the end
        # Whoever still holds a session that was pushed out of memory must not meet its double.
        self._alive: WeakValueDictionary[str, Session] = WeakValueDictionary()
        self._autosaver = Autosaver(self._save, save_interval)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._lock:
            self._remove_old()

    def open(self, session_id: object = None) -> Session:
        """The session that a browser remembers, or a new one, with a notice if one was expected.

        ``session_id`` is whatever the browser sent. New ids are always made here, so that nobody
        can be talked into using an id that somebody else knows.
        """
        try:
            return self.get(session_id)
        except SessionError as error:
            notice = str(error) if session_id else ""
        session = self._session(
            secrets.token_urlsafe(32),
            SessionState(self._fresh_learner(self._config), seed=secrets.randbits(32)),
            notice,
        )
        with self._lock:
            self._keep(session)
        return session

    def get(self, session_id: object) -> Session:
        """The session of this id. Raises SessionError if there is none, or none any more.

        If what was saved cannot be read, it is a session with a fresh learner and a notice.
        """
        if not isinstance(session_id, str) or not _ID.fullmatch(session_id):
            raise SessionError("That is not the id of a session, so you start with a new learner.")
        with self._lock:
            session = self._alive.get(session_id) or self._restore(session_id)
            self._keep(session)
        return session

    def folder_of(self, session: Session) -> Path:
        """Where more of this session can be kept: whatever is there goes when the session goes.

        It need not exist, but will once the session has been saved, by `keep` for one.
        """
        return self._path(session.id)

    def keep(self, session: Session) -> None:
        """Save a session now, though it may never have changed. Raises SessionError if that fails.

        Old ones may have to make room.
        """
        try:
            self._write(session.id, session.state)
        except OSError as error:
            raise SessionError(
                f"Nothing can be kept on this server at the moment ({error.strerror}); try again "
                "later."
            ) from error

    def flush(self) -> None:
        """Save what is not saved yet; it is saved when this returns."""
        self._autosaver.flush()

    def close(self) -> None:
        """Ask every run to stop, save everything, and end the saving thread."""
        with self._lock:
            alive = list(self._alive.values())
        for session in alive:
            session.stop.set()
        self._autosaver.close()

    def _session(self, session_id: str, state: SessionState, notice: str = "") -> Session:
        return Session(session_id, state, self._autosaver.mark, self._fresh_learner, notice)

    def _keep(self, session: Session) -> None:
        """Note that ``session`` was used now, in memory and, if it is there, on the disk."""
        self._alive[session.id] = session
        self._recent[session.id] = session
        self._recent.move_to_end(session.id)
        while len(self._recent) > self._max_in_memory:
            self._recent.popitem(last=False)
        self._touch(self._path(session.id))

    def _path(self, session_id: str) -> Path:
        """Where a session is saved. The name does not give the id away; base models are apart."""
        model = f"{self._base_model.name}\n{self._base_model.revision}\n"
        return self._folder / hashlib.sha256((model + session_id).encode()).hexdigest()

    def _touch(self, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError):  # never saved, or removed just now
            os.utime(path, (self._clock(), self._clock()))

    def _save(self, session: Session) -> None:
        """Write a session to the disk, or tell its visitor why that failed."""
        try:
            self._write(session.id, session.state)
        except OSError as error:
            session.give_notice(
                f"Your learner could not be saved on the server ({error.strerror}); "
                "download it if you want to keep it."
            )

    def _write(self, session_id: str, state: SessionState) -> None:
        extra = {"seed": state.seed, "position": state.position, "notes": json.loads(state.notes)}
        files = pack(state.learner, self._base_model)
        files[_SESSION_FILE] = json.dumps(extra).encode()
        path = self._path(session_id)
        is_new = not path.exists()
        write_folder(files, path / "checkpoint", replaceable=self._file_limits)
        self._touch(path)
        if is_new:
            with self._lock:
                self._remove_old()

    def _restore(self, session_id: str) -> Session:
        path = self._path(session_id)
        if path.exists() and self._clock() - path.stat().st_mtime > self._max_age_seconds:
            shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            raise SessionError(
                "Your learner is no longer kept on this server, so you start with a new one."
            )
        try:
            files = read_folder(path / "checkpoint", self._file_limits)
            extra = parse_json(files.pop(_SESSION_FILE, b""), _SESSION_FILE)
            if not isinstance(extra.get("notes"), dict):
                raise CheckpointError(f"{_SESSION_FILE} has no notes.")
            state = SessionState(
                learner=unpack(files, self._base_model),
                seed=parse_count(extra.get("seed"), _SESSION_FILE, "seed"),
                position=parse_count(extra.get("position"), _SESSION_FILE, "position"),
                notes=json.dumps(extra["notes"]),
            )
        except CheckpointError as error:
            return self._session(
                session_id,
                SessionState(self._fresh_learner(self._config), seed=secrets.randbits(32)),
                f"Your saved learner cannot be read, so you start with a new one: {error}",
            )
        return self._session(session_id, state)

    def _remove_old(self) -> None:
        """Delete saved sessions that are too old or too many, the longest unused first."""
        found = sorted(
            (entry.stat().st_mtime, entry.name)
            for entry in os.scandir(self._folder)
            if _FOLDER.fullmatch(entry.name)
        )
        in_memory = {self._path(session_id).name: session_id for session_id in self._alive}
        surplus = len(found) - self._max_sessions
        for used, name in found:
            if surplus <= 0 and self._clock() - used <= self._max_age_seconds:
                return  # those that follow were used later still
            session = self._alive.get(in_memory.get(name, ""))
            if session is None or not session.in_use:
                shutil.rmtree(self._folder / name, ignore_errors=True)
                self._recent.pop(in_memory.get(name, ""), None)
                surplus -= 1
