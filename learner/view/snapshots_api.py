"""Snapshots through the API: keep a learner under a name, list them, go back to one."""

from typing import Any

from learner.view.api import learner_in_json, score_in_json
from learner.view.endpoint import endpoint
from learner.view.screen import said
from learner.view.threads import SLOW, in_thread
from learner.visitors.checked_input import checked_name
from learner.visitors.lesson import Lesson
from learner.visitors.open_lessons import OpenLessons
from learner.visitors.snapshots import Snapshot

Json = dict[str, Any]


def add_snapshots_api(lessons: OpenLessons) -> None:
    """Register the public endpoints; call inside ``with gr.Blocks()``."""

    def keep_snapshot(session: str, snapshot: str = "") -> list[Json]:
        """Keep the learner as it is under a name; returns all that are kept."""
        with said(markup=False):
            lesson = lessons.get(session)
            lesson.keep_snapshot(checked_name(snapshot))
            return _listed(lesson)

    def snapshots(session: str) -> list[Json]:
        """The learners kept under a name, with their scores in the format learnt in."""
        with said(markup=False):
            return _listed(lessons.get(session))

    async def go_to_snapshot(session: str, snapshot: str) -> Json:
        """Go on with a learner that was kept; `undo` leads back. Returns its counts and result."""

        def go() -> Lesson:
            lesson = lessons.get(session)
            with lesson.acting():
                lesson.go_to_snapshot(checked_name(snapshot))
            return lesson

        with said(markup=False):
            lesson = await in_thread(go, limiter=SLOW)
            async for _ in lesson.follow(lambda: lesson.busy):
                pass
            return await in_thread(learner_in_json, lesson)

    def remove_snapshot(session: str, snapshot: str) -> list[Json]:
        """Forget a learner that was kept; returns those that are left."""
        with said(markup=False):
            lesson = lessons.get(session)
            lesson.remove_snapshot(checked_name(snapshot))
            return _listed(lesson)

    for function in (keep_snapshot, snapshots, go_to_snapshot, remove_snapshot):
        endpoint(function)


def _listed(lesson: Lesson) -> list[Json]:
    return [_one(snapshot, lesson) for snapshot in lesson.session.snapshots]


def _one(snapshot: Snapshot, lesson: Lesson) -> Json:
    """One snapshot; what was ``gained`` and ``lost`` is the present learner's against it."""
    now, then = lesson.score, snapshot.score(lesson.chat_template)
    change = now.since(then) if now else None
    return {
        "name": snapshot.name,
        "episodes": snapshot.learner.episodes,
        "held_out": score_in_json(then) if then else None,
        "gained": change.gained if change else None,
        "lost": change.lost if change else None,
        "p_value": change.p_value if change else None,
    }
