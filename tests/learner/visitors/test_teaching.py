"""Results belong to the learner that earned them."""

import json

from arena import Problem
from learner.learning.learner import LearnerConfig
from learner.measuring import score_of
from learner.visitors.exam import Exam
from learner.visitors.own_list import MAX_CHARACTERS, OwnList
from learner.visitors.saved_lesson import SavedLesson, to_json
from learner.visitors.session import MAX_NOTES_BYTES
from learner.visitors.teaching import KEPT, Scores
from tests.learner.visitors.scripted import untrained

FIRST, SECOND, CHAT = score_of("1", False, 4), score_of("0", False, 8), score_of("1", True, 8)


def test_results_of_a_format_come_by_episodes(exam: Exam) -> None:
    scores = Scores(exam, (SECOND, CHAT))
    scores.add(FIRST)
    learner = untrained()
    assert scores.of(learner, False) == [FIRST, SECOND]
    assert scores.of(learner, True) == [CHAT]


def test_going_back_brings_the_results_of_then(exam: Exam) -> None:
    scores = Scores(exam, (FIRST,))
    before, after = untrained(), untrained()
    scores.keep_for(before)
    scores.add(SECOND)
    scores.keep_for(after)
    scores.go_to(before)
    assert scores.results == (FIRST,)
    scores.go_to(untrained())
    assert scores.results == ()
    scores.go_to(after)
    assert scores.results == (FIRST, SECOND)


def test_the_untrained_prompt_comes_first_for_those_who_started_from_it(
    exam: Exam, monkeypatch
) -> None:
    start = score_of("0", False)
    monkeypatch.setattr(exam, "untrained", lambda chat_template: start)
    scores = Scores(exam, (FIRST,))
    taught = untrained(LearnerConfig(signal="reward", learning_rate=0.1))
    assert scores.of(taught, False) == [start, FIRST]
    for other in (LearnerConfig(seed=3), LearnerConfig(shots=2)):
        assert scores.of(untrained(other), False) == [FIRST]


def test_results_do_not_grow_without_bound(exam: Exam) -> None:
    scores = Scores(exam, ())
    for episodes in range(KEPT + 5):
        scores.add(score_of("1", False, episodes))
    assert len(scores.results) == KEPT and scores.results[-1].episodes == KEPT + 4


def test_long_results_are_fewer_and_leave_room_for_what_else_is_kept(exam: Exam) -> None:
    scores = Scores(exam, ())
    for episodes in range(40):
        scores.add(score_of("1" * 10_000, False, episodes))
    assert scores.results[-1].episodes == 39
    own = OwnList(
        (Problem("own", 0, "\N{CYRILLIC SMALL LETTER ZHE}" * MAX_CHARACTERS, "x", "text"),)
    )
    saved = SavedLesson(results=scores.results, own_list=own)
    assert 100_000 < len(json.dumps(to_json(saved))) < MAX_NOTES_BYTES
