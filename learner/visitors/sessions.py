"""Visitors' learners on the server, each under an id that only the visitor's browser knows.

So a learner survives a reload of the page. Two ids never see each other's learner.

A visitor has a learner for each base model that they have used, and one of these models is the one
they are at: `Sessions.choose` changes it.
"""

import contextlib
import json
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from learner.checkpoint.atomic_folder import write_file
from learner.learning.learner import Learner, LearnerConfig
from learner.model.base_model import ModelFacts
from learner.model.source import ModelSource
from learner.visitors.kept_sessions import KeptSessions, ServedModel
from learner.visitors.limits import VISITS, Arrivals
from learner.visitors.session import Session, SessionError
from learner.visitors.stores.store import StoreError

_ID = re.compile(r"[A-Za-z0-9_-]{43}")  # what secrets.token_urlsafe(32) makes: 256 random bits
_CHOICES = 10_000  # visitors whose choice of a model is remembered without looking it up
_SERVED = "models.json"  # the models that learners were kept for, in the folder ...
_MOST_SERVED = 20  # ... so many of them


class Sessions(KeptSessions):
    """The sessions of one app, as visitors come to them.

    They are in front of ``base_model``, and of those that are `add`ed. ``visits`` counts newcomers
    that are let in; ``keeping`` is as in `KeptSessions`.
    """

    def __init__(
        self,
        folder: Path,
        base_model: ModelFacts,
        fresh_learner: Callable[[LearnerConfig], Learner],
        *,
        visits: Arrivals | None = None,
        **keeping: Any,
    ) -> None:
        super().__init__(folder, **keeping)
        self._visits = visits or Arrivals(*VISITS)
        self._models: dict[ModelSource, ServedModel] = {}  # the lock guards it, and the next two
        # Where each visitor is, and whether they have said so themselves; used last at the end.
        self._chosen: OrderedDict[str, tuple[ModelSource, bool]] = OrderedDict()
        self._served = _read_served(self._folder / _SERVED)
        self.add(base_model, fresh_learner)

    def add(
        self, base_model: ModelFacts, fresh_learner: Callable[[LearnerConfig], Learner]
    ) -> None:
        """Keep sessions in front of this base model too."""
        # A learner is a value: visitors who start with the same settings share its first one.
        model = ServedModel(base_model, lru_cache(maxsize=16)(fresh_learner))
        source = base_model.source
        with self._lock:
            self._models[source] = model
            self._served = [source, *(one for one in self._served if one != source)][:_MOST_SERVED]
            with contextlib.suppress(OSError):  # it only helps those who come back too early
                _write_served(self._served, self._folder / _SERVED)

    def open(
        self,
        session_id: object = None,
        address: str | None = None,
        newcomers: ModelSource | None = None,
    ) -> Session:
        """The session that a browser remembers, or a new one, with a notice if one was expected.

        ``session_id`` is whatever the browser sent. New ids are always made here, so that nobody
        can be talked into using an id that somebody else knows. A newcomer counts for their
        ``address``, if it is given: raises SessionError if too many have come from there.
        ``newcomers`` are in front of this model, by default the first, and so is whoever was put
        somewhere else when they were new and has learnt nothing there.
        """
        first = newcomers or next(iter(self._models))
        try:
            session = self.get(session_id)
        except SessionError as error:
            notice = str(error) if session_id else ""
        else:
            session = self._moved(session, first)
            if self._store.leases is not None:
                self._catch_up(session)
            return session
        if address is not None and not self._visits.admit(address):
            raise SessionError(
                "Too many newcomers have come from your address; try again in a few minutes."
            )
        if isinstance(session_id, str) and (source := self._kept_elsewhere(session_id)):
            notice = (
                f"What you taught {source.short_name} is kept, and comes back as soon as that "
                "model is here."
            )
        else:
            session_id = secrets.token_urlsafe(32)
        self._choose(session_id, first, decided=False)
        session = self._new(session_id, self._models[first], notice)
        self._saved[session].newcomer = address
        return self._keep(session)

    def get(self, session_id: object) -> Session:
        """The session of this id, in front of the model that its visitor is at.

        Raises SessionError if there is none, or none any more. If what was saved cannot be read, it
        is a session with a fresh learner and a notice.
        """
        if not isinstance(session_id, str) or not _ID.fullmatch(session_id):
            raise SessionError("That is not the id of a session, so you start with a new learner.")
        with self._lock:
            source, decided = self._chosen.get(session_id, (None, True))
        source = source or self._latest(session_id) or next(iter(self._models))
        session = self._at(session_id, self._models[source])
        self._choose(session_id, source, decided)
        return session

    def has_chosen(self, session_id: str) -> bool:
        """Whether this visitor has said which model they want to be at, or has been at one."""
        with self._lock:
            _, decided = self._chosen.get(session_id, (None, False))
        return decided

    def choose(self, session_id: object, source: ModelSource) -> Session:
        """Go over to the learner that this visitor has in front of another model, or to a new one.

        The one that they leave is kept. Raises SessionError if there is no such session.
        """
        left = self.get(session_id)
        name = left.id
        try:
            session = self._at(name, self._models[source])
        except SessionError:
            session = self._new(name, self._models[source])
            self._saved[session].newcomer = self._saved[left].newcomer
            session = self._keep(session)
        self._choose(name, source, decided=True)
        with contextlib.suppress(SessionError):  # then it is forgotten at a restart
            self.keep(session)
        return session

    def is_back(self, session_id: object) -> bool:
        """Whether what this visitor taught a model is here again that was not when they came.

        They are put in front of it as soon as they open the page anew, if they have learnt nothing
        meanwhile. Raises SessionError if there is no such session.
        """
        session = self.get(session_id)
        source = self._latest(session.id, without=self.model_of(session).source)
        if source is None or not self._may_move(session):
            return False
        return self._at(session.id, self._models[source]).state.learnt > 0

    # --- which model --------------------------------------------------------------------------

    def _choose(self, session_id: str, source: ModelSource, decided: bool) -> None:
        """Note where a visitor is."""
        with self._lock:
            self._chosen[session_id] = source, decided
            self._chosen.move_to_end(session_id)
            while len(self._chosen) > _CHOICES:
                self._chosen.popitem(last=False)

    def _moved(self, session: Session, first: ModelSource) -> Session:
        """Where a visitor is now who was put in front of whatever model was there at the time."""
        source = self.model_of(session).source
        if not self._may_move(session):
            return session
        wanted = self._latest(session.id, without=source) or first
        if wanted == source:
            return session
        try:
            moved = self._at(session.id, self._models[wanted])
        except SessionError:
            moved = self._keep(self._new(session.id, self._models[wanted]))
        self._choose(session.id, wanted, decided=False)
        return moved

    def _may_move(self, session: Session) -> bool:
        """Whether its visitor neither chose the model that they are at nor taught it anything."""
        with self._lock:
            _, decided = self._chosen[session.id]
        return not (decided or session.state.learnt or session.in_use)

    def _latest(self, session_id: str, without: ModelSource | None = None) -> ModelSource | None:
        """The model whose learner this visitor used last, of those that anything is kept of."""
        sources = [source for source in list(self._models) if source != without]
        if without is None and len(sources) == 1:
            return sources[0]
        used: dict[ModelSource, float] = {}
        for source in sources:
            key = self._key(session_id, source)
            with self._lock:
                session = self._alive.get(key)
            if session is not None:
                used[source] = self._saved[session].used_at
                continue
            with contextlib.suppress(StoreError):
                if row := self._store.read(key):
                    used[source] = row.used_at
        return max(used, key=lambda source: used[source], default=None)

    def _kept_elsewhere(self, session_id: str) -> ModelSource | None:
        """A model that is not here now, of which something is kept under this id."""
        if not _ID.fullmatch(session_id):
            return None
        for source in self._served:
            with contextlib.suppress(StoreError):
                if source not in self._models and self._store.read(self._key(session_id, source)):
                    return source
        return None


def _read_served(file: Path) -> list[ModelSource]:
    """The models that learners were kept for before; none where nothing can be read."""
    try:
        return [ModelSource(*map(str, one)) for one in json.loads(file.read_text("utf-8"))]
    except (OSError, ValueError, TypeError):
        return []


def _write_served(sources: Sequence[ModelSource], file: Path) -> None:
    """Write these down. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [[source.kind, source.name, source.revision] for source in sources]
    write_file(json.dumps(rows).encode(), file)
