"""The lessons that are open, each in front of one of the base models."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakValueDictionary

from learner.checkpoint.reading import CheckpointError
from learner.learning.learner import Learner
from learner.model.base_model import ModelFacts
from learner.visitors.lesson import Lesson
from learner.visitors.models import Models, Taught
from learner.visitors.session import Session
from learner.visitors.sessions import Sessions

MAX_LESSONS = 200
Found = TypeVar("Found")


class OpenLessons:
    """Opens and finds lessons; keeps those used last, the others come back from their session.

    A lesson pushed out while a page follows it, or while something is still being written in it,
    stays the one and only lesson of its session until they have let go of it.
    """

    def __init__(self, models: Models, sessions: Sessions, max_lessons: int = MAX_LESSONS) -> None:
        self.models = models
        self.sessions = sessions
        self._max_lessons = max_lessons
        self._recent: OrderedDict[Session, Lesson] = OrderedDict()  # used last at the end
        self._alive: WeakValueDictionary[Session, Lesson] = WeakValueDictionary()
        self._lock = threading.Lock()

    def open(self, session_id: object = None, address: str | None = None) -> Lesson:
        """The lesson that a browser remembers by this id, or else a new one.

        Raises SessionError if too many newcomers have come from this ``address``.
        """
        newcomers = self.models.first.base_model.source
        lesson = self._lesson(self.sessions.open(session_id, address, newcomers))
        lesson.arrive()
        return lesson

    def get(self, session_id: object) -> Lesson:
        """The lesson of this session. Raises SessionError if there is none.

        Who asks for it looks at it: the problem that stands there is answered then, not before.
        """
        lesson = self._lesson(self.sessions.get(session_id))
        lesson.answer_first()
        return lesson

    def change(self, session_id: object, model: Taught) -> Lesson:
        """The lesson of this session in front of another model, which it is at from now on.

        What goes on in the one that is left goes on. Raises SessionError if there is no session.
        """
        return self._lesson(self.sessions.choose(session_id, model.base_model.source))

    def read(
        self,
        lesson: Lesson,
        read: Callable[[ModelFacts], Found],
        fits: Callable[[Found], bool] = lambda found: True,
    ) -> tuple[Taught, Found]:
        """What was learnt elsewhere, and the model that it is for: the lesson's or another one.

        ``read`` reads it for a model, and ``fits`` says whether it was meant for that one; of those
        that it might be for the lesson's comes first. Raises CheckpointError as ``read`` does for
        the lesson's, if it is for none.
        """
        own = self.models.of(lesson.base_model)
        others = [model for model in self.models.all_taught if model is not own]
        perhaps: list[tuple[Taught, Found]] = []
        refused: list[CheckpointError] = []
        for model in (own, *others):
            try:
                found = read(model.base_model)
            except CheckpointError as error:
                refused.append(error)
                continue
            if fits(found):
                return model, found
            perhaps.append((model, found))
        if perhaps:
            return perhaps[0]
        raise refused[0]

    def adopt(self, lesson: Lesson, model: Taught, learner: Learner) -> Lesson:
        """Go on with this learner in front of the model that it is for; `Undo` goes back there."""
        if model.base_model.source != lesson.base_model.source:
            lesson = self.change(lesson.session.id, model)
        lesson.adopt(learner)
        return lesson

    def _lesson(self, session: Session) -> Lesson:
        with self._lock:
            lesson = self._alive.get(session)
            if lesson is None:
                model = self.models.of(self.sessions.model_of(session))
                lesson = Lesson(model.service, model.exam, session)
            self._alive[session] = self._recent[session] = lesson
            self._recent.move_to_end(session)
            while len(self._recent) > self._max_lessons:
                self._recent.popitem(last=False)
        lesson.catch_up()
        return lesson
