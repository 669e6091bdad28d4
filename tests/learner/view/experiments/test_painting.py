"""What the tab shows of a own: what to do next, what can be pressed, and what is looked at."""

import pytest

from learner.experiments.store import ExperimentError
from learner.view.experiments.painting import (
    PUBLISHED_NAMES,
    ExperimentsPainter,
    ExperimentsView,
    choose_run,
    choose_shown,
)
from tests.learner.experiments.gated_engine import App, GatedEngine, plan, wait

PUBLISHED = len(PUBLISHED_NAMES)


@pytest.fixture
def gated():
    return GatedEngine()


@pytest.fixture
def own(gated, tmp_path):
    app = App(tmp_path)
    background, sessions = app.start(gated)
    yield background.of(sessions.open().id)
    app.stop()


@pytest.fixture
def painter():
    return ExperimentsPainter()


def test_somebody_new_sees_what_was_published_and_what_to_press(own, painter):
    assert painter.look(own) == ExperimentsView()
    picture = ExperimentsView()
    assert "Press <b>Start</b>" in picture.hint
    assert len(picture.rows) == PUBLISHED
    assert (picture.progress, picture.can_continue) == (None, False)


def test_a_run_as_it_goes_on_stops_and_ends(own, painter, gated):
    seen = []
    for number in (1, 4, 5):
        gated.before[number] = lambda: seen.append(painter.look(own))
    gated.before[6] = own.stop
    own.start(plan())
    wait(own)
    first, later, measuring = seen
    assert "is running: the best settings, 2 seeds" in first.hint
    assert (first.running, first.can_delete) == ("run-1", False)
    assert first.rows[0][0] == "run 1"
    assert first.rows[0][-1] == "running"
    assert "<b>0</b> of 24 episodes" in later.progress_bar or "of 24" in later.progress_bar
    assert "of 24" in measuring.progress_bar
    stopped = painter.look(own)
    assert "<b>Continue</b> goes on" in stopped.hint
    assert (stopped.can_continue, stopped.can_use, stopped.can_delete) == (True, True, True)
    assert "drawn when it has ended" in stopped.figure
    own.go_on("run-1")
    wait(own)
    ended = painter.look(own)
    assert "100" in ended.hint and "10 held-out problems" in ended.hint
    assert "2 seeds" in ended.hint and "p &lt; " in ended.hint
    assert 'alt="Learning curves of run 1' in ended.figure
    assert ended.figure.count(";base64,") == 1  # its bytes are sent once
    assert not ended.can_continue
    assert painter.look(own) == ended


def test_lines_can_be_hidden_and_another_run_looked_at(own, painter):
    for name in ("one", "two"):
        own.start(plan(name))
        wait(own)
    picture = painter.look(own)
    assert picture.runs.value == "two"
    assert [label for label, _ in picture.runs.choices] == ["two", "one"]
    assert picture.shown.value == ("one", "two", *PUBLISHED_NAMES[:2])
    choose_shown(own, ["one", "nothing that is there"])
    choose_run(own, "one")
    picture = painter.look(own)
    assert picture.shown.value == ("one",)
    assert picture.chart.count("<li>") == 1
    assert picture.runs.value == "one"
    with pytest.raises(ExperimentError):
        choose_run(own, "../two")
    own.start(plan("three"))
    wait(own)
    assert painter.look(own).shown.value == ("one", "three")  # what is new is shown


def test_a_run_whose_files_are_broken_says_so_and_does_not_hide_the_others(own, painter):
    for name in ("one", "two"):
        own.start(plan(name))
        wait(own)
    (own.store.folder / "two" / "seed-0" / "results.json").write_text("{")
    picture = painter.look(own)
    assert "cannot be read" in picture.hint
    assert [row[-1] for row in picture.rows[:2]] == ["unreadable", "finished"]
    assert not picture.can_use
    assert picture.can_delete
