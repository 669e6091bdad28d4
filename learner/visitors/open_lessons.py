"""The lessons that are open, by the id of their session."""

import threading
from collections import OrderedDict
from weakref import WeakValueDictionary

from learner.service.protocol import ModelService
from learner.visitors.exam import Exam
from learner.visitors.lesson import Lesson
from learner.visitors.sessions import Sessions

MAX_LESSONS = 200


class OpenLessons:
    """Opens and finds lessons; keeps those used last, the others come back from their session.

    A lesson pushed out while a page follows it, or while something is still being written in it,
    stays the one and only lesson of its session until they have let go of it.
    """

    def __init__(
        self, service: ModelService, exam: Exam, sessions: Sessions, max_lessons: int = MAX_LESSONS
    ) -> None:
        self._service = service
        self._exam = exam
        self._sessions = sessions
        self._max_lessons = max_lessons
        self._recent: OrderedDict[str, Lesson] = OrderedDict()  # used last at the end
        self._alive: WeakValueDictionary[str, Lesson] = WeakValueDictionary()
        self._lock = threading.Lock()

    def open(self, session_id: object = None, address: str | None = None) -> Lesson:
        """The lesson that a browser remembers by this id, or else a new one.

        Raises SessionError if too many newcomers have come from this ``address``.
        """
        return self._lesson(self._sessions.open(session_id, address).id)

    def get(self, session_id: object) -> Lesson:
        """The lesson of this session. Raises SessionError if there is none."""
        return self._lesson(self._sessions.get(session_id).id)

    def _lesson(self, session_id: str) -> Lesson:
        with self._lock:
            session = self._sessions.get(session_id)
            lesson = self._alive.get(session_id)
            if lesson is None or lesson.session is not session:
                lesson = Lesson(self._service, self._exam, session)
            self._alive[session_id] = self._recent[session_id] = lesson
            self._recent.move_to_end(session_id)
            while len(self._recent) > self._max_lessons:
                self._recent.popitem(last=False)
        return lesson
