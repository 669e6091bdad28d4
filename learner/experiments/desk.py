"""One visitor's desk in the laboratory: their shelf, and the experiment that they have going.

Knows nothing of pages. Work goes on in a thread of the laboratory's; whoever looks (a page, the
API, a page opened again after a reload) follows the same state.
"""

import threading
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING

from arena import Problem
from learner.checkpoint.reading import CheckpointError
from learner.experiments.engine import Engine, Run
from learner.experiments.folder import read_runs
from learner.experiments.keeping import draw_together, finish, keep_going
from learner.experiments.pace import Pace, Progress
from learner.experiments.plan import Plan
from learner.experiments.results import Results
from learner.experiments.results_file import RESULTS
from learner.experiments.shelf import FAILED, FINISHED, GOING, STOPPED, Entry, Shelf
from learner.learning.learner import Learner
from learner.learning.training import StepReport
from learner.model.completion import Ask, Completion
from learner.service.protocol import ServiceClosed
from learner.visitors.followed import Followed
from learner.visitors.session import Session

if TYPE_CHECKING:
    from learner.experiments.laboratory import Laboratory

_FAULT = "It was ended by a fault in this program. Continue goes on from what was saved."


class DeskError(ValueError):
    """Something cannot be done at this desk now; the message is one sentence that says why."""


class Halted(Exception):
    """Somebody pressed Stop, or the app is being shut down."""


class Desk(Followed):
    """What one visitor tries. Thread-safe. Made by `Laboratory`.

    Actions raise DeskError, ShelfError or SessionError, and change nothing, where they cannot be
    done.
    """

    def __init__(self, session: Session, shelf: Shelf, laboratory: "Laboratory") -> None:
        super().__init__()
        self.session = session
        self.shelf = shelf
        self.progress: Progress | None = None  # of the experiment that is on
        self._laboratory = laboratory
        self._future: Future[None] | None = None
        self._halt = threading.Event()
        self._held = ExitStack()  # what keeps the session meanwhile
        self._stopped = False  # whether the visitor was it who halted it
        self._read: dict[str, tuple[Hashable, tuple[Results, ...]]] = {}  # results, by place

    # --- looking ------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether an experiment is on, or waits for its turn."""
        return self.progress is not None

    @property
    def ahead(self) -> int:
        """How many experiments of others were there before this visitor's."""
        return self._laboratory.ahead(self)

    def entries(self) -> tuple[Entry, ...]:
        """Everything on the shelf, oldest first."""
        with self._changed:
            return self.shelf.entries()

    def fresh_name(self) -> str:
        """A name that no run has yet."""
        with self._changed:
            return self.shelf.fresh_name()

    def results(self, entry: Entry) -> tuple[Results, ...]:
        """What came out so far, one for each seed; () before anything was measured.

        All of them are named as the entry is.
        """
        files = [folder / RESULTS for folder in self.shelf.run_folders(entry)]
        try:
            stamp = tuple(file.stat().st_mtime_ns for file in files)
        except FileNotFoundError:
            return ()
        with self._changed:
            known = self._read.get(entry.place)
        if known is not None and known[0] == stamp:
            return known[1]
        try:
            found = _level(entry, read_runs(self.shelf.path(entry)))
        except CheckpointError:
            if entry.state == FINISHED:
                raise
            return ()  # stopped before it was ever measured
        with self._changed:
            self._read[entry.place] = stamp, found
        return found

    # --- doing --------------------------------------------------------------------------------

    def start(self, plan: Plan) -> Entry:
        """Begin an experiment. Raises DeskError if one is on, ShelfError if there is no room."""
        with self._changed:
            self._check_idle()
            self._laboratory.keep(self.session)
            entry = self.shelf.add(plan)
            return self._begin(entry)

    def stop(self) -> None:
        """End the experiment that is on at its next step; what was learnt is kept."""
        with self._changed:
            if self.progress is None:
                raise DeskError("Nothing is running that could be stopped.")
            self._stopped = True
            self._halt.set()
            waiting = self._future
            entry = self.shelf.read(self.progress.place)
            if waiting is not None and self._laboratory.withdraw(self, waiting):
                self._over(entry, STOPPED, "")

    def go_on(self, place: object) -> Entry:
        """Go on with an experiment that was stopped, or that failed."""
        with self._changed:
            self._check_idle()
            entry = self.shelf.read(place)
            if entry.state == FINISHED:
                raise DeskError(f"“{entry.plan.name}” has come to its end.")
            return self._begin(self.shelf.mark(entry, GOING))

    def resume(self) -> None:
        """Go on with what was on when the app was last shut down, if anything was."""
        with self._changed:
            going = [entry for entry in self.shelf.entries() if entry.state == GOING]
            if going and self.progress is None:
                self._begin(going[0])

    def delete(self, place: object) -> None:
        """Delete an experiment for good."""
        with self._changed:
            if self.progress is not None and self.progress.place == place:
                raise DeskError("It is running; stop it first.")
            self.shelf.remove(place)
            self._read.pop(str(place), None)
            self._tell()

    def halt(self) -> None:
        """End what is on at its next step and leave it to be gone on with by `resume`."""
        self._halt.set()

    # --- in the background --------------------------------------------------------------------

    def _check_idle(self) -> None:
        self._laboratory.check_open()
        if self.progress is not None:
            name = self.shelf.read(self.progress.place).plan.name
            raise DeskError(f"“{name}” is running; wait for it, or press Stop.")

    def _begin(self, entry: Entry) -> Entry:
        self._halt.clear()
        self._stopped = False
        self._held.enter_context(self.session.held())
        self.progress = Progress(entry.place)
        try:
            self._future = self._laboratory.submit(self, lambda: self._work(entry))
        except DeskError:
            self._over(entry, STOPPED, "")
            raise
        self._tell()
        return entry

    def _work(self, entry: Entry) -> None:
        """The experiment, on a thread of the laboratory's."""
        state, message = FAILED, _FAULT
        try:
            self._run(entry)
            state, message = FINISHED, ""
        except (Halted, ServiceClosed):
            state, message = (STOPPED if self._stopped else GOING), ""
        except OSError as error:
            message = f"It could not be kept on the server ({error.strerror}); try again later."
        except (ValueError, RuntimeError) as error:
            # A visitor need not know where on the server their runs lie.
            message = str(error).replace(str(self.shelf.path(entry)), entry.plan.name)
        finally:
            with self._changed:
                self._over(entry, state, message)

    def _run(self, entry: Entry) -> None:
        experiments, folders = entry.plan.experiments, self.shelf.run_folders(entry)
        engine = halting(self._laboratory.engine(self.session.id), self._halt)
        pace = Pace(entry.place, experiments)
        runs: tuple[Run, ...] = ()

        def starting(done: int, total: int) -> None:
            self._show(pace.starting(done, total))

        def measuring(done: int, total: int) -> None:
            self._show(pace.measuring(runs, done, total))

        with closing(keep_going(engine, experiments, folders, starting, measuring)) as kept:
            for runs in kept:
                self._show(pace.after(runs))
        finish(runs, folders, engine.base_model)
        draw_together(self.shelf.path(entry), read_runs(self.shelf.path(entry)))
        self.shelf.tidy(entry)

    def _show(self, progress: Progress) -> None:
        with self._changed:
            self.progress = progress
            self._tell()

    def _over(self, entry: Entry, state: str, message: str) -> None:
        self.progress = None
        self._future = None
        self._held.close()
        self.shelf.mark(entry, state, message)
        self._tell()


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


def halting(engine: Engine, halt: threading.Event) -> Engine:
    """``engine``, which raises Halted in place of its next pass once ``halt`` is set."""

    def train(
        requests: Sequence[tuple[Learner, Sequence[Problem]]],
    ) -> Sequence[tuple[Learner, StepReport]]:
        if halt.is_set():
            raise Halted
        return engine.train(requests)

    def answers(asks: Sequence[Ask]) -> Iterator[Sequence[Completion]]:
        for completions in engine.answers(asks):
            if halt.is_set():
                raise Halted
            yield completions

    return replace(engine, train=train, answers=answers)
