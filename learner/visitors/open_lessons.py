"""The lessons of all visitors, by the id of their session."""

import threading
from collections import OrderedDict

from learner.service.protocol import ModelService
from learner.visitors.exam import Exam
from learner.visitors.lesson import Lesson
from learner.visitors.sessions import Sessions

MAX_LESSONS = 200


class OpenLessons:
    """Opens and finds lessons; keeps those used last, the others come back from their session."""

    def __init__(
        self, service: ModelService, exam: Exam, sessions: Sessions, max_lessons: int = MAX_LESSONS
    ) -> None:
        self._service = service
        self._exam = exam
        self._sessions = sessions
        self._max_lessons = max_lessons
        self._lessons: OrderedDict[str, Lesson] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, session_id: object = None) -> Lesson:
        """The lesson that a browser remembers by this id, or else a new one."""
        return self._lesson(self._sessions.open(session_id).id)

    def get(self, session_id: object) -> Lesson:
        """The lesson of this session. Raises SessionError if there is none."""
        return self._lesson(self._sessions.get(session_id).id)

    def _lesson(self, session_id: str) -> Lesson:
        with self._lock:
            session = self._sessions.get(session_id)
            lesson = self._lessons.get(session_id)
            if lesson is None or lesson.session is not session:
                lesson = Lesson(self._service, self._exam, session)
            self._lessons[session_id] = lesson
            self._lessons.move_to_end(session_id)
            idle = [key for key, one in self._lessons.items() if one.run is None]
            for key in idle[: max(0, len(self._lessons) - self._max_lessons)]:
                del self._lessons[key]
        return lesson
