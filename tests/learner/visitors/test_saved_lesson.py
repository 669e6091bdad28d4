"""What a lesson leaves in its session's notes is what it finds there again."""

import json

from hypothesis import given
from hypothesis import strategies as st

from arena import Problem
from learner.learning.signals import SIGNALS
from learner.measuring import score_of
from learner.visitors.saved_lesson import SavedLesson, from_json, to_json

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
