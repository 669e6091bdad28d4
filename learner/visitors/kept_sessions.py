"""Sessions as they are kept: the one session of each key in memory, and all of them in a store.

A session survives being pushed out of memory, and a restart of the app: it is saved whenever it
changes. A store that cannot be used keeps nobody from learning: meanwhile sessions live in memory,
and are saved as soon as that works.
"""

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary, WeakValueDictionary

from learner.checkpoint.reading import CheckpointError
from learner.learning.learner import Learner, LearnerConfig
from learner.model.base_model import ModelFacts
from learner.model.source import ModelSource
from learner.visitors.autosave import Autosaver
from learner.visitors.limits import KEPT, NO_PROMISE, PROMISE, Arrivals, Limits, surplus
from learner.visitors.session import Session, SessionBusy, SessionError, SessionState
from learner.visitors.session_data import pack_session, take_over, unpack_session
from learner.visitors.stores.sqlite import SqliteStore
from learner.visitors.stores.store import Conflict, Row, Store, StoreError, Summary

_FOLDER = re.compile(r"[0-9a-f]{64}")
_TOUCH_SECONDS = 60.0  # a use is noted down this often: far below any age that matters
_UNSAVED = 1000  # sessions that wait in memory for a store that cannot be used
_NO_ROOM_SECONDS = 300.0  # until it is asked again whether there is room
_STARTED = time.time() - time.monotonic()


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A base model that sessions are kept for, and what a session of it starts with."""

    facts: ModelFacts
    fresh_learner: Callable[[LearnerConfig], Learner]


@dataclass
class _Saved:
    """What is known of a session in the store: ``version`` 0 is nothing, as is no ``state``."""

    model: ServedModel
    key: str
    version: int
    state: SessionState | None
    used_at: float
    touched_at: float
    unread: bool = False  # whether there may be something that could not be read
    told: bool = False  # whether its visitor knows that it cannot be saved
    newcomer: str | None = None  # the address it came from, while it has not been kept


class NoRoom(StoreError):
    """The store works, but is full of what it must not remove."""


class KeptSessions:
    """The sessions of one app: in a ``store``, and what else belongs to them under ``folder``.

    The store is a database in the folder unless another is given. ``limits`` bound all of it; the
    ``max_in_memory`` used last are kept in memory with their undo. Changes are saved within
    ``save_interval`` (seconds), the end of a run at once; a session that has never changed is not
    saved at all. ``keeps`` counts newcomers that are saved. ``lasting`` is whether the store
    outlives the machine's next restart. ``clock`` gives seconds since the epoch, by default as the
    machine's had them at the start: nobody has been away for months when that is set.
    """

    def __init__(
        self,
        folder: Path,
        *,
        store: Store | None = None,
        limits: Limits | None = None,
        keeps: Arrivals | None = None,
        max_in_memory: int = 100,
        save_interval: float = 1.0,
        lasting: bool = True,
        clock: Callable[[], float] = lambda: _STARTED + time.monotonic(),
    ) -> None:
        self.promise = PROMISE if lasting else NO_PROMISE
        self._folder = folder.resolve()
        self._limits = limits or Limits()
        # Half as much again and a little: pages are never full, and what is replaced needs both.
        most = self._limits.size * 3 // 2 + (1 << 20)
        self._store = store or SqliteStore(self._folder, most)
        self._losses = self._store.losses
        self._keeps = keeps or Arrivals(*KEPT)
        self._max_in_memory = max_in_memory
        self._clock = clock
        self._lock = threading.Lock()  # guards the two below
        self._recent: OrderedDict[str, Session] = OrderedDict()  # by key, used last at the end
        # Whoever still holds a session that was pushed out of memory must not meet its double.
        self._alive: WeakValueDictionary[str, Session] = WeakValueDictionary()
        self._writing = threading.RLock()  # held by whoever writes to the store; guards those below
        self._saved: WeakKeyDictionary[Session, _Saved] = WeakKeyDictionary()
        self._beside: dict[str, int] = {}  # bytes of what else is kept, by key
        self._autosaver = Autosaver(self._save, save_interval)
        with contextlib.suppress(OSError, StoreError):
            take_over(self._folder, self._store)
        with contextlib.suppress(OSError, StoreError), self._writing:
            self._beside = {entry.name: _size(entry.path) for entry in self._folders()}
            self._make_room(None)

    def model_of(self, session: Session) -> ModelFacts:
        """The base model that this session's learner belongs to."""
        return self._saved[session].model.facts

    def folder_of(self, session: Session) -> Path:
        """Where more of this session can be kept: whatever is there goes when the session goes.

        It need not exist.
        """
        return self._folder / self._saved[session].key

    def keep(self, session: Session) -> None:
        """Save a session now, though it may never have changed. Raises SessionError if that fails.

        Old ones may have to make room, for what is beside it too.
        """
        with self._writing:
            saved = self._saved[session]
            key = saved.key
            if size := _size(self._folder / key):
                self._beside[key] = size
            try:
                learnt = session.state.learnt
                self._make_room(Summary(key, saved.version, saved.used_at, learnt, size))
                self._write(session, always=True)
            except StoreError as error:
                raise SessionError(
                    f"Nothing can be kept on this server at the moment ({error}); try again later."
                ) from error

    def flush(self) -> None:
        """Save what is not saved yet; it is saved when this returns, unless the store fails."""
        with contextlib.suppress(StoreError):
            self._store.size()  # notices if it was lost
        self._save_again_what_was_lost()
        self._autosaver.flush()

    def close(self) -> None:
        """Ask every run to stop, save everything, and end the saving thread."""
        with self._lock:
            alive = list(self._alive.values())
        for session in alive:
            session.stop.set()
        self.flush()
        self._autosaver.close()
        self._store.close()

    # --- sessions -----------------------------------------------------------------------------

    def _at(self, session_id: str, model: ServedModel) -> Session:
        """The session of this id in front of this model. Raises SessionError if there is none."""
        with self._lock:
            session = self._alive.get(self._key(session_id, model.facts.source))
        return self._keep(session or self._restore(session_id, model))

    def _new(
        self,
        session_id: str,
        model: ServedModel,
        notice: str = "",
        version: int = 0,
        state: SessionState | None = None,
        unread: bool = False,
    ) -> Session:
        """A session in memory; without a ``state`` it begins with a fresh learner."""
        state = state or SessionState(model.fresh_learner(LearnerConfig()), secrets.randbits(32))
        session = Session(
            session_id,
            state,
            self._autosaver.mark,
            model.fresh_learner,
            notice,
            self._begins,
            self._ended,
        )
        key = self._key(session_id, model.facts.source)
        now = self._clock()
        touched_at = 0.0 if version else now
        with self._writing:
            self._saved[session] = _Saved(model, key, version, state, now, touched_at, unread)
        return session

    def _keep(self, session: Session) -> Session:
        """Note that ``session`` was used now; the one that is to be used under its id."""
        now = self._clock()
        with self._lock:
            key = self._saved[session].key
            session = self._alive.setdefault(key, session)
            self._recent[key] = session
            self._recent.move_to_end(key)
            while len(self._recent) > self._max_in_memory:
                self._recent.popitem(last=False)
        saved = self._saved[session]
        saved.used_at = now
        changed = saved.unread or session.state is not saved.state
        if changed or (saved.version and now - saved.touched_at > _TOUCH_SECONDS):
            self._autosaver.mark(session)
        return session

    @staticmethod
    def _key(session_id: str, source: ModelSource) -> str:
        """What a session is stored under. It does not give the id away; base models are apart."""
        model = f"{source.name}\n{source.revision}\n"
        return hashlib.sha256((model + session_id).encode()).hexdigest()

    def _restore(self, session_id: str, model: ServedModel) -> Session:
        key = self._key(session_id, model.facts.source)
        try:
            row = self._store.read(key)
        except StoreError as error:
            return self._new(
                session_id,
                model,
                f"What you had learnt cannot be read at the moment ({error}), so you start with a "
                "new learner; the old one comes back as soon as it can be read.",
                unread=True,
            )
        if row is not None and self._clock() - row.used_at > self._limits.age:
            self._remove(key, row.version)
            row = None
        if row is None:
            raise SessionError(
                "Your learner is no longer kept on this server, so you start with a new one."
            )
        try:
            state = unpack_session(row.data, model.facts)
            return self._new(session_id, model, "", row.version, state)
        except CheckpointError as error:
            return self._new(
                session_id,
                model,
                f"Your saved learner cannot be read, so you start with a new one: {error}",
                row.version,
            )

    # --- where several apps share a store -----------------------------------------------------

    def _begins(self, session: Session) -> None:
        """A run begins: here alone, and from what was learnt last. Raises SessionBusy."""
        leases = self._store.leases
        if leases is not None:
            if not leases.take(self._saved[session].key, lambda: self._lost(session)):
                raise SessionBusy
            self._catch_up(session)

    def _ended(self, session: Session) -> None:
        """A run has ended: whoever goes on elsewhere finds what it has learnt."""
        if self._store.leases is not None:
            self._save(session)
            self._store.leases.leave(self._saved[session].key)

    def _lost(self, session: Session) -> None:
        session.stop.set()
        session.give_notice("Your learner is taught through another server now: this run ends.")

    def _catch_up(self, session: Session) -> None:
        """Go on from what another app has saved; nothing is lost that only this one has."""
        with contextlib.suppress(StoreError), self._writing:
            saved = self._saved[session]
            row = self._store.read(saved.key)
            if row is None or row.version <= saved.version:
                return
            if session.state is not saved.state:
                self._meet(session, row)
                return
            with contextlib.suppress(CheckpointError):  # it is told when it is opened
                session.catch_up(unpack_session(row.data, saved.model.facts))
                saved.version, saved.state = row.version, session.state

    # --- saving -------------------------------------------------------------------------------

    def _save(self, session: Session) -> bool:
        """Write a session to the store, or tell its visitor why not; whether the store works."""
        self._save_again_what_was_lost()
        try:
            with self._writing:
                self._write(session)
        except NoRoom as error:
            self._tell(session, error)
            self._autosaver.put_off(session, _NO_ROOM_SECONDS)
            self._let_go()
        except StoreError as error:
            self._autosaver.put_off(session, self._autosaver.retry)
            for one in self._autosaver.waiting():
                self._tell(one, error)
            self._let_go()
            return False
        else:
            self._saved[session].told = False
        return True

    def _let_go(self) -> None:
        """Stop waiting for those that have learnt least, if too many wait to be saved."""
        waiting = self._autosaver.waiting()
        waiting.sort(key=lambda session: (session.in_use, session.state.learnt))
        for session in waiting[: max(0, len(waiting) - _UNSAVED)]:
            self._autosaver.forget(session)

    def _tell(self, session: Session, error: StoreError) -> None:
        saved = self._saved[session]
        if not saved.told and session.state is not saved.state:
            saved.told = True
            session.give_notice(
                f"Your learner could not be saved on the server ({error}); it stays here while the "
                "app runs, and is saved as soon as that is possible. Download it if you want to be "
                "sure."
            )

    def _write(self, session: Session, always: bool = False) -> None:
        """Store a session as it is now. Raises StoreError."""
        saved, state = self._saved[session], session.state
        key = saved.key
        if saved.unread:
            row = self._store.read(key)
            saved.unread = False
            if row is not None and state is saved.state and not session.in_use:
                self._forget(session)  # who asks for it next gets what is stored
                return
            if row is not None:
                self._meet(session, row)
                state = session.state
        if state is saved.state and not (always and not saved.version):
            if saved.version:
                self._store.touch(key, saved.used_at)
                saved.touched_at = saved.used_at
            return
        data = pack_session(state, saved.model.facts)
        size = len(data) + self._beside.get(key, 0)
        if saved.newcomer is not None:
            if not self._keeps.admit(saved.newcomer):
                raise NoRoom("too many new ones have come from your address today")
            saved.newcomer = None
        self._make_room(Summary(key, saved.version, saved.used_at, state.learnt, size))
        try:
            saved.version = self._store.write(key, data, state.learnt, saved.used_at, saved.version)
        except Conflict:
            row = self._store.read(key)
            saved.version = row.version if row else 0
            if row is not None and row.data != data:
                self._meet(session, row)
            saved.version = self._store.write(key, data, state.learnt, saved.used_at, saved.version)
        saved.state, saved.touched_at = state, saved.used_at

    def _meet(self, session: Session, row: Row) -> None:
        """Of this session something else is stored than was thought: lose neither."""
        saved = self._saved[session]
        saved.version = row.version
        with contextlib.suppress(CheckpointError):  # then there is nothing to be lost
            session.meet(unpack_session(row.data, saved.model.facts))
            session.give_notice("Another learner of yours was saved here; Undo brings it back.")

    def _forget(self, session: Session) -> None:
        """Let go of what is in memory."""
        with self._lock:
            self._recent.pop(self._saved[session].key, None)
            self._alive.pop(self._saved[session].key, None)

    def _save_again_what_was_lost(self) -> None:
        with self._writing:
            if self._losses == self._store.losses:
                return
            self._losses = self._store.losses
            for session, saved in [*self._saved.items()]:
                if saved.version:
                    saved.version, saved.state = 0, None
                    self._autosaver.mark(session, True)

    # --- making room --------------------------------------------------------------------------

    def _make_room(self, more: Summary | None) -> None:
        """Remove what is too old or too much. Raises NoRoom if there is none for ``more``."""
        beside = sum(self._beside.values())
        if more and more.version and self._store.size() + beside + more.size <= self._limits.size:
            return  # it is there already, and cannot be too much
        with self._lock:
            alive = dict(self._alive)
        used = {key: self._saved[session].used_at for key, session in alive.items()}
        kept = [
            summary._replace(
                used_at=max(summary.used_at, used.get(summary.key, 0.0)),
                size=summary.size + self._beside.get(summary.key, 0),
            )
            for summary in self._store.summaries()
        ]
        held = {key for key, session in alive.items() if session.in_use}
        gone, enough = surplus(kept, more, self._clock(), self._limits, held)
        for summary in gone:
            self._remove(summary.key, summary.version)
            if summary.key in alive:  # it lives on in memory, and is saved again when it is used
                saved = self._saved[alive[summary.key]]
                saved.version, saved.state = 0, None
        self._sweep({summary.key for summary in kept} | set(alive))
        if more is not None and not enough:
            raise NoRoom("it has no room for more at the moment")

    def _remove(self, key: str, version: int) -> None:
        with contextlib.suppress(StoreError), self._writing:
            self._store.remove(key, version)
            shutil.rmtree(self._folder / key, ignore_errors=True)
            self._beside.pop(key, None)

    def _sweep(self, known: set[str]) -> None:
        """Remove what belongs to sessions that are long gone."""
        for entry in self._folders():
            if entry.name not in known and self._clock() - entry.stat().st_mtime > self._limits.age:
                shutil.rmtree(entry.path, ignore_errors=True)
                self._beside.pop(entry.name, None)

    def _folders(self) -> list[os.DirEntry[str]]:
        if not self._folder.is_dir():
            return []
        return [entry for entry in os.scandir(self._folder) if _FOLDER.fullmatch(entry.name)]


def _size(folder: str | Path) -> int:
    """How many bytes the files in a folder have, however deep."""
    return sum(
        os.lstat(os.path.join(path, name)).st_size
        for path, _, names in os.walk(folder)
        for name in names
    )
