"""The results that travel with a soft prompt to the Hub: known ones, or measured as it learnt."""

from learner.learning.learner import LearnerConfig
from learner.learning.worked_examples import worked_examples
from learner.view.share_tab import held_out_results
from learner.visitors.lesson import Lesson
from learner.visitors.session import Session, SessionState
from tests.following import follow
from tests.learner.visitors.scripted import untrained


def test_they_are_measured_behind_the_worked_examples_that_it_learnt_behind(service, exam):
    learner = untrained(LearnerConfig(shots=2))
    session = Session("an-id", SessionState(learner, seed=7), lambda *_: None, untrained)
    lesson = Lesson(service, exam, session)
    for _ in follow(lesson, lambda: lesson.comparison.answering):
        pass
    assert held_out_results(lesson, learner) is None  # there is nothing to compare with yet
    exam.measure_shared(untrained()).join(10)
    service.asked.clear()
    results = held_out_results(lesson, learner)
    assert len(results.after) == len(results.before) == len(exam.problems)
    assert {ask.examples for ask in service.asked} == {worked_examples(2)}
