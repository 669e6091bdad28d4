"""The held-out set and the scores on it."""

import threading
from dataclasses import replace

import pytest

from arena import held_out
from learner.learning.learner import LearnerConfig
from learner.learning.worked_examples import worked_examples
from learner.measuring import Stopped, score_of
from learner.visitors.exam import Exam
from tests.learner.visitors.scripted import ScriptedService, untrained

UNTRAINED = untrained()


def taught(shots=0):
    """A learner that says Yes to everything, after 8 episodes."""
    learner = untrained(LearnerConfig(shots=shots))
    return replace(learner, prompt=learner.prompt + 1, episodes=8)


def measured(exam: Exam) -> Exam:
    exam.measure_shared(UNTRAINED).join(10)
    return exam


def test_the_set_is_the_same_for_everybody_and_half_a_set_is_its_beginning(service):
    assert list(Exam(service, 20).problems) == held_out(20) == held_out(40)[:20]


def test_scores_tell_right_wrong_and_no_answer_apart(service, exam):
    silent = exam.take(None, False)
    assert set(silent.outcomes) == {"-"}
    assert (silent.correct, silent.no_answer, silent.n) == (0, 50, 50)
    score = exam.take(taught(), False)
    rights = [problem.answer == "Yes" for problem in exam.problems]
    assert list(score.right) == rights
    assert score.correct == sum(rights) > 0
    assert score.episodes == 8


def test_a_score_can_be_read_as_it_grows(exam):
    *early, whole = exam.grow(taught(), False)
    assert {score.n for score in early} == {0, 50}
    assert whole == exam.take(taught(), False)


@pytest.mark.parametrize("shots", [0, 2])
def test_a_question_stands_behind_as_many_worked_examples_as_were_learnt_behind(
    exam, service, shots
):
    exam.take(taught(shots), False)
    assert {ask.examples for ask in service.asked} == {worked_examples(shots)}


def test_families_add_up_to_the_whole():
    exam = Exam(ScriptedService(), 50)
    score = exam.take(taught(), True)
    families = score.by_family(exam.problems)
    assert sum(tally.n for tally in families.values()) == 50
    assert sum(tally.correct for tally in families.values()) == score.correct
    assert list(families) == sorted({problem.family for problem in exam.problems})


def test_a_gain_is_paired_with_the_model_alone_in_the_same_format(exam):
    score = exam.take(taught(), False)
    assert exam.gain(score) is None
    gain = measured(exam).gain(score)
    assert (gain.gained, gain.lost) == (score.correct, 0)
    other = score_of("1" * 50, chat_template=True)
    assert exam.gain(other).gained == 50


def test_a_score_that_still_grows_is_paired_on_the_problems_it_has(exam):
    score = measured(exam).take(taught(), False)
    gain = exam.gain(score.first(20))
    assert (gain.gained, gain.lost) == (score.first(20).correct, 0)
    assert sum(t.n for t in score.first(20).by_family(exam.problems).values()) == 20


@pytest.mark.parametrize("formats", [(False, True), (False,)])
def test_what_all_share_is_measured_once_in_the_formats_that_the_model_knows(service, formats):
    exam = Exam(service, 10, formats)
    assert not exam.ready and exam.version == 0
    measured(exam)
    assert exam.ready and exam.version >= 2 * len(formats)
    assert set(exam.baselines) == set(formats)
    assert len(service.asked) == 10 * 2 * len(formats)
    assert (exam.alone(True) is None) == (True not in formats)


def test_what_all_share_makes_room_for_a_visitor_and_goes_on_with_the_rest(service, exam):
    """A visitor's exam begins while the model alone is asked; both come out as if alone."""
    whole = exam.take(None, False)
    visitor, answers, sizes = taught(), service.ask, []
    gate, left = threading.Event(), threading.Event()

    def ask(asks, max_new_tokens=48):
        if asks[0].prompt is not visitor.prompt:
            sizes.append(len(asks))
            assert gate.wait(30)
        *_, done = answers(asks)
        begun = [replace(one, text="", finished=False, tokens=0) for one in done[20:]]
        try:
            yield (*done[:20], *begun)
            yield done
        finally:
            if asks[0].prompt is not visitor.prompt:
                left.set()

    service.ask = ask
    measuring = exam.measure_shared(UNTRAINED)
    own = exam.grow(visitor, False)
    assert next(own).n == 20
    gate.set()
    assert left.wait(30)
    assert [score.n for score in own][-1] == 50
    measuring.join(30)
    assert exam.ready and exam.error is None
    assert sizes == [50, 30, 50, 50, 50]
    assert exam.alone(False) == whole


def test_what_all_share_does_not_wait_for_ever(service, exam, monkeypatch):
    monkeypatch.setattr("learner.visitors.exam.PATIENCE", 0.01)
    own = exam.grow(taught(), False)
    next(own)
    assert measured(exam).ready
    own.close()


def test_an_exam_can_be_stopped(exam):
    with pytest.raises(Stopped):
        exam.take(None, False, stopped=lambda: True)


def test_a_measurement_that_fails_says_so_and_ends(exam, service, monkeypatch):
    def fail(asks, max_new_tokens=48):
        raise ValueError("The model is too small.")

    monkeypatch.setattr(service, "ask", fail)
    measured(exam)
    assert exam.ready
    assert "too small" in exam.error


def app(tmp_path, size=20):
    """An app's service and exam, with what was kept in its folder."""
    service = ScriptedService()
    exam = Exam(service, size)
    exam.keep_in(tmp_path / "sessions", untrained())
    return service, exam


def test_a_restart_asks_nothing_again(tmp_path):
    _, first = app(tmp_path)
    first.measure_shared(untrained()).join(10)
    service, again = app(tmp_path)
    assert again.ready and again.baselines == first.baselines
    again.measure_shared(untrained()).join(10)
    assert service.asked == []


def test_another_held_out_set_is_measured_anew(tmp_path):
    app(tmp_path)[1].measure_shared(untrained()).join(10)
    assert app(tmp_path, size=10)[1].baselines == {}


@pytest.mark.parametrize("text", ["", "{", "[]", "[1]", '[{"prompted": true}]', "null"])
def test_a_damaged_file_is_measured_anew(tmp_path, text):
    app(tmp_path)[1].measure_shared(untrained()).join(10)
    (file,) = (tmp_path / "sessions").glob("baselines-*.json")
    file.write_text(text)
    service, exam = app(tmp_path)
    assert not exam.ready
    exam.measure_shared(untrained()).join(10)
    assert exam.ready and service.asked
    assert app(tmp_path)[1].ready


def test_a_disk_that_cannot_be_written_keeps_nobody_from_measuring(tmp_path):
    (tmp_path / "sessions").write_text("in the way of the folder")
    _, exam = app(tmp_path)
    exam.measure_shared(untrained()).join(10)
    assert exam.ready and exam.error is None
