"""The laboratory: everybody's experiments, in the background, so many of them at a time.

Each visitor has a `Desk` here, found by their session; what lies on it is theirs alone. Experiments
go through an engine of their visitor's own, made by ``engine_of``: on a service they take turns
with everybody's clicks.
"""

import logging
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from weakref import WeakValueDictionary

from learner.experiments.desk import Desk, DeskError
from learner.experiments.engine import Engine
from learner.experiments.shelf import Shelf
from learner.visitors.session import Session
from learner.visitors.sessions import Sessions

SHELF = "experiments"  # the folder in a session's own
MAX_WAITING = 64


class Laboratory:
    """Runs ``at_once`` experiments at a time; others wait. Use it as a context manager, or `close`.

    Where nothing can be begun, ``shut`` is the sentence that says why. Closing it stops everything
    at its next step and saves it. What was going on then goes on when
    its visitor comes back, in this laboratory or in another one on the same sessions.
    """

    def __init__(
        self,
        engine_of: Callable[[Hashable], Engine],
        sessions: Sessions,
        at_once: int = 4,
        shut: str = "",
    ) -> None:
        self._engine_of = engine_of
        self._sessions = sessions
        self._shut = shut
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="experiment")
        self._lock = threading.RLock()  # guards the two below
        self._desks: WeakValueDictionary[str, Desk] = WeakValueDictionary()
        self._occupied: list[Desk] = []  # with an experiment that runs or waits, oldest first
        self._closing = False

    def __enter__(self) -> "Laboratory":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def desk(self, session_id: object) -> Desk:
        """The desk of this session. Raises SessionError if there is no such session."""
        session = self._sessions.get(session_id)
        with self._lock:
            desk = self._desks.get(session.id)
            if desk is None or desk.session is not session:
                shelf = Shelf(self._sessions.folder_of(session) / SHELF)
                desk = self._desks[session.id] = Desk(session, shelf, self)
            return desk

    def check_open(self) -> None:
        """Raise DeskError if nothing can be begun here."""
        if self._shut:
            raise DeskError(self._shut)

    def engine(self, owner: Hashable) -> Engine:
        """The engine that ``owner``'s experiments run on."""
        return self._engine_of(owner)

    def keep(self, session: Session) -> None:
        """See to it that the session is on the disk, with room for a shelf. Raises SessionError."""
        self._sessions.keep(session)

    def ahead(self, desk: Desk) -> int:
        """How many experiments were there before this desk's."""
        with self._lock:
            return self._occupied.index(desk) if desk in self._occupied else 0

    def submit(self, desk: Desk, work: Callable[[], None]) -> "Future[None]":
        """Do ``work`` for this desk as soon as there is room. Raises DeskError if there is none."""
        with self._lock:
            if self._closing:
                raise DeskError("The app is shutting down; start it again and repeat this.")
            if len(self._occupied) >= MAX_WAITING:
                raise DeskError("Too many experiments wait already; try again in a few minutes.")
            self._occupied.append(desk)
            future = self._pool.submit(self._with_room, desk, work)
        future.add_done_callback(_report)
        return future

    def withdraw(self, desk: Desk, future: "Future[None]") -> bool:
        """Take back work that nobody has begun; whether that was still possible."""
        with self._lock:
            withdrawn = future.cancel()
            if withdrawn:
                self._occupied.remove(desk)
            return withdrawn

    def close(self) -> None:
        """Stop and save everything; returns when it is saved. Calling it again does nothing."""
        with self._lock:
            self._closing = True
            occupied = [*self._occupied]
        for desk in occupied:
            desk.halt()
        self._pool.shutdown(cancel_futures=True)

    def _with_room(self, desk: Desk, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            with self._lock:
                self._occupied.remove(desk)


def _report(future: "Future[None]") -> None:
    """A fault of this program is nobody's to be told but its keeper's."""
    if not future.cancelled() and (error := future.exception()) is not None:
        logging.getLogger(__name__).error("An experiment met a fault.", exc_info=error)
