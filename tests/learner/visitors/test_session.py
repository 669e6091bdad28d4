"""A session: undo, runs that exclude each other, notes; and that it says when it changed."""

import dataclasses
import threading

import pytest

from learner.learning.learner import LearnerConfig, new_learner
from learner.measuring import score_of
from learner.visitors.session import (
    MAX_NOTES_BYTES,
    UNDO_DEPTH,
    Session,
    SessionBusy,
    SessionError,
    SessionState,
)
from learner.visitors.snapshots import MOST, Snapshot

PATIENCE = 30.0


class Watched:
    """A session, and the changes it told of."""

    def __init__(self, base_model):
        self.changes = []
        self.first = new_learner(base_model, LearnerConfig())
        self.session = Session(
            "id",
            SessionState(self.first, seed=7),
            lambda session, at_once: self.changes.append((session.state, at_once)),
            lambda config: new_learner(base_model, config),
        )

    def later(self, steps):
        return dataclasses.replace(self.first, steps=steps)


@pytest.fixture
def watched(qwen2):
    return Watched(qwen2)


def test_a_run_adopts_step_by_step_and_is_undone_as_a_whole(watched):
    session = watched.session
    with session.run():
        for steps in (1, 2, 3):
            session.adopt(watched.later(steps))
            assert session.learner.steps == steps
    assert session.undo_depth == 1
    assert session.undo() is watched.first
    assert session.undo_depth == 0
    with pytest.raises(SessionError, match="nothing to undo"):
        session.undo()


def test_every_change_is_told_and_the_end_of_a_run_at_once(watched):
    session = watched.session
    with session.run():
        session.adopt(watched.later(1))
        assert [at_once for _, at_once in watched.changes] == [False]
    assert [at_once for _, at_once in watched.changes] == [False, True]
    assert watched.changes[-1][0].learner.steps == 1
    session.note(tab="teach")
    session.advance(1)
    session.undo()
    assert len(watched.changes) == 5
    assert watched.changes[-1][0] is session.state


def test_a_run_that_learnt_nothing_leaves_nothing_to_undo(watched):
    with watched.session.run():
        pass
    assert watched.session.undo_depth == 0


def test_a_run_that_fails_keeps_what_was_learnt_and_lets_go(watched):
    session = watched.session
    with pytest.raises(ZeroDivisionError), session.run():
        session.adopt(watched.later(1))
        raise ZeroDivisionError
    assert session.learner.steps == 1
    assert not session.running
    assert session.undo() is watched.first


def test_while_a_run_goes_on_nothing_else_teaches(watched):
    session = watched.session
    started, go_on = threading.Event(), threading.Event()

    def other_tab():
        with session.run():
            session.adopt(watched.later(1))
            started.set()
            assert go_on.wait(PATIENCE)

    tab = threading.Thread(target=other_tab)
    tab.start()
    assert started.wait(PATIENCE)
    assert session.running
    for attempt in (
        lambda: session.run().__enter__(),
        lambda: session.replace_learner(watched.first),
        session.reset,
        session.undo,
    ):
        with pytest.raises(SessionBusy, match="in training already"):
            attempt()
    session.note(tab="inside")  # looking around is allowed
    assert session.advance(1) == 0
    go_on.set()
    tab.join(PATIENCE)
    assert not session.running
    assert session.learner.steps == 1
    assert session.notes == {"tab": "inside"}


def test_of_many_tabs_that_start_at_once_one_runs(watched):
    session, tabs = watched.session, 8
    barrier = threading.Barrier(tabs, timeout=PATIENCE)
    outcomes = []

    def tab():
        barrier.wait()
        try:
            with session.run():
                barrier.wait()  # until the others have been refused
                outcomes.append("ran")
        except SessionBusy:
            outcomes.append("busy")
            barrier.wait()

    threads = [threading.Thread(target=tab) for _ in range(tabs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(outcomes) == ["busy"] * (tabs - 1) + ["ran"]


def test_stop_reaches_the_run_and_the_next_one_starts_afresh(watched):
    session = watched.session
    with session.run():
        assert not session.stop.is_set()
        session.stop.set()
        assert session.stop.is_set()
    with session.run():
        assert not session.stop.is_set()


def test_reset_keeps_the_settings_or_takes_others_and_can_be_undone(watched):
    session = watched.session
    session.replace_learner(watched.later(5))
    assert session.reset().steps == 0
    assert session.learner.config == watched.first.config
    assert session.reset(LearnerConfig(soft_tokens=3)).prompt.shape[0] == 3
    session.undo()
    session.undo()
    assert session.learner.steps == 5
    assert session.undo() is watched.first


def test_undo_is_bounded(watched):
    for steps in range(UNDO_DEPTH + 5):
        watched.session.replace_learner(watched.later(steps))
    for _ in range(UNDO_DEPTH):
        watched.session.undo()
    assert watched.session.learner.steps == 4
    assert watched.session.undo_depth == 0


def test_what_undo_keeps_is_bounded_in_bytes_too_but_for_the_newest(watched, monkeypatch):
    learner_bytes = 3 * watched.first.prompt.nbytes
    monkeypatch.setattr("learner.visitors.session.UNDO_BYTES", 3 * learner_bytes)
    for steps in range(10):
        watched.session.replace_learner(watched.later(steps))
    assert watched.session.undo_depth == 3
    monkeypatch.setattr("learner.visitors.session.UNDO_BYTES", 0)
    watched.session.replace_learner(watched.later(10))
    assert watched.session.undo_depth == 1
    assert watched.session.undo().steps == 9


def test_notes_are_added_copied_and_bounded(watched):
    session = watched.session
    session.note(problem={"question": "1 + 1?"}, seen=[0.25])
    session.note(tab="teach")
    session.notes["seen"].append(1.0)
    assert session.notes == {"problem": {"question": "1 + 1?"}, "seen": [0.25], "tab": "teach"}
    with pytest.raises(SessionError, match="too long"):
        session.note(essay="x" * MAX_NOTES_BYTES)
    assert "essay" not in session.notes


def test_positions_are_given_out_once_each(watched):
    session, takes = watched.session, 50
    barrier = threading.Barrier(4, timeout=PATIENCE)
    taken = []

    def tab():
        barrier.wait()
        taken.extend(session.advance(2) for _ in range(takes))

    threads = [threading.Thread(target=tab) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(taken) == list(range(0, 8 * takes, 2))
    assert session.state.position == 8 * takes
    assert session.seed == 7


def test_a_notice_is_given_once(watched):
    watched.session.give_notice("Look here.")
    assert watched.session.take_notice() == "Look here."
    assert watched.session.take_notice() == ""


def test_redo_goes_forth_again_until_something_else_is_done(watched):
    session = watched.session
    for steps in (1, 2):
        session.replace_learner(watched.later(steps))
    session.undo()
    assert (session.undo() is watched.first, session.redo_depth) == (True, 2)
    assert session.redo().steps == 1
    assert session.redo().steps == 2
    with pytest.raises(SessionError, match="nothing to redo"):
        session.redo()
    session.undo()
    session.replace_learner(watched.later(3))
    assert (session.redo_depth, session.undo_depth) == (0, 2)
    assert session.undo().steps == 1


def test_snapshots_have_names_of_their_own_and_are_bounded(watched, monkeypatch):
    session = watched.session
    for number in range(MOST):
        session.keep_snapshot(Snapshot(f"no. {number}", watched.later(number)))
    with pytest.raises(SessionError, match=r"8 snapshots are kept.*remove one first"):
        session.keep_snapshot(Snapshot("one more", watched.first))
    session.remove_snapshot("no. 0")
    with pytest.raises(SessionError, match="1” already"):
        session.keep_snapshot(Snapshot("no. 1", watched.first))
    for ask in (session.snapshot, session.remove_snapshot):
        with pytest.raises(SessionError, match="There is no snapshot “no"):
            ask("no. 0")
    assert session.snapshot("no. 5").learner.steps == 5
    monkeypatch.setattr("learner.visitors.snapshots.MOST_BYTES", 1)
    with pytest.raises(SessionError, match="7 snapshots are kept"):
        session.keep_snapshot(Snapshot("one more", watched.first))


def test_a_score_is_noted_wherever_that_learner_is_kept(watched):
    session, learner = watched.session, watched.later(1)
    session.keep_snapshot(Snapshot("a", learner))
    session.keep_snapshot(Snapshot("b", dataclasses.replace(learner, episodes=9)))
    first, better, other = score_of("10", False), score_of("11", False), score_of("00", True)
    for score in (first, better, other):
        session.score_snapshots(learner, score)
    assert session.snapshot("a").score(False) is better
    assert session.snapshot("a").score(True) is other
    assert session.snapshot("b").scores == ()
