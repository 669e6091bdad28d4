"""The results that travel with a soft prompt: to the Hub, known ones or measured as it learnt, and
as a table."""

import csv
import io

import pytest

from learner.learning.learner import LearnerConfig
from learner.learning.worked_examples import worked_examples
from learner.model.turns import finished
from learner.view.share.tab import held_out_results, results_table
from learner.visitors.checked_input import LessonError
from learner.visitors.lesson import Lesson
from learner.visitors.session import Session, SessionState
from tests.coroutines import follow
from tests.learner.visitors.scripted import untrained


def test_they_are_measured_behind_the_worked_examples_that_it_learnt_behind(service, exam):
    learner = untrained(LearnerConfig(shots=2))
    session = Session("an-id", SessionState(learner, seed=7), lambda *_: None, untrained)
    lesson = Lesson(service, exam, session)
    for _ in follow(lesson, lambda: lesson.comparison.answering):
        pass
    assert (
        finished(held_out_results(lesson, learner)) is None
    )  # there is nothing to compare with yet
    exam.measure_shared(untrained()).join(10)
    service.asked.clear()
    measuring = held_out_results(lesson, learner)
    assert next(measuring).n < len(exam.problems)  # it says how far it is
    results = finished(measuring)
    assert len(results.after) == len(results.before) == len(exam.problems)
    assert {ask.examples for ask in service.asked} == {worked_examples(2)}


def test_the_table_has_a_line_an_exam(service, exam, session):
    lesson = Lesson(service, exam, session)
    with pytest.raises(LessonError, match="Nothing has been measured yet"):
        results_table(lesson)
    exam.measure_shared(untrained()).join(10)
    lesson.train(8)
    for _ in follow(lesson, lambda: lesson.busy):
        pass
    rows = list(csv.DictReader(io.StringIO(results_table(lesson))))
    asked = [(row["asked_of"], row["episodes"]) for row in rows]
    assert asked[:2] == [("model alone", "0"), ("soft prompt", "0")]
    assert asked[-1] == ("soft prompt", "8")
    last = lesson.results()[-1]
    assert (rows[-1]["n"], rows[-1]["correct"]) == (str(last.n), str(last.correct))
    assert rows[-1]["chat_template"] == "False"
