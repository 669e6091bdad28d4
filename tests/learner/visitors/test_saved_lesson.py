"""What a lesson leaves in its session's notes is what it finds there again."""

import json

from hypothesis import given
from hypothesis import strategies as st

from arena import Problem
from learner.learning.signals import SIGNALS
from learner.measuring import score_of
from learner.visitors.lesson import Lesson
from learner.visitors.saved_lesson import SavedLesson, from_json, to_json
from learner.visitors.session import Session
from tests.coroutines import follow
from tests.learner.visitors.scripted import finished, looked_at, untrained

problems = st.builds(
    Problem,
    st.sampled_from(["own", "causal"]),
    st.integers(0, 5),
    st.text(),
    st.text(),
    st.just("text"),
    st.lists(st.text()).map(tuple),
    st.text(),
)
scores = st.builds(
    score_of,
    st.text("10-", min_size=5, max_size=5),
    st.booleans(),
    st.integers(0, 99),
)
saved_lessons = st.builds(
    SavedLesson,
    st.none() | problems,
    st.booleans(),
    st.lists(scores).map(tuple),
    st.lists(st.text()).map(tuple),
    st.sampled_from([*SIGNALS]),
)


@given(saved_lessons)
def test_written_and_read_again_through_json(kept):
    assert from_json(json.loads(json.dumps(to_json(kept))), problems=5) == kept


@given(saved_lessons)
def test_results_over_more_problems_than_there_are_now_are_left_out(kept):
    assert from_json(to_json(kept), problems=4).results == ()
    assert from_json(to_json(kept), problems=6).results == kept.results  # their beginning


def test_a_new_session_has_nothing_to_find():
    assert from_json({}, problems=5) == SavedLesson()


def test_what_was_done_through_another_app_is_found_and_kept(service, exam, session):
    """Coming back to the first of two apps: its lesson had never been away."""
    lesson = looked_at(Lesson(service, exam, session))
    lesson.train(8)
    finished(lesson)
    lesson.draw_samples()
    for _ in follow(lesson, lambda: lesson.busy):
        pass
    before, results = lesson.learner, lesson.results()
    state = session.state
    other = Lesson(service, exam, Session("an-id", state, lambda *_: None, untrained))
    other.train(8)
    finished(other)
    other.choose_format(True)
    other.draw()
    session.catch_up(other.session.state)
    lesson.catch_up()
    finished(lesson)
    assert lesson.learner is other.learner and lesson.chat_template
    assert lesson.comparison.problem == finished(other).comparison.problem
    assert all(one.finished for one in lesson.comparison.completions)
    assert not lesson.samples.shown.samples  # which were tries at another problem
    lesson.choose_format(False)
    assert [score.episodes for score in lesson.results()][-1] == 16
    assert [score["episodes"] for score in session.notes["marks"]] == [
        score["episodes"] for score in other.session.notes["marks"]
    ]
    lesson.undo()
    assert lesson.learner is before and lesson.results() == results
    finished(lesson)
