"""The laboratory: experiments in the background, that stop, go on, and survive what may come."""

import threading

import pytest

from learner.experiments.desk import DeskError
from learner.experiments.driving import drive
from learner.experiments.folder import seed_folders
from learner.experiments.results_file import RESULTS
from learner.experiments.shelf import FAILED, FINISHED, GOING, STOPPED, ShelfError
from learner.service.protocol import ServiceBusy
from learner.visitors.room import Limits
from learner.visitors.session import SessionError
from tests.learner.experiments.pupils import Pupils
from tests.learner.experiments.school import PASSES, App, Class, plan, wait


@pytest.fixture
def app(tmp_path):
    app = App(tmp_path / "sessions")
    yield app
    app.stop()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The results as they are if nobody interrupts anything."""
    folders = seed_folders(tmp_path_factory.mktemp("whole"), (0, 1))
    return outcomes(drive(Pupils().engine, plan().experiments, folders, curves=False))


def outcomes(results):
    return [
        ([(score.episodes, score.outcomes) for score in run.curve], run.losses, run.validation)
        for run in results
    ]


def wait_for(desk, happened):
    for _ in desk.follow(lambda: not happened()):
        pass


def test_an_experiment_runs_and_leaves_what_can_be_read_drawn_and_used(app, whole):
    school = Class()
    laboratory, sessions = app.start(school)
    desk = laboratory.desk(sessions.open().id)
    entry = desk.start(plan())
    assert desk.busy
    assert entry.state == GOING
    wait(desk)
    (ended,) = desk.entries()
    assert (ended.state, ended.message) == (FINISHED, "")
    results = desk.results(ended)
    assert outcomes(results) == whole
    assert [run.name for run in results] == ["run 1", "run 1"]
    names = {path.name for path in desk.shelf.path(ended).rglob("*")}
    assert {RESULTS, "best", "learning_curves.png"} <= names
    assert not [name for name in names if name.startswith("checkpoint_ep")]
    assert school.owners == [desk.session.id]
    assert school.passes == PASSES


def test_progress_counts_what_is_learnt_and_what_is_measured(app):
    school = Class()
    laboratory, sessions = app.start(school)
    desk = laboratory.desk(sessions.open().id)
    seen = []
    for number in range(1, PASSES + 1):
        school.before[number] = lambda: seen.append(desk.progress)
    desk.start(plan())
    wait(desk)
    done = [progress.done for progress in seen]
    assert done == sorted(done)
    assert {progress.total for progress in seen[1:]} == {24}
    assert seen[-1].rate > 0
    assert seen[-1].seconds_left >= 0
    assert desk.progress is None


@pytest.mark.parametrize("number", [1, 3, 6, PASSES])
def test_stopped_at_any_pass_and_continued_it_ends_the_same(app, whole, number):
    school = Class()
    laboratory, sessions = app.start(school)
    desk = laboratory.desk(sessions.open().id)
    school.before[number] = desk.stop
    desk.start(plan())
    wait(desk)
    (entry,) = desk.entries()
    assert entry.state == STOPPED
    desk.resume()  # what was stopped waits for its visitor
    assert not desk.busy
    desk.go_on(entry.place)
    wait(desk)
    (entry,) = desk.entries()
    assert entry.state == FINISHED
    assert outcomes(desk.results(entry)) == whole


@pytest.mark.parametrize("number", [1, 4, 5, 9])
def test_the_app_is_shut_down_at_any_pass_and_another_one_goes_on(app, whole, number):
    school = Class()
    laboratory, sessions = app.start(school)
    desk = laboratory.desk(sessions.open().id)
    school.before[number] = desk.halt
    desk.start(plan())
    wait(desk)
    visitor = desk.session.id
    app.stop()
    laboratory, _ = app.start(Class())
    again = laboratory.desk(visitor)
    (entry,) = again.entries()
    assert entry.state == GOING
    again.resume()
    wait(again)
    (entry,) = again.entries()
    assert entry.state == FINISHED
    assert outcomes(again.results(entry)) == whole


def test_closing_stops_what_runs_and_what_waits_and_leaves_both_to_be_gone_on_with(app):
    school = Class()
    laboratory, sessions = app.start(school, at_once=1)
    ann, bob = (laboratory.desk(sessions.open().id) for _ in range(2))
    school.gate.clear()
    ann.start(plan())
    bob.start(plan())
    wait_for(ann, lambda: school.owners)
    assert (ann.ahead, bob.ahead) == (0, 1)
    assert bob.progress.phase == "waiting"
    threading.Timer(0, school.gate.set).start()
    laboratory.close()
    assert [desk.entries()[0].state for desk in (ann, bob)] == [GOING, GOING]
    with pytest.raises(DeskError, match="shutting down"):
        laboratory.desk(sessions.open().id).start(plan())


def test_who_waits_can_stop_and_continue(app):
    school = Class()
    laboratory, sessions = app.start(school, at_once=1)
    ann, bob = (laboratory.desk(sessions.open().id) for _ in range(2))
    school.gate.clear()
    ann.start(plan())
    bob.start(plan())
    bob.stop()
    assert not bob.busy
    assert bob.entries()[0].state == STOPPED
    bob.go_on("run-1")
    school.gate.set()
    wait(bob)
    assert bob.entries()[0].state == FINISHED


def test_one_visitor_runs_one_at_a_time(app):
    school = Class()
    laboratory, sessions = app.start(school)
    desk = laboratory.desk(sessions.open().id)
    school.gate.clear()
    entry = desk.start(plan())
    for again in (lambda: desk.start(plan("run 2")), lambda: desk.go_on(entry.place)):
        with pytest.raises(DeskError, match="“run 1” is running"):
            again()
    with pytest.raises(DeskError, match="stop it first"):
        desk.delete(entry.place)
    assert [entry.plan.name for entry in desk.entries()] == ["run 1"]
    school.gate.set()
    wait(desk)
    with pytest.raises(DeskError, match="come to its end"):
        desk.go_on(entry.place)
    with pytest.raises(DeskError, match="Nothing is running"):
        desk.stop()
    desk.delete(entry.place)
    assert desk.entries() == ()
    with pytest.raises(ShelfError, match="not there any more"):
        desk.go_on(entry.place)


def test_two_visitors_never_see_each_others_runs(app):
    laboratory, sessions = app.start(Class())
    ann, bob = (laboratory.desk(sessions.open().id) for _ in range(2))
    mine = ann.start(plan("mine"))
    wait(ann)
    assert bob.entries() == ()
    with pytest.raises(ShelfError):
        bob.delete(mine.place)
    with pytest.raises(SessionError):
        laboratory.desk("x" * 43)
    assert [entry.plan.name for entry in ann.entries()] == ["mine"]


def test_what_goes_wrong_is_told_with_the_run_and_can_be_gone_on_from(app, whole):
    school = Class()
    laboratory, sessions = app.start(school)
    desk = laboratory.desk(sessions.open().id)

    def refuse():
        raise ServiceBusy("256 requests are waiting already; try again in a moment.")

    school.before[6] = refuse
    desk.start(plan())
    wait(desk)
    (entry,) = desk.entries()
    assert (entry.state, entry.message[:12]) == (FAILED, "256 requests")
    desk.go_on(entry.place)
    wait(desk)
    (entry,) = desk.entries()
    assert (entry.state, entry.message) == (FINISHED, "")
    assert outcomes(desk.results(entry)) == whole


def test_a_fault_of_the_program_is_logged_and_not_hidden(app, caplog):
    school = Class()
    laboratory, sessions = app.start(school)
    desk = laboratory.desk(sessions.open().id)
    school.before[3] = lambda: {}["a fault"]
    desk.start(plan())
    wait(desk)
    assert desk.entries()[0].state == FAILED
    assert "fault in this program" in desk.entries()[0].message
    laboratory.close()
    assert "KeyError: 'a fault'" in caplog.text


def test_a_disk_that_cannot_be_written_does_not_tell_where_it_is(app):
    school = Class()
    laboratory, sessions = app.start(school)
    desk = laboratory.desk(sessions.open().id)
    school.before[1] = lambda: (desk.shelf.folder / "run-1" / "seed-1").write_text("in the way")
    desk.start(plan())
    wait(desk)
    (entry,) = desk.entries()
    assert entry.state == FAILED
    assert "could not be written" in entry.message
    assert str(app.folder) not in entry.message


def test_a_session_with_an_experiment_is_not_removed_to_make_room(app):
    school = Class()
    laboratory, sessions = app.start(school)
    sessions._limits = Limits(sessions=1)
    desk = laboratory.desk(sessions.open().id)
    school.gate.clear()
    desk.start(plan())
    for _ in range(3):
        with pytest.raises(SessionError, match="no room for more"):
            sessions.keep(sessions.open())
    school.gate.set()
    wait(desk)
    assert desk.entries()[0].state == FINISHED
