"""What the tab shows of a desk: what to do next, what can be pressed, and what is looked at."""

import json
from dataclasses import replace

import pytest

from learner.experiments.desk import DeskError
from learner.experiments.shelf import ShelfError
from learner.view.experiments_files import best_learner, results_file
from learner.view.experiments_painting import DeskPainter, DeskView
from learner.view.experiments_seen import PUBLISHED_NAMES, choose_run, choose_shown
from tests.learner.experiments.school import App, Class, plan, wait

PUBLISHED = len(PUBLISHED_NAMES)


@pytest.fixture
def school():
    return Class()


@pytest.fixture
def desk(school, tmp_path, no_sync):
    app = App(tmp_path)
    laboratory, sessions = app.start(school)
    yield laboratory.desk(sessions.open().id)
    app.stop()


@pytest.fixture
def painter():
    return DeskPainter()


def test_somebody_new_sees_what_was_published_and_what_to_press(desk, painter):
    assert painter.look(desk) == DeskView()
    picture = DeskView()
    assert "Press <b>Start</b>" in picture.hint
    assert len(picture.rows) == PUBLISHED
    assert (picture.progress, picture.can_continue) == (None, False)


def test_a_run_as_it_goes_on_stops_and_ends(desk, painter, school):
    seen = []
    for number in (1, 4, 5):
        school.before[number] = lambda: seen.append(painter.look(desk))
    school.before[6] = desk.stop
    desk.start(plan())
    wait(desk)
    first, later, measuring = seen
    assert "is running: the best settings, 2 seeds" in first.hint
    assert (first.running, first.can_delete) == ("run-1", False)
    assert first.rows[0][0] == "run 1"
    assert first.rows[0][-1] == "running"
    assert "<b>0</b> of 24 episodes" in later.progress_bar or "of 24" in later.progress_bar
    assert "of 24" in measuring.progress_bar
    stopped = painter.look(desk)
    assert "<b>Continue</b> goes on" in stopped.hint
    assert (stopped.can_continue, stopped.can_use, stopped.can_delete) == (True, True, True)
    assert "drawn when it has ended" in stopped.figure
    desk.go_on("run-1")
    wait(desk)
    ended = painter.look(desk)
    assert "100" in ended.hint and "10 held-out problems" in ended.hint
    assert "2 seeds" in ended.hint and "p &lt; " in ended.hint
    assert 'alt="Learning curves of run 1' in ended.figure
    assert ended.figure.count(";base64,") == 1  # its bytes are sent once
    assert not ended.can_continue
    assert painter.look(desk) == ended


def test_lines_can_be_hidden_and_another_run_looked_at(desk, painter):
    for name in ("one", "two"):
        desk.start(plan(name))
        wait(desk)
    picture = painter.look(desk)
    assert picture.runs.value == "two"
    assert [label for label, _ in picture.runs.choices] == ["two", "one"]
    assert picture.shown.value == ("one", "two", *PUBLISHED_NAMES[:2])
    choose_shown(desk, ["one", "nothing that is there"])
    choose_run(desk, "one")
    picture = painter.look(desk)
    assert picture.shown.value == ("one",)
    assert picture.chart.count("<li>") == 1
    assert picture.runs.value == "one"
    with pytest.raises(ShelfError):
        choose_run(desk, "../two")
    desk.start(plan("three"))
    wait(desk)
    assert painter.look(desk).shown.value == ("one", "three")  # what is new is shown


def test_a_run_whose_files_are_broken_says_so_and_does_not_hide_the_others(desk, painter):
    for name in ("one", "two"):
        desk.start(plan(name))
        wait(desk)
    (desk.shelf.folder / "two" / "seed-0" / "results.json").write_text("{")
    picture = painter.look(desk)
    assert "cannot be read" in picture.hint
    assert [row[-1] for row in picture.rows[:2]] == ["unreadable", "finished"]
    assert not picture.can_use
    assert picture.can_delete


def test_results_leave_as_a_file_and_the_best_prompt_as_a_learner(desk, school, tmp_path):
    entry = desk.start(plan("one", seeds=1))
    with pytest.raises(DeskError, match="Nothing has been measured"):
        results_file(desk, replace(entry, place="nowhere"), tmp_path)
    wait(desk)
    path = results_file(desk, entry, tmp_path)
    assert path.name == "one-results.json"
    assert json.loads(path.read_text())["finished"] is True
    learner, episodes = best_learner(desk, entry, school.pupils.base_model)
    (run,) = desk.results(entry)
    assert (learner.episodes, episodes) == (run.kept.episodes, run.kept.episodes)
    families = replace(plan("many"), experiment=replace(entry.plan.experiment, per_family=True))
    with pytest.raises(DeskError, match="a soft prompt for each family"):
        best_learner(desk, replace(entry, plan=families), school.pupils.base_model)
