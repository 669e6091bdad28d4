"""The background: experiments in the background, that stop, go on, and survive what may come."""

import errno
import threading
from contextvars import copy_context

import pytest

from learner.experiments import store
from learner.experiments.background import WAITING_OF_ONE, Line
from learner.experiments.driving import drive
from learner.experiments.folder import seed_folders
from learner.experiments.results_file import RESULTS
from learner.experiments.store import FAILED, FINISHED, GOING, STOPPED, ExperimentError
from learner.service.protocol import GROUP, ServiceBusy
from learner.visitors.limits import Limits
from learner.visitors.session import SessionError
from tests.coroutines import follow
from tests.learner.experiments.gated_engine import PASSES, SECONDS, App, GatedEngine, plan, wait
from tests.learner.experiments.scripted_engine import ScriptedEngine


@pytest.fixture
def app(tmp_path):
    app = App(tmp_path / "sessions")
    yield app
    app.stop()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The results as they are if nobody interrupts anything."""
    folders = seed_folders(tmp_path_factory.mktemp("whole"), (0, 1))
    return outcomes(drive(ScriptedEngine().engine, plan().experiments, folders, curves=False))


def outcomes(results):
    return [
        ([(score.episodes, score.outcomes) for score in run.curve], run.losses, run.validation)
        for run in results
    ]


def wait_for(own, happened):
    for _ in follow(own, lambda: not happened()):
        pass


def test_an_experiment_runs_and_leaves_what_can_be_read_drawn_and_used(app, whole):
    gated = GatedEngine()
    background, sessions = app.start(gated)
    own = background.of(sessions.open().id)
    entry = own.start(plan())
    assert own.busy
    assert entry.state == GOING
    wait(own)
    (ended,) = own.entries()
    assert (ended.state, ended.message) == (FINISHED, "")
    results = own.results(ended)
    assert outcomes(results) == whole
    assert [run.name for run in results] == ["run 1", "run 1"]
    names = {path.name for path in own.store.path(ended).rglob("*")}
    assert {RESULTS, "best", "learning_curves.png"} <= names
    assert not [name for name in names if name.startswith("checkpoint_ep")]
    assert gated.owners == [own.session.id]
    assert gated.passes == PASSES


def test_progress_counts_what_is_learnt_and_what_is_measured(app):
    gated = GatedEngine()
    background, sessions = app.start(gated)
    own = background.of(sessions.open().id)
    seen = []
    for number in range(1, PASSES + 1):
        gated.before[number] = lambda: seen.append(own.progress)
    own.start(plan())
    wait(own)
    done = [progress.done for progress in seen]
    assert done == sorted(done)
    assert {progress.total for progress in seen[1:]} == {24}
    assert seen[-1].rate > 0
    assert seen[-1].seconds_left >= 0
    assert own.progress is None


@pytest.mark.parametrize("number", [1, 3, 6, PASSES])
def test_stopped_at_any_pass_and_continued_it_ends_the_same(app, whole, number):
    gated = GatedEngine()
    background, sessions = app.start(gated)
    own = background.of(sessions.open().id)
    gated.before[number] = own.stop
    own.start(plan())
    wait(own)
    (entry,) = own.entries()
    assert entry.state == STOPPED
    own.resume()  # what was stopped waits for its visitor
    assert not own.busy
    own.go_on(entry.place)
    wait(own)
    (entry,) = own.entries()
    assert entry.state == FINISHED
    assert outcomes(own.results(entry)) == whole


@pytest.mark.parametrize("number", [1, 4, 5, 9])
def test_the_app_is_shut_down_at_any_pass_and_another_one_goes_on(app, whole, number):
    gated = GatedEngine()
    background, sessions = app.start(gated)
    own = background.of(sessions.open().id)
    gated.before[number] = own.halt
    own.start(plan())
    wait(own)
    visitor = own.session.id
    app.stop()
    background, _ = app.start(GatedEngine())
    again = background.of(visitor)
    (entry,) = again.entries()
    assert entry.state == GOING
    again.resume()
    wait(again)
    (entry,) = again.entries()
    assert entry.state == FINISHED
    assert outcomes(again.results(entry)) == whole


def test_closing_stops_what_runs_and_what_waits_and_leaves_both_to_be_gone_on_with(app):
    gated = GatedEngine()
    background, sessions = app.start(gated, at_once=1)
    ann, bob = (background.of(sessions.open().id) for _ in range(2))
    gated.gate.clear()
    ann.start(plan())
    bob.start(plan())
    wait_for(ann, lambda: gated.owners)
    assert (ann.ahead, bob.ahead) == (0, 1)
    assert bob.progress.phase == "waiting"
    threading.Timer(0, gated.gate.set).start()
    background.close()
    assert [own.entries()[0].state for own in (ann, bob)] == [GOING, GOING]
    with pytest.raises(ExperimentError, match="shutting down"):
        background.of(sessions.open().id).start(plan())


def test_threads_end_with_the_last_experiment(app):
    background, sessions = app.start(GatedEngine())
    for _ in range(2):
        own = background.of(sessions.open().id)
        own.start(plan(own.fresh_name()))
        wait(own)
        threads = [one for one in threading.enumerate() if one.name.startswith("experiment")]
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads)


def test_who_waits_can_stop_and_continue(app):
    gated = GatedEngine()
    background, sessions = app.start(gated, at_once=1)
    ann, bob = (background.of(sessions.open().id) for _ in range(2))
    gated.gate.clear()
    ann.start(plan())
    bob.start(plan())
    bob.stop()
    assert not bob.busy
    assert bob.entries()[0].state == STOPPED
    bob.go_on("run-1")
    gated.gate.set()
    wait(bob)
    assert bob.entries()[0].state == FINISHED


def test_one_visitor_runs_one_at_a_time(app):
    gated = GatedEngine()
    background, sessions = app.start(gated)
    own = background.of(sessions.open().id)
    gated.gate.clear()
    entry = own.start(plan())
    for again in (lambda: own.start(plan("run 2")), lambda: own.go_on(entry.place)):
        with pytest.raises(ExperimentError, match="“run 1” is running"):
            again()
    with pytest.raises(ExperimentError, match="stop it first"):
        own.delete(entry.place)
    assert [entry.plan.name for entry in own.entries()] == ["run 1"]
    gated.gate.set()
    wait(own)
    with pytest.raises(ExperimentError, match="come to its end"):
        own.go_on(entry.place)
    with pytest.raises(ExperimentError, match="Nothing is running"):
        own.stop()
    own.delete(entry.place)
    assert own.entries() == ()
    with pytest.raises(ExperimentError, match="not there any more"):
        own.go_on(entry.place)


def test_two_visitors_never_see_each_others_runs(app):
    background, sessions = app.start(GatedEngine())
    ann, bob = (background.of(sessions.open().id) for _ in range(2))
    mine = ann.start(plan("mine"))
    wait(ann)
    assert bob.entries() == ()
    with pytest.raises(ExperimentError):
        bob.delete(mine.place)
    with pytest.raises(SessionError):
        background.of("x" * 43)
    assert [entry.plan.name for entry in ann.entries()] == ["mine"]


def test_what_goes_wrong_is_told_with_the_run_and_can_be_gone_on_from(app, whole):
    gated = GatedEngine()
    background, sessions = app.start(gated)
    own = background.of(sessions.open().id)

    def refuse():
        raise ServiceBusy("256 requests are waiting already; try again in a moment.")

    gated.before[6] = refuse
    own.start(plan())
    wait(own)
    (entry,) = own.entries()
    assert (entry.state, entry.message[:12]) == (FAILED, "256 requests")
    own.go_on(entry.place)
    wait(own)
    (entry,) = own.entries()
    assert (entry.state, entry.message) == (FINISHED, "")
    assert outcomes(own.results(entry)) == whole


def test_stop_is_heard_while_it_waits_for_room(app, whole):
    gated = GatedEngine()
    background, sessions = app.start(gated)
    own = background.of(sessions.open().id)

    def wait_for_room():
        own.stop()
        gated.pause(3600)

    gated.before[6] = wait_for_room
    own.start(plan())
    wait(own)
    (entry,) = own.entries()
    assert (entry.state, entry.message) == (STOPPED, "")
    own.go_on(entry.place)
    wait(own)
    (entry,) = own.entries()
    assert entry.state == FINISHED
    assert outcomes(own.results(entry)) == whole


def test_a_fault_of_the_program_is_logged_and_not_hidden(app, caplog):
    gated = GatedEngine()
    background, sessions = app.start(gated)
    own = background.of(sessions.open().id)
    gated.before[3] = lambda: {}["a fault"]
    own.start(plan())
    wait(own)
    assert own.entries()[0].state == FAILED
    assert "fault in this program" in own.entries()[0].message
    background.close()
    assert "KeyError: 'a fault'" in caplog.text


def test_a_disk_that_cannot_be_written_does_not_tell_where_it_is(app):
    gated = GatedEngine()
    background, sessions = app.start(gated)
    own = background.of(sessions.open().id)
    gated.before[1] = lambda: (own.store.folder / "run-1" / "seed-1").write_text("in the way")
    own.start(plan())
    wait(own)
    (entry,) = own.entries()
    assert entry.state == FAILED
    assert "could not be written" in entry.message
    assert str(app.folder) not in entry.message


def test_whoever_follows_is_told_also_where_the_end_cannot_be_written(app, monkeypatch):
    gated = GatedEngine()
    background, sessions = app.start(gated)
    own = background.of(sessions.open().id)
    gated.gate.clear()
    own.start(plan())

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    version = own.version
    with monkeypatch.context() as patched:
        patched.setattr(store, "write_file", full)
        with pytest.raises(ExperimentError, match="could not be kept on the server"):
            own.store.mark(own.entries()[0], STOPPED)
        with pytest.raises(ExperimentError):
            own._over(own.entries()[0], STOPPED, "")
    assert own.version > version
    gated.gate.set()


def test_a_session_with_an_experiment_is_not_removed_to_make_room(app):
    gated = GatedEngine()
    background, sessions = app.start(gated)
    sessions._limits = Limits(sessions=1)
    own = background.of(sessions.open().id)
    gated.gate.clear()
    own.start(plan())
    for _ in range(3):
        with pytest.raises(SessionError, match="no room for more"):
            sessions.keep(sessions.open())
    gated.gate.set()
    wait(own)
    assert own.entries()[0].state == FINISHED


def test_an_address_leaves_places_in_the_line_for_others():
    line, gate = Line(1), threading.Event()

    def submit(address, owner):
        GROUP.set(address)
        return line.submit(owner, gate.wait)

    try:
        for number in range(WAITING_OF_ONE):
            copy_context().run(submit, "10.0.0.1", number)
        with pytest.raises(ExperimentError, match="Too many experiments wait"):
            copy_context().run(submit, "10.0.0.1", "one more")
        copy_context().run(submit, "10.0.0.2", "somebody")
        assert line.ahead("somebody") == WAITING_OF_ONE
    finally:
        gate.set()
        line.drain()


def test_whoever_comes_again_before_they_are_struck_off_has_a_place():
    line, first, second = Line(2), threading.Event(), threading.Event()
    one = line.submit("somebody", first.wait)
    other = line.submit("somebody", second.wait)
    first.set()
    one.result(SECONDS)
    assert line.take_nothing_more() == ["somebody"]
    second.set()
    other.result(SECONDS)
    line.drain()
