"""One visitor's lesson: what each action changes, what it keeps, what it refuses."""

import json
import threading
from contextvars import ContextVar, copy_context
from dataclasses import replace

import pytest

from arena import Problem, split_of
from learner.learning.learner import LearnerConfig
from learner.learning.worked_examples import worked_examples
from learner.service.protocol import ServiceBusy
from learner.visitors import comparison
from learner.visitors.checked_input import LessonError
from learner.visitors.exam import Exam
from learner.visitors.lesson import Lesson
from learner.visitors.own_list import OwnList, read_list
from learner.visitors.session import Session, SessionBusy, SessionError, SessionState
from tests.coroutines import follow
from tests.learner.visitors.scripted import finished, idle, looked_at, untrained

VISITOR: ContextVar[str] = ContextVar("VISITOR", default="nobody")
YES = Problem("own", 0, "Is water wet?", "Yes", "yes/no")


def words(lesson: Lesson) -> list[str]:
    return [answer.text.strip() for answer in lesson.comparison.completions]


def test_a_newcomer_finds_an_easy_held_out_problem_with_four_answers(lesson, exam):
    problem = lesson.comparison.problem
    assert split_of(problem) == "held-out"
    assert problem.difficulty == 1
    assert problem.key not in exam.keys
    assert all(answer.finished and answer.grade for answer in lesson.comparison.completions)


def test_who_only_looks_in_leaves_nothing_to_save(service, exam):
    changes = []
    session = Session(
        "an-id", SessionState(untrained(), seed=7), lambda *args: changes.append(args), untrained
    )
    looked_at(Lesson(service, exam, session))
    assert not changes


def test_a_crowd_that_comes_in_leaves_room_for_clicks(service, exam, monkeypatch):
    monkeypatch.setattr(comparison, "OPENINGS", threading.Semaphore(1))
    service.answer_gate.clear()

    def newcomer(seed: int) -> Lesson:
        state = SessionState(untrained(), seed=seed)
        lesson = Lesson(service, exam, Session(f"id {seed}", state, lambda *_: None, untrained))
        lesson.answer_first()
        return lesson

    crowd = [newcomer(0)]
    while not service.asked:
        pass
    crowd += [newcomer(seed) for seed in range(1, 4)]
    clicks = newcomer(4)
    opened = clicks.comparison.problem
    clicks.draw()
    drawn = clicks.comparison.problem.question
    while not any(ask.question == drawn for ask in service.asked):
        pass
    assert len(service.asked) == 8  # those of the click, and of the first who came
    service.answer_gate.set()
    for lesson in (*crowd, clicks):
        assert all(one.finished for one in finished(lesson).comparison.completions)
    assert opened.question not in [ask.question for ask in service.asked]  # nobody saw it


def test_a_newcomer_who_does_not_look_is_not_answered(service, exam, session):
    lesson = Lesson(service, exam, session)
    assert lesson.comparison.problem is not None and not lesson.comparison.answering
    assert not service.asked
    for _ in range(2):
        assert all(one.finished for one in looked_at(lesson).comparison.completions)
    assert len(service.asked) == 4


def test_what_could_not_be_answered_says_so_and_is_asked_again(service, exam, session, monkeypatch):
    def busy(asks):
        raise ServiceBusy("9 are waiting.")

    lesson = Lesson(service, exam, session)
    with monkeypatch.context() as patched:
        patched.setattr(service, "ask", busy)
        lesson.answer_first()
        with pytest.raises(ServiceBusy):
            finished(lesson)
        assert all(one.finished and one.failed for one in looked_at(lesson).comparison.completions)
    lesson.comparison.replace_completions(lesson.learner)
    assert not service.asked  # nor does whoever only looks ask again
    lesson.arrive()
    assert not finished(lesson).comparison.failed
    assert len(service.asked) == 4


def test_a_scored_problem_can_be_looked_at_and_never_learnt_from(lesson, exam):
    lesson.show_scored(3)
    idle(lesson)
    assert lesson.comparison.problem is exam.problems[3]
    assert not lesson.can_train_one
    with pytest.raises(LessonError, match="held-out set"):
        lesson.train_one()
    lesson.draw_samples()
    idle(lesson)
    lesson.rate_all([1] + [0] * (len(lesson.samples.shown.samples) - 1))
    with pytest.raises(LessonError, match="held-out set"):
        lesson.learn_from_thumbs()
    assert not lesson.learner.episodes
    for number in (-1, len(exam.problems)):
        with pytest.raises(LessonError, match="problems, from 0 on"):
            lesson.show_scored(number)
    assert lesson.comparison.problem is exam.problems[3]


def test_problems_shown_are_never_scored_and_follow_the_choice(lesson, exam):
    seen = set()
    for _ in range(30):
        before = lesson.comparison.problem
        lesson.draw(["causal"], 2)
        problem = lesson.comparison.problem
        assert problem.key != before.key
        assert (problem.family, problem.difficulty) == ("causal", 2)
        assert split_of(problem) == "held-out"
        assert problem.key not in exam.keys
        seen.add(problem.key)
    assert len(seen) > 25
    finished(lesson)


def test_only_the_last_of_several_questions_is_answered(lesson, service):
    service.answer_gate.clear()
    lesson.draw()
    lesson.show(YES)
    service.answer_gate.set()
    finished(lesson)
    assert lesson.comparison.problem is YES
    assert words(lesson) == ["____"] * 4


def test_training_teaches_train_problems_and_changes_the_soft_prompt_answers(lesson, service):
    lesson.show(YES)
    finished(lesson)
    lesson.train(80)
    finished(lesson)
    assert lesson.learner.episodes == 80
    assert {split_of(problem) for problem in service.taught} == {"train"}
    assert words(lesson) == ["____", "____", "Yes", "Yes"]
    assert [
        answer.before and answer.before[0].strip() for answer in lesson.comparison.completions
    ] == [
        None,
        None,
        "____",
        "____",
    ]
    assert lesson.latest_event.kind == "run"
    assert [marks.episodes for marks in lesson.results()] == [20, 40, 60, 80]


def test_a_second_run_goes_on_where_the_first_ended(lesson, service):
    for _ in range(2):
        lesson.train(8)
        finished(lesson)
    keys = [problem.key for problem in service.taught]
    assert lesson.learner.episodes == len(keys) == len(set(keys)) == 16


def test_a_loaded_learner_goes_on_with_the_problems_it_would_have_met(service, exam, lesson):
    lesson.train(8)
    taken_away = finished(lesson).learner
    lesson.train(8)
    finished(lesson)
    stayed = [problem.key for problem in service.taught[8:]]
    service.taught.clear()
    state = SessionState(untrained(), seed=8)
    elsewhere = Lesson(service, exam, Session("other-id", state, lambda *_: None, untrained))
    finished(elsewhere).adopt(taken_away)
    elsewhere.train(8)
    finished(elsewhere)
    assert [problem.key for problem in service.taught] == stayed


def test_visitors_who_start_meet_problems_of_their_own(service, exam, lesson):
    lesson.train(8)
    finished(lesson)
    state = SessionState(untrained(), seed=8)
    other = Lesson(service, exam, Session("other-id", state, lambda *_: None, untrained))
    finished(other).train(8)
    finished(other)
    keys = [problem.key for problem in service.taught]
    assert set(keys[:8]).isdisjoint(keys[8:])


def test_training_on_the_problem_shown_marks_it_as_learnt_from(lesson, service):
    lesson.show(YES)
    finished(lesson)
    assert not lesson.learnt_from_shown
    lesson.train_one()
    finished(lesson)
    assert service.taught == [YES]
    assert lesson.learnt_from_shown
    assert lesson.latest_event.kind == "one"
    assert lesson.latest_event.report.loss == 1.5
    assert words(lesson) == ["____", "____", "Yes", "Yes"]
    assert lesson.comparison.completions[3].before[0].strip() == "____"


@pytest.mark.parametrize("problem", ["unanswered", "scored"])
def test_what_must_not_be_learnt_from_is_refused(lesson, exam, problem):
    lesson.show(
        Problem("own", 0, "Why?", "", "text") if problem == "unanswered" else exam.problems[3]
    )
    finished(lesson)
    with pytest.raises(LessonError):
        lesson.train_one()
    assert lesson.learner.episodes == 0
    assert lesson.run is None


def test_stop_keeps_what_was_learnt(lesson, service):
    service.gate.clear()
    lesson.train(80)
    assert service.at_gate.wait(60)  # stopped earlier it would take no step at all
    lesson.stop()
    service.gate.set()
    finished(lesson)
    assert lesson.learner.episodes == 4
    assert lesson.latest_event.kind == "stopped"
    assert lesson.session.undo_depth == 1


def test_training_does_not_wait_for_what_it_says_on_the_way(lesson, service):
    service.answer_gate.clear()
    lesson.train(80)
    for _ in follow(lesson, lambda: lesson.run.done < 80):
        pass
    assert words(lesson) == ["____"] * 4
    service.answer_gate.set()
    finished(lesson)
    assert words(lesson) == ["____", "____", "Yes", "Yes"]


def stopped_run(lesson, service):
    """A run that was stopped after its first step; what it has kept is not measured yet."""
    service.gate.clear()
    lesson.train(80)
    assert service.at_gate.wait(60)  # stopped earlier it would take no step at all
    lesson.stop()
    service.answer_gate.clear()
    service.gate.set()
    for _ in follow(lesson, lambda: lesson.run is not None):
        pass
    assert lesson.measuring and lesson.busy


def test_what_a_stopped_run_has_kept_is_measured(lesson, service, exam):
    exam.pace = 5.0  # as many problems as a milestone gets
    stopped_run(lesson, service)
    assert lesson.latest_event.result is None
    service.answer_gate.set()
    for _ in follow(lesson, lambda: lesson.busy):
        pass
    score = lesson.results()[-1]
    assert (score.episodes, score.n, score.chat_template) == (4, 25, False)
    assert lesson.latest_event.result is score
    assert not lesson.measuring


def test_it_is_measured_in_the_name_of_whoever_started_the_run(lesson, service, exam, monkeypatch):
    asked, grow = [], exam.grow
    monkeypatch.setattr(exam, "grow", lambda *what: asked.append(VISITOR.get()) or grow(*what))

    def clicked():
        VISITOR.set("somebody")
        stopped_run(lesson, service)

    copy_context().run(clicked)
    service.answer_gate.set()
    for _ in follow(lesson, lambda: lesson.busy):
        pass
    assert asked == ["somebody"]


def test_stopped_in_its_last_exam_it_is_told_nothing_of_an_earlier_one(lesson, service, exam):
    exam.pace = 5.0  # as many problems as a milestone gets
    service.answer_gate.clear()
    lesson.train(80)
    for _ in follow(lesson, lambda: not lesson.run.examining):
        pass
    assert lesson.run.done == 80
    lesson.stop()
    for _ in follow(lesson, lambda: lesson.run is not None):
        pass
    assert lesson.latest_event.kind == "stopped" and lesson.latest_event.result is None
    service.answer_gate.set()
    for _ in follow(lesson, lambda: lesson.busy):
        pass
    assert (lesson.latest_event.result.episodes, lesson.latest_event.result.n) == (80, 25)


@pytest.mark.parametrize("then", ["train", "undo"])
def test_whatever_is_done_next_ends_that_measurement(lesson, service, then):
    stopped_run(lesson, service)
    if then == "train":
        service.gate.clear()
        lesson.train(8)
    else:
        lesson.undo()
    assert not lesson.measuring
    service.answer_gate.set()
    service.gate.set()
    for _ in follow(lesson, lambda: lesson.busy):
        pass
    assert 4 not in {score.episodes for score in lesson.results()}
    assert lesson.latest_event.kind == ("run" if then == "train" else "undone")


def test_nothing_is_measured_where_nothing_was_learnt_or_each_use_is_counted(lesson, service, exam):
    service.gate.clear()
    lesson.train(80)
    assert service.at_gate.wait(60)  # stopped earlier it would take no step at all
    lesson.stop()
    service.error = ValueError("The model is gone.")
    service.gate.set()
    with pytest.raises(ValueError, match="gone"):
        finished(lesson)
    assert not lesson.measuring
    service.error = None
    exam.leave_to_visitors(untrained())
    asked = len(service.asked)
    service.at_gate.clear()
    service.gate.clear()
    lesson.train(80)
    assert service.at_gate.wait(60)  # stopped earlier it would take no step at all
    lesson.stop()
    service.gate.set()
    finished(lesson)
    assert not lesson.measuring
    assert {ask.question for ask in service.asked[asked:]} <= {lesson.comparison.problem.question}


def test_a_second_run_at_the_same_time_is_refused(lesson, service):
    service.gate.clear()
    lesson.train(8)
    with pytest.raises(SessionBusy):
        lesson.train(8)
    with pytest.raises(SessionBusy):
        lesson.train_one()
    with pytest.raises(LessonError):
        lesson.choose_format(True)
    service.gate.set()
    finished(lesson)
    assert lesson.learner.episodes == 8


def test_undo_goes_back_to_before_the_run_with_its_results(lesson):
    lesson.train(8)
    finished(lesson)
    first, marks = lesson.learner, lesson.results()
    lesson.train(8)
    finished(lesson)
    assert lesson.results() != marks
    lesson.undo()
    finished(lesson)
    assert lesson.learner is first
    assert lesson.results() == marks
    lesson.undo()
    finished(lesson)
    assert lesson.learner.episodes == 0
    assert words(lesson) == ["____"] * 4
    with pytest.raises(SessionError):
        lesson.undo()


@pytest.mark.parametrize("action", [Lesson.undo, Lesson.reset])
def test_undo_and_reset_in_the_middle_of_a_run_end_it_first(lesson, service, action):
    lesson.train(2000)
    action(lesson)
    finished(lesson)
    assert lesson.run is None
    assert lesson.learner.episodes == 0
    assert words(lesson) == ["____"] * 4


def test_reset_can_be_undone(lesson):
    lesson.train(8)
    finished(lesson)
    taught, marks = lesson.learner, lesson.results()
    lesson.reset()
    finished(lesson)
    assert lesson.learner.episodes == 0
    assert lesson.results() == []
    lesson.undo()
    finished(lesson)
    assert lesson.learner is taught
    assert lesson.results() == marks


def test_redo_brings_back_what_undo_took_with_its_results(lesson):
    lesson.train(8)
    finished(lesson)
    taught, marks = lesson.learner, lesson.results()
    lesson.undo()
    finished(lesson)
    lesson.redo()
    finished(lesson)
    assert lesson.learner is taught
    assert lesson.results() == marks
    assert words(lesson)[2:] == ["Yes", "Yes"]


def test_a_snapshot_is_gone_back_to_with_its_format_and_its_score(lesson):
    lesson.choose_format(True)
    lesson.train(8)
    finished(lesson)
    kept, score = lesson.learner, lesson.score
    lesson.keep_snapshot()
    assert (lesson.session.snapshots[0].name, lesson.latest_event.name) == ("8 episodes",) * 2
    lesson.keep_snapshot()
    assert lesson.session.snapshots[1].name == "8 episodes (2)"
    lesson.choose_format(False)
    lesson.train(4)
    finished(lesson)
    other = lesson.learner
    lesson.go_to_snapshot("8 episodes")
    finished(lesson)
    assert lesson.learner is kept
    assert lesson.chat_template
    assert lesson.score == score
    lesson.undo()
    assert finished(lesson).learner is other


def test_after_a_restart_snapshots_are_still_there_with_their_scores(lesson, service, exam):
    lesson.train(8)
    finished(lesson)
    score = lesson.score
    lesson.keep_snapshot("mine")
    lesson.reset()
    finished(lesson)
    state = lesson.session.state
    again = looked_at(Lesson(service, exam, Session("an-id", state, lambda *_: None, untrained)))
    again.go_to_snapshot("mine")
    assert finished(again).score == score


def test_measuring_scores_what_no_run_has_and_leaves_nothing_to_undo(lesson):
    lesson.show(YES)
    finished(lesson)
    lesson.train_one()
    finished(lesson)
    lesson.keep_snapshot("once")
    assert lesson.score is None
    before = lesson.learner
    lesson.measure()
    finished(lesson)
    assert lesson.latest_event.kind == "measured"
    assert lesson.score.n == 50
    assert lesson.session.snapshot("once").score(False) == lesson.score
    assert lesson.learner is before
    assert lesson.session.undo_depth == 1


def test_steps_and_vectors_are_chosen_kept_and_learnt_with(lesson, service, exam):
    lesson.choose_steps(0.5, 2)
    lesson.train(4)
    finished(lesson)
    config = lesson.learner.config
    assert (config.learning_rate, config.episodes_per_step, lesson.learner.steps) == (0.5, 2, 2)
    lesson.choose_vectors(8)
    assert lesson.learner.episodes == 4
    taught = lesson.learner
    lesson.choose_steps(0.25, 8)
    state = finished(lesson).session.state
    again = Lesson(service, exam, Session("an-id", state, lambda *_: None, untrained))
    assert (finished(again).learning_rate, again.episodes_per_step) == (0.25, 8)
    lesson.choose_vectors(3)
    assert finished(lesson).learner.config.soft_tokens == 3
    lesson.undo()
    assert finished(lesson).learner is taught


def test_a_run_that_a_restart_cut_is_told_and_gone_on_with(lesson, service, exam):
    service.gate.clear()
    lesson.train(80)
    running = lesson.session.state
    learnt = replace(running.learner, episodes=24)
    lesson.stop()
    service.gate.set()
    finished(lesson)
    session = Session("an-id", replace(running, learner=learnt), lambda *_: None, untrained)
    again = looked_at(Lesson(service, exam, session))
    event = again.latest_event
    assert (event.kind, event.episodes, event.left) == ("cut", 24, 56)
    again.go_on()
    finished(again)
    assert again.learner.episodes == 80
    with pytest.raises(LessonError, match="no run to go on with"):
        again.go_on()
    state = again.session.state
    later = Lesson(service, exam, Session("an-id", state, lambda *_: None, untrained))
    assert finished(later).latest_event is None


def test_who_stopped_a_run_is_not_told_that_it_was_cut(lesson, service, exam):
    service.gate.clear()
    lesson.train(80)
    lesson.stop()
    service.gate.set()
    state = finished(lesson).session.state
    again = Lesson(service, exam, Session("an-id", state, lambda *_: None, untrained))
    assert finished(again).latest_event is None


def test_the_format_chosen_is_learnt_and_scored_in(lesson, service):
    lesson.choose_format(True)
    service.asked.clear()
    lesson.train(4)
    finished(lesson)
    assert lesson.learner.config.chat_template
    assert lesson.results()[-1].chat_template
    lesson.choose_format(False)
    assert lesson.results() == []


def test_a_model_without_a_chat_template_is_asked_and_taught_without_it(service, session):
    lesson = looked_at(Lesson(service, Exam(service, 50, formats=(False,)), session))
    assert not any(ask.chat_template for ask in service.asked)
    assert [answer.absent for answer in lesson.comparison.completions] == [True, False, True, False]
    with pytest.raises(LessonError, match="no chat template"):
        lesson.choose_format(True)
    lesson.train(4)
    finished(lesson)
    assert [answer.finished for answer in lesson.comparison.completions] == [
        False,
        True,
        False,
        True,
    ]


def test_a_loaded_learner_is_adopted_in_its_format_and_can_be_undone(lesson):
    own = lesson.learner
    loaded = untrained(type(own.config)(chat_template=True))
    lesson.adopt(loaded)
    finished(lesson)
    assert lesson.learner is loaded
    assert lesson.chat_template
    lesson.undo()
    assert lesson.learner is own
    finished(lesson)


def test_undo_of_one_that_came_twice_goes_back_to_what_was_chosen_each_time(lesson):
    lesson.train(4)
    finished(lesson)
    lesson.keep_snapshot("good")
    lesson.choose_format(True)
    lesson.choose_steps(0.5, 3)
    lesson.train(4)
    finished(lesson)
    for _ in range(2):
        lesson.go_to_snapshot("good")
        lesson.train(4)
        finished(lesson)
    for _ in range(4):
        lesson.undo()
    assert (lesson.chat_template, lesson.learning_rate, lesson.episodes_per_step) == (True, 0.5, 3)
    finished(lesson)


@pytest.mark.parametrize("way", ["adopt", "snapshot", "start_over"])
def test_undo_of_another_learner_goes_on_learning_as_before(lesson, way):
    def settings():
        names = "chat_template", "signal", "learning_rate", "episodes_per_step"
        return tuple(getattr(lesson, name) for name in names)

    other = LearnerConfig(signal="reward", episodes_per_step=2)
    if way == "snapshot":
        lesson.adopt(untrained(other))
        lesson.keep_snapshot("other")
        lesson.train(4)
        finished(lesson)
    lesson.choose_format(True)
    lesson.choose_signal("mix")
    lesson.choose_steps(0.5, 3)
    chosen = settings()
    if way == "adopt":
        lesson.adopt(untrained(other))
    elif way == "snapshot":
        lesson.go_to_snapshot("other")
    else:
        lesson.start_over(3)
    came = settings()
    assert came != chosen
    lesson.undo()
    assert settings() == chosen
    lesson.redo()
    assert settings() == came
    lesson.train(4)
    finished(lesson)
    lesson.choose_format(True)
    later = settings()
    lesson.undo()
    assert settings() == later  # the run is taken back, and nothing that was chosen
    finished(lesson)


def test_who_learnt_behind_worked_examples_answers_and_is_scored_behind_them(lesson, service):
    """The model alone is asked the question alone, whatever the learner beside it needs."""
    loaded = untrained(LearnerConfig(shots=2))
    service.asked.clear()
    lesson.adopt(loaded)
    finished(lesson)
    lesson.show(YES)
    finished(lesson)
    lesson.train(8)
    finished(lesson)
    lesson.undo()
    finished(lesson)
    behind = {(ask.prompt is not None, len(ask.examples)) for ask in service.asked}
    assert behind == {(False, 0), (True, 2)}
    examples = {ask.examples for ask in service.asked if ask.prompt is not None}
    assert examples == {worked_examples(2)}
    assert {ask.question for ask in service.asked if ask.examples} > {YES.question}
    service.asked.clear()
    lesson.undo()
    finished(lesson)
    assert service.asked and not any(ask.examples for ask in service.asked)


def test_the_same_prompt_behind_other_worked_examples_is_asked_again(lesson, service):
    config = replace(lesson.learner.config, shots=1)
    service.asked.clear()
    lesson.adopt(replace(lesson.learner, config=config))
    finished(lesson)
    assert [len(ask.examples) for ask in service.asked] == [1, 1]
    service.asked.clear()
    lesson.adopt(replace(lesson.learner))
    finished(lesson)
    assert not service.asked


def test_what_goes_wrong_in_a_run_is_told_once_and_keeps_what_was_learnt(lesson, service):
    lesson.train(4)
    finished(lesson)
    service.error = ValueError("There is no memory left.")
    lesson.train(8)
    with pytest.raises(ValueError, match="no memory left"):
        finished(lesson)
    assert finished(lesson).learner.episodes == 4
    assert lesson.run is None


def test_a_restart_finds_problem_results_and_format_again(lesson, service, exam):
    lesson.choose_format(True)
    lesson.show(YES)
    finished(lesson)
    lesson.train_one()
    finished(lesson)
    lesson.train(8)
    finished(lesson)
    state = lesson.session.state
    json.loads(state.notes)
    again = looked_at(Lesson(service, exam, Session("an-id", state, lambda *_: None, untrained)))
    assert again.comparison.problem == YES
    assert again.results() == lesson.results()
    assert again.chat_template and again.learnt_from_shown
    assert words(again) == ["____", "____", "Yes", "Yes"]


def test_following_tells_of_every_change_and_ends(lesson):
    lesson.train(80)
    seen = [
        (lesson.learner.episodes, lesson.run is None)
        for _ in follow(lesson, lambda: lesson.run is not None)
    ]
    assert seen[-1] == (80, True)
    assert [episodes for episodes, _ in seen] == sorted(episodes for episodes, _ in seen)


OWN = read_list("Is water wet? | Yes\nIs fire wet? | no")


def test_a_list_of_ones_own_is_learnt_from_and_tested_beside_the_held_out_set(
    lesson, service, exam, session
):
    lesson.keep_list(OWN)
    lesson.train_list(3)
    finished(lesson)
    assert lesson.learner.episodes == 6
    assert sorted(problem.answer for problem in service.taught) == ["Yes"] * 3 + ["no"] * 3
    before, now = lesson.own_list.scores
    assert (before.outcomes, before.episodes) == ("--", 0)
    assert (now.outcomes, now.episodes) == ("10", 6)  # it says Yes to everything now
    assert lesson.own_list.said == ("Yes", "Yes")
    assert lesson.results()[-1].episodes == 6
    lesson.show(OWN[0])
    assert finished(lesson).learnt_from_shown
    again = looked_at(Lesson(service, exam, session))
    assert again.own_list.scores == (before, now)
    lesson.undo()
    assert lesson.own_list == OwnList(OWN)  # the one before would answer otherwise


def test_a_list_is_refused_where_it_is_not_fair_or_too_much(lesson, exam):
    with pytest.raises(LessonError, match="some questions"):
        lesson.train_list(1)
    lesson.keep_list(OWN)
    scored = exam.problems[0]
    with pytest.raises(LessonError, match="Question 2 of your list"):
        lesson.keep_list((OWN[0], scored))
    assert lesson.own_list.problems == OWN
    with pytest.raises(LessonError, match="That would be 4000 episodes"):
        lesson.train_list(2000)
    assert lesson.run is None


def test_one_question_can_be_learnt_from_many_times(lesson, service):
    lesson.show(YES)
    finished(lesson).train_one(5)
    finished(lesson)
    assert service.taught == [YES] * 5
    assert lesson.learner.steps == 5  # each time a step
    assert lesson.results()[-1].episodes == 5
    assert lesson.learnt_from_shown
