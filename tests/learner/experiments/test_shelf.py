"""The shelf: names become folders, all is found again, and no more is kept than should be."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.experiments.driving import drive
from learner.experiments.folder import read_runs
from learner.experiments.plan import PlanError, plan_of
from learner.experiments.shelf import (
    FAILED,
    FINISHED,
    GOING,
    MAX_RUNS,
    STOPPED,
    Shelf,
    ShelfError,
)
from tests.learner.experiments.pupils import SMALL, Pupils


def plan(name="run 1", technique="best", seeds=2):
    asked = plan_of(name, technique, False, 12, seeds, 20)
    return replace(asked, experiment=SMALL)


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path / "not" / "there" / "yet")


def test_an_empty_shelf_leaves_nothing_on_the_disk(shelf):
    assert shelf.entries() == ()
    assert shelf.fresh_name() == "run 1"
    assert not shelf.folder.exists()


def test_what_is_put_on_it_is_found_again_in_order(shelf):
    first, second = shelf.add(plan("zebra", "meta")), shelf.add(plan("ant", seeds=1))
    assert Shelf(shelf.folder).entries() == (first, second)
    assert shelf.read("zebra") == first
    assert first.state == GOING
    assert [path.name for path in shelf.run_folders(first)] == ["seed-0", "seed-1"]
    assert [path.name for path in shelf.run_folders(second)] == ["ant"]
    stopped = shelf.mark(first, STOPPED)
    failed = shelf.mark(second, FAILED, "No room.")
    assert Shelf(shelf.folder).entries() == (stopped, failed)
    assert failed.message == "No room."


@given(st.text(max_size=45))
def test_any_name_has_a_folder_of_its_own_within_the_shelf(tmp_path_factory, name):
    shelf = Shelf(tmp_path_factory.mktemp("shelf"))
    try:
        entry = shelf.add(plan(name))
    except PlanError:
        return
    assert shelf.path(entry).parent == shelf.folder
    other = shelf.add(plan(f"{entry.plan.name[:30]} !"))
    assert other.place != entry.place
    assert shelf.entries() == (entry, other)


def test_a_name_is_taken_once_however_it_is_written(shelf):
    shelf.add(plan("Run 1"))
    with pytest.raises(ShelfError, match="“run 1” already"):
        shelf.add(plan("run 1"))
    assert shelf.fresh_name() == "run 2"
    assert len(shelf.entries()) == 1


def test_a_full_shelf_says_so(shelf):
    for count in range(MAX_RUNS):
        shelf.add(plan(f"run {count}"))
    with pytest.raises(ShelfError, match=f"{MAX_RUNS} runs, .* delete one first"):
        shelf.add(plan("one more"))
    shelf.remove("run-3")
    shelf.add(plan("one more"))
    assert [entry.plan.name for entry in shelf.entries()][-2:] == ["run 7", "one more"]


@pytest.mark.parametrize("place", [None, 7, "", "..", "../other", "a/b", "run-1\n", "é"])
def test_what_is_no_place_on_it_touches_nothing(shelf, place):
    entry = shelf.add(plan())
    with pytest.raises(ShelfError):
        shelf.read(place)
    with pytest.raises(ShelfError):
        shelf.remove(place)
    assert shelf.entries() == (entry,)


def test_what_cannot_be_read_is_shown_as_failed_and_can_be_deleted(shelf):
    entry = shelf.add(plan())
    (shelf.path(entry) / "experiment.json").write_text("{")
    (broken,) = shelf.entries()
    assert (broken.place, broken.state) == ("run-1", FAILED)
    assert "experiment.json" in broken.message
    shelf.remove("run-1")
    assert shelf.entries() == ()


def test_tidying_keeps_results_pictures_and_the_best(shelf):
    entry = shelf.add(plan())
    folders = shelf.run_folders(entry)
    results = drive(Pupils().engine, entry.plan.experiments, folders)
    shelf.tidy(shelf.mark(entry, FINISHED))
    for folder in folders:
        assert sorted(path.name for path in folder.iterdir()) == [
            "best",
            "learning_curves.png",
            "results.json",
        ]
    assert read_runs(shelf.path(entry)) == results
