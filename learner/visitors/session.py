"""One visitor's learner with what surrounds it: undo, snapshots, a running run, notes for the page.

Any thread may use a session; two tabs of one browser do. It changes in whole steps under its lock,
and only one run at a time may teach its learner.
"""

import dataclasses
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from learner.learning.learner import Learner, LearnerConfig
from learner.measuring import Score
from learner.visitors import snapshots
from learner.visitors.snapshots import Snapshot

UNDO_DEPTH = 20
UNDO_BYTES = 1 << 23  # of tensors, beyond the newest: long prompts are kept fewer times
MAX_NOTES_BYTES = 1 << 18  # as JSON; half of it for results, a fourth for one's own questions


class SessionError(ValueError):
    """A session cannot do what was asked; the message is one sentence for its visitor."""


class SessionBusy(SessionError):
    """The learner is being taught already."""

    def __init__(self) -> None:
        super().__init__(
            "This learner is in training already, perhaps in another tab; wait or press Stop."
        )


@dataclass(frozen=True, eq=False)
class SessionState:
    """What of a session is saved.

    ``notes`` is a JSON object, as text, that means something to the page alone. ``seed`` and
    ``position`` say which problem of the visitor's own stream comes next. ``learnt`` counts the
    episodes that were learnt from in this session, by whichever learner. ``snapshots`` are the
    learners that the visitor gave a name, in the order in which they were kept.
    """

    learner: Learner
    seed: int
    position: int = 0
    notes: str = "{}"
    learnt: int = 0
    snapshots: tuple[Snapshot, ...] = ()


class Session:
    """A visitor's learner. Made by `Sessions`.

    ``changed`` is called after each change, and says whether it ends something that should be on
    the disk at once. ``fresh_learner`` makes the learner that `reset` starts from. ``stop`` is an
    event for anybody to set, which ends the run that is going on. ``begins`` is called before a run
    and raises SessionBusy if the learner is being taught elsewhere; ``ended`` after it.
    """

    def __init__(
        self,
        session_id: str,
        state: SessionState,
        changed: Callable[["Session", bool], None],
        fresh_learner: Callable[[LearnerConfig], Learner],
        notice: str = "",
        begins: Callable[["Session"], None] = lambda session: None,
        ended: Callable[["Session"], None] = lambda session: None,
    ) -> None:
        self.id = session_id
        self.stop = threading.Event()
        self._state = state
        self._changed = changed
        self._fresh_learner = fresh_learner
        self._notice = notice
        self._begins, self._ended = begins, ended
        self._lock = threading.RLock()
        self._undo: deque[Learner] = deque(maxlen=UNDO_DEPTH)
        self._redo: deque[Learner] = deque(maxlen=UNDO_DEPTH)
        self._running = False
        self._holders = 0
        self.went_on_from: Learner | None = None  # in whose place one saved elsewhere came last

    @property
    def state(self) -> SessionState:
        """What of the session is to be saved, as it is now."""
        return self._state

    @property
    def learner(self) -> Learner:
        """The learner as it is now."""
        return self._state.learner

    @property
    def seed(self) -> int:
        """The seed of this visitor's stream of problems."""
        return self._state.seed

    @property
    def notes(self) -> dict[str, Any]:
        """What the page wants to find again after a reload; a copy."""
        notes: dict[str, Any] = json.loads(self._state.notes)
        return notes

    @property
    def running(self) -> bool:
        """Whether a run is going on."""
        return self._running

    @property
    def in_use(self) -> bool:
        """Whether something is going on that would lose its place with the session."""
        return self._running or self._holders > 0

    @property
    def undo_depth(self) -> int:
        """How many times `undo` would work. Earlier learners do not survive a restart."""
        return len(self._undo)

    @property
    def redo_depth(self) -> int:
        """How many times `redo` would work: as often as was undone since the last change."""
        return len(self._redo)

    @property
    def snapshots(self) -> tuple[Snapshot, ...]:
        """The learners that have a name, in the order in which they were kept."""
        return self._state.snapshots

    def take_notice(self) -> str:
        """A sentence the visitor should see, once: why the learner is a fresh one, say. Or ""."""
        with self._lock:
            notice, self._notice = self._notice, ""
            return notice

    def give_notice(self, notice: str) -> None:
        """Set the sentence that the visitor should see next."""
        with self._lock:
            self._notice = notice

    @contextmanager
    def held(self) -> Iterator[None]:
        """Meanwhile the session is not removed from the disk, however long it is not used."""
        with self._lock:
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1

    @contextmanager
    def run(self) -> Iterator[None]:
        """Meanwhile the learner is taught, by `adopt`. One undo takes back the whole run.

        Clears ``stop`` first. Raises SessionBusy if a run is going on.
        """
        with self._lock:
            self._check_idle()
            self._running = True
            self.stop.clear()
        try:
            self._begins(self)
            before = self.learner
            try:
                yield
            finally:
                with self._lock:
                    self._running = False
                    self._remember(before)
                self._changed(self, True)
                self._ended(self)
        finally:
            self._running = False

    def adopt(self, learner: Learner) -> None:
        """Take over what a run has learnt."""
        with self._lock:
            episodes = max(0, learner.episodes - self.learner.episodes)
            self._change(learner=learner, learnt=self._state.learnt + episodes)

    def replace_learner(self, learner: Learner) -> None:
        """Go on with another learner, say a loaded one; can be undone. Raises SessionBusy."""
        with self._lock:
            self._check_idle()
            before = self.learner
            self._change(learner=learner)
            self._remember(before)

    def catch_up(self, state: SessionState) -> None:
        """Go on from what was saved elsewhere, if nothing has changed here; can be undone."""
        with self._lock:
            before, self._state = self.learner, state
            self._remember(before)
            self.went_on_from = before

    def meet(self, other: SessionState) -> None:
        """Lose nothing of what was saved without this session's knowing: `undo` brings it back."""
        with self._lock:
            self._undo.append(other.learner)
            learnt = max(self._state.learnt, other.learnt)
            self._state = dataclasses.replace(self._state, learnt=learnt)

    def reset(self, config: LearnerConfig | None = None) -> Learner:
        """Start over, with the same settings or others; can be undone. Raises SessionBusy."""
        with self._lock:
            self.replace_learner(self._fresh_learner(config or self.learner.config))
            return self.learner

    def start_over(self, seed: int) -> Learner:
        """Start over with default settings and the problems of ``seed``, from the first one on.

        Can be undone, but for the seed. Raises SessionBusy.
        """
        with self._lock:
            learner = self.reset(LearnerConfig())
            self._change(seed=seed, position=0)
            return learner

    def undo(self) -> Learner:
        """Go back to the learner before the latest run, reset or load.

        Raises SessionBusy, and SessionError when there is nothing to go back to.
        """
        return self._step(self._undo, self._redo, "There is nothing to undo.")

    def redo(self) -> Learner:
        """Go forth again to the learner that the latest `undo` left.

        Raises SessionBusy, and SessionError when nothing was undone since the last change.
        """
        return self._step(self._redo, self._undo, "There is nothing to redo.")

    def keep_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a learner under a name. Raises SessionError if the name is taken, or at too many."""
        with self._lock:
            kept = self.snapshots
            if any(one.name == snapshot.name for one in kept):
                raise SessionError(
                    f"There is a snapshot “{snapshot.name}” already; choose another name."
                )
            size = sum(_bytes(one.learner) for one in (*kept, snapshot))
            if len(kept) >= snapshots.MOST or (kept and size > snapshots.MOST_BYTES):
                raise SessionError(
                    f"{len(kept)} snapshots are kept, and there is no room for one more; "
                    "remove one first."
                )
            self._change(snapshots=(*kept, snapshot))

    def remove_snapshot(self, name: str) -> None:
        """Forget what was kept under this name. Raises SessionError if nothing is."""
        with self._lock:
            self.snapshot(name)
            self._change(snapshots=tuple(one for one in self.snapshots if one.name != name))

    def snapshot(self, name: str) -> Snapshot:
        """What was kept under this name. Raises SessionError if nothing is."""
        for one in self.snapshots:
            if one.name == name:
                return one
        raise SessionError(f"There is no snapshot “{name}” any more.")

    def score_snapshots(self, learner: Learner, score: Score) -> None:
        """Note down the score of a learner wherever that very learner is kept."""
        with self._lock:
            scored = tuple(
                dataclasses.replace(one, scores=(*_others(one, score), score))
                if one.is_of(learner)
                else one
                for one in self.snapshots
            )
            if any(one is not other for one, other in zip(scored, self.snapshots, strict=True)):
                self._change(snapshots=scored)

    def note(self, **values: object) -> None:
        """Add ``values``, which JSON can hold, to the notes. Raises SessionError if too much."""
        with self._lock:
            text = json.dumps(self.notes | values, allow_nan=False)
            if len(text) > MAX_NOTES_BYTES:
                raise SessionError("That is too long to be kept; shorten it.")
            self._change(notes=text)

    def advance(self, problems: int) -> int:
        """Take the next ``problems`` of the visitor's stream; the position of the first of them."""
        with self._lock:
            position = self._state.position
            self._change(position=position + problems)
            return position

    def _check_idle(self) -> None:
        if self._running:
            raise SessionBusy

    def _step(self, back: deque[Learner], forth: deque[Learner], nothing: str) -> Learner:
        """Go to the latest of ``back``, from where ``forth`` leads here again."""
        with self._lock:
            self._check_idle()
            if not back:
                raise SessionError(nothing)
            forth.append(self.learner)
            self._change(learner=back.pop())
            return self.learner

    def _remember(self, before: Learner) -> None:
        if self.learner is not before:
            self._redo.clear()
            self._undo.append(before)
            while len(self._undo) > 1 and sum(map(_bytes, self._undo)) > UNDO_BYTES:
                self._undo.popleft()

    def _change(self, **values: Any) -> None:
        self._state = dataclasses.replace(self._state, **values)
        self._changed(self, False)


def _others(snapshot: Snapshot, score: Score) -> list[Score]:
    """A snapshot's scores but the one in the format of ``score``."""
    return [one for one in snapshot.scores if one.chat_template is not score.chat_template]


def _bytes(learner: Learner) -> int:
    """What a learner's tensors take: the prompt and Adam's two moments."""
    return 3 * learner.prompt.nbytes
