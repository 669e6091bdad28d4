"""Everybody's experiments in the background, so many of them at a time.

Each visitor has theirs, found by their session: those that are kept, and the one that is on. They
go through an engine of their visitor's own: on a service they take turns with everybody's clicks.
Knows nothing of pages: whoever looks (a page, the API, a page opened again after a reload) follows
the same state.
"""

import logging
import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import copy_context
from dataclasses import replace
from weakref import WeakValueDictionary

from learner.checkpoint.reading import CheckpointError
from learner.experiments.answers import Pair, pairs_of
from learner.experiments.completions import COMPLETIONS, read_completions
from learner.experiments.engine import Engine, Pause
from learner.experiments.folder import read_runs
from learner.experiments.plan import Plan
from learner.experiments.results import Results
from learner.experiments.results_file import RESULTS
from learner.experiments.running import Progress, draw_together, finish, run_to_end
from learner.experiments.store import (
    FAILED,
    FINISHED,
    GOING,
    STOPPED,
    Entry,
    ExperimentError,
    Store,
)
from learner.measuring import Stopped
from learner.model.base_model import ModelFacts
from learner.service.protocol import GROUP, ServiceClosed
from learner.visitors.followed import Followed
from learner.visitors.session import Session
from learner.visitors.sessions import Sessions

FOLDER = "experiments"  # in a session's own
MAX_WAITING = 64
WAITING_OF_ONE = MAX_WAITING // 4  # address
_FAULT = "It was ended by a fault in this program. Continue goes on from what was saved."


class Line:
    """Work that waits for its turn, so much of it at a time; each owner has one piece in it.

    Where nothing can be begun, ``shut`` is the sentence that says why.
    """

    def __init__(self, at_once: int, shut: str = "") -> None:
        self._shut = shut
        self._at_once = at_once
        self._lock = threading.RLock()  # guards what follows
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="experiment")
        self._resting = False  # whether its threads have been told to end
        # Of work that is done or waits, oldest first: its owner, and who it counts for.
        self._owners: list[tuple[Hashable, Hashable]] = []
        self._closing = False

    def check_open(self) -> None:
        """Raise ExperimentError if nothing can be begun here."""
        if self._shut:
            raise ExperimentError(self._shut)

    def ahead(self, owner: Hashable) -> int:
        """How much work was there before this owner's."""
        with self._lock:
            return next((i for i, (one, _) in enumerate(self._owners) if one == owner), 0)

    def submit(self, owner: Hashable, work: Callable[[], None]) -> "Future[None]":
        """Do ``work`` as soon as there is room. Raises ExperimentError if there is none."""
        with self._lock:
            if self._closing:
                raise ExperimentError("The app is shutting down; start it again and repeat this.")
            group = GROUP.get()
            same = [one for _, one in self._owners].count(group)
            if len(self._owners) >= MAX_WAITING or (group and same >= WAITING_OF_ONE):
                raise ExperimentError(
                    "Too many experiments wait already; try again in a few minutes."
                )
            self._owners.append((owner, group))
            if self._resting:
                self._pool = ThreadPoolExecutor(self._at_once, thread_name_prefix="experiment")
                self._resting = False
            future = self._pool.submit(copy_context().run, self._with_room, owner, work)
        future.add_done_callback(_report)
        return future

    def withdraw(self, owner: Hashable, future: "Future[None]") -> bool:
        """Take back work that nobody has begun; whether that was still possible."""
        with self._lock:
            withdrawn = future.cancel()
            if withdrawn:
                self._done(owner)
            return withdrawn

    def take_nothing_more(self) -> list[Hashable]:
        """Turn further work away; returns the owners of what there is."""
        with self._lock:
            self._closing = True
            return [owner for owner, _ in self._owners]

    def drain(self) -> None:
        """Drop what waits, and return when the rest is done."""
        self._pool.shutdown(cancel_futures=True)

    def _with_room(self, owner: Hashable, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            with self._lock:
                self._done(owner)

    def _done(self, owner: Hashable) -> None:
        """Strike this owner off; where nobody is left the threads end, and their helpers too."""
        self._owners.remove(next(one for one in self._owners if one[0] == owner))
        if not self._owners:
            self._pool.shutdown(wait=False)
            self._resting = True


class VisitorExperiments(Followed):
    """What one visitor tries. Thread-safe. Made by `BackgroundExperiments`.

    ``keep`` puts the session on the disk, with room for a folder. They are about ``base_model``,
    which is the session's. Actions raise ExperimentError or
    SessionError, and change nothing, where they cannot be done.
    """

    def __init__(
        self,
        session: Session,
        store: Store,
        line: Line,
        engine_of: Callable[[Session, Pause], Engine],
        keep: Callable[[Session], None],
        base_model: ModelFacts,
    ) -> None:
        super().__init__()
        self.session = session
        self.base_model = base_model
        self.store = store
        self.running: str | None = None  # the place of the experiment that is on
        self.progress: Progress | None = None  # of that
        self._line = line
        self._engine_of = engine_of
        self._keep = keep
        self._future: Future[None] | None = None
        self._halt = threading.Event()
        self._held = ExitStack()  # what keeps the session meanwhile
        self._stopped = False  # whether the visitor was it who halted it
        self._read: dict[str, tuple[Hashable, tuple[Results, ...]]] = {}  # results, by place
        self._pairs: tuple[Hashable, tuple[Pair, ...]] = (None, ())  # those looked at last

    # --- looking ------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether an experiment is on, or waits for its turn."""
        return self.progress is not None

    @property
    def ahead(self) -> int:
        """How many experiments of others were there before this visitor's."""
        return self._line.ahead(self)

    def entries(self) -> tuple[Entry, ...]:
        """All that are kept, oldest first."""
        with self._changed:
            return self.store.entries()

    def fresh_name(self) -> str:
        """A name that no run has yet."""
        with self._changed:
            return self.store.fresh_name()

    def results(self, entry: Entry) -> tuple[Results, ...]:
        """What came out so far, one for each seed; () before anything was measured.

        All of them are named as the entry is.
        """
        files = [folder / RESULTS for folder in self.store.run_folders(entry)]
        try:
            stamp = tuple(file.stat().st_mtime_ns for file in files)
        except FileNotFoundError:
            return ()
        with self._changed:
            known = self._read.get(entry.place)
        if known is not None and known[0] == stamp:
            return known[1]
        try:
            found = _level(entry, read_runs(self.store.path(entry)))
        except CheckpointError:
            if entry.state == FINISHED:
                raise
            return ()  # stopped before it was ever measured
        with self._changed:
            self._read[entry.place] = stamp, found
        return found

    def answers(self, entry: Entry, seed: int, beside: str) -> tuple[Pair, ...]:
        """What the ``seed``-th of its soft prompts wrote, next to what ``beside`` did.

        () before anything was learnt. Raises ExperimentError if it was not kept, CheckpointError if
        it cannot be read.
        """
        results = self.results(entry)
        if not results:
            return ()
        folder = self.store.run_folders(entry)[seed]
        try:
            stamp = (folder / COMPLETIONS).stat().st_mtime_ns
        except FileNotFoundError:
            raise ExperimentError("What this run wrote was not kept.") from None
        known, pairs = self._pairs
        wanted = (entry.place, seed, beside, stamp, results[seed].final.episodes)
        if known != wanted:
            last = results[seed].final.episodes
            lines = read_completions(folder / COMPLETIONS)
            told = [line for line in lines if line.episodes <= last]  # a crash may leave later ones
            pairs = tuple(pairs_of(told, beside, results[seed]))
            self._pairs = wanted, pairs
        return pairs

    # --- doing --------------------------------------------------------------------------------

    def start(self, plan: Plan) -> Entry:
        """Begin an experiment. Raises ExperimentError if one is on, or there is no room."""
        with self._changed:
            self._check_idle()
            self._keep(self.session)
            entry = self.store.add(plan)
            return self._begin(entry)

    def stop(self) -> None:
        """End the experiment that is on at its next step; what was learnt is kept."""
        with self._changed:
            if self.running is None:
                raise ExperimentError("Nothing is running that could be stopped.")
            self._stopped = True
            self._halt.set()
            waiting = self._future
            entry = self.store.read(self.running)
            if waiting is not None and self._line.withdraw(self, waiting):
                self._over(entry, STOPPED, "")

    def go_on(self, place: object) -> Entry:
        """Go on with an experiment that was stopped, or that failed."""
        with self._changed:
            self._check_idle()
            entry = self.store.read(place)
            if entry.state == FINISHED:
                raise ExperimentError(f"“{entry.plan.name}” has come to its end.")
            return self._begin(self.store.mark(entry, GOING))

    def resume(self) -> None:
        """Go on with what was on when the app was last shut down, if anything was."""
        with self._changed:
            going = [entry for entry in self.store.entries() if entry.state == GOING]
            if going and self.running is None:
                self._begin(going[0])

    def delete(self, place: object) -> None:
        """Delete an experiment for good."""
        with self._changed:
            if self.running is not None and self.running == place:
                raise ExperimentError("It is running; stop it first.")
            self.store.remove(place)
            self._read.pop(str(place), None)
            self._tell()

    def halt(self) -> None:
        """End what is on at its next step and leave it to be gone on with by `resume`."""
        self._halt.set()

    # --- in the background --------------------------------------------------------------------

    def _check_idle(self) -> None:
        self._line.check_open()
        if self.running is not None:
            name = self.store.read(self.running).plan.name
            raise ExperimentError(f"“{name}” is running; wait for it, or press Stop.")

    def _begin(self, entry: Entry) -> Entry:
        self._halt.clear()
        self._stopped = False
        self._held.enter_context(self.session.held())
        self.running, self.progress = entry.place, Progress()
        try:
            self._future = self._line.submit(self, lambda: self._work(entry))
        except ExperimentError:
            self._over(entry, STOPPED, "")
            raise
        self._tell()
        return entry

    def _work(self, entry: Entry) -> None:
        """The experiment, on a thread of the line's."""
        state, message = FAILED, _FAULT
        try:
            self._run(entry)
            state, message = FINISHED, ""
        except (Stopped, ServiceClosed):
            state, message = (STOPPED if self._stopped else GOING), ""
        except OSError as error:
            message = f"It could not be kept on the server ({error.strerror}); try again later."
        except (ValueError, RuntimeError) as error:
            # A visitor need not know where on the server their runs lie.
            message = str(error).replace(str(self.store.path(entry)), entry.plan.name)
        finally:
            with self._changed:
                self._over(entry, state, message)

    def _run(self, entry: Entry) -> None:
        path, folders = self.store.path(entry), self.store.run_folders(entry)
        engine = self._engine_of(self.session, self._pause)
        runs = run_to_end(engine, entry.plan.experiments, folders, self._watch)
        finish(runs, folders, engine.base_model)
        draw_together(path, read_runs(path))
        self.store.tidy(entry)

    def _pause(self, seconds: float) -> None:
        """Wait for the service to have room, or for Stop."""
        if self._halt.wait(seconds):
            raise Stopped

    def _watch(self, progress: Progress) -> None:
        if self._halt.is_set() and not progress.finished:
            raise Stopped
        with self._changed:
            self.progress = progress
            self._tell()

    def _over(self, entry: Entry, state: str, message: str) -> None:
        self.running = self.progress = None
        self._future = None
        self._held.close()
        try:
            self.store.mark(entry, state, message)
        finally:  # also where the disk is full: nothing runs any more
            self._tell()


class BackgroundExperiments:
    """Runs ``at_once`` experiments at a time; others wait. Use it as a context manager, or `close`.

    ``engine_of`` makes a visitor's engine, which waits by the pauses it is given; ``shut`` is the
    sentence that says why nothing can be begun, where that is so. Closing it stops everything at
    its next step and saves it. What was going on then goes on when its visitor comes back, here or
    in another app on the same sessions.
    """

    def __init__(
        self,
        engine_of: Callable[[Session, Pause], Engine],
        sessions: Sessions,
        at_once: int = 4,
        shut: str = "",
    ) -> None:
        self._engine_of = engine_of
        self._sessions = sessions
        self._line = Line(at_once, shut)
        self._lock = threading.Lock()  # guards what follows
        self._known: WeakValueDictionary[Session, VisitorExperiments] = WeakValueDictionary()

    def __enter__(self) -> "BackgroundExperiments":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def of(self, session_id: object) -> VisitorExperiments:
        """The experiments of this session. Raises SessionError if there is no such session."""
        session = self._sessions.get(session_id)
        with self._lock:
            own = self._known.get(session)
            if own is None:
                store = Store(self._sessions.folder_of(session) / FOLDER)
                own = self._known[session] = VisitorExperiments(
                    session,
                    store,
                    self._line,
                    self._engine_of,
                    self._sessions.keep,
                    self._sessions.model_of(session),
                )
            return own

    def close(self) -> None:
        """Stop and save everything; returns when it is saved. Calling it again does nothing."""
        for own in self._line.take_nothing_more():
            assert isinstance(own, VisitorExperiments)
            own.halt()
        self._line.drain()


def _level(entry: Entry, runs: Sequence[Results]) -> tuple[Results, ...]:
    """The runs under the entry's name, up to the latest milestone that all of them have passed.

    They are saved one after the other, and may be read in between.
    """
    last = min(run.curve[-1].episodes for run in runs)
    curves = [tuple(score for score in run.curve if score.episodes <= last) for run in runs]
    return tuple(
        replace(run, name=entry.plan.name, curve=curve, final=curve[-1])
        for run, curve in zip(runs, curves, strict=True)
    )


def _report(future: "Future[None]") -> None:
    """A fault of this program is nobody's to be told but its keeper's."""
    if not future.cancelled() and (error := future.exception()) is not None:
        logging.getLogger(__name__).error("An experiment met a fault.", exc_info=error)
