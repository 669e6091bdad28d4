"""The store: names become folders, all is found again, and no more is kept than should be."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.experiments.completions import read_completions
from learner.experiments.driving import drive
from learner.experiments.folder import read_runs
from learner.experiments.plan import PlanError, plan_of
from learner.experiments.store import (
    FAILED,
    FINISHED,
    GOING,
    MAX_RUNS,
    STOPPED,
    ExperimentError,
    Store,
)
from tests.learner.experiments.scripted_engine import SMALL, ScriptedEngine


def plan(name="run 1", technique="best", seeds=2):
    asked = plan_of(name, technique, False, 12, seeds, 20)
    return replace(asked, experiment=SMALL)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "not" / "there" / "yet")


def test_an_empty_shelf_leaves_nothing_on_the_disk(store):
    assert store.entries() == ()
    assert store.fresh_name() == "run 1"
    assert not store.folder.exists()


def test_what_is_put_on_it_is_found_again_in_order(store):
    first, second = store.add(plan("zebra", "meta")), store.add(plan("ant", seeds=1))
    assert Store(store.folder).entries() == (first, second)
    assert store.read("zebra") == first
    assert first.state == GOING
    assert [path.name for path in store.run_folders(first)] == ["seed-0", "seed-1"]
    assert [path.name for path in store.run_folders(second)] == ["ant"]
    stopped = store.mark(first, STOPPED)
    failed = store.mark(second, FAILED, "No room.")
    assert Store(store.folder).entries() == (stopped, failed)
    assert failed.message == "No room."


@given(st.text(max_size=45))
def test_any_name_has_a_folder_of_its_own_within_the_shelf(tmp_path_factory, name):
    store = Store(tmp_path_factory.mktemp("store"))
    try:
        entry = store.add(plan(name))
    except PlanError:
        return
    assert store.path(entry).parent == store.folder
    other = store.add(plan(f"{entry.plan.name[:30]} !"))
    assert other.place != entry.place
    assert store.entries() == (entry, other)


def test_a_name_is_taken_once_however_it_is_written(store):
    store.add(plan("Run 1"))
    with pytest.raises(ExperimentError, match="“run 1” already"):
        store.add(plan("run 1"))
    assert store.fresh_name() == "run 2"
    assert len(store.entries()) == 1


def test_a_full_shelf_says_so(store):
    for count in range(MAX_RUNS):
        store.add(plan(f"run {count}"))
    with pytest.raises(ExperimentError, match=f"{MAX_RUNS} runs, .* delete one first"):
        store.add(plan("one more"))
    store.remove("run-3")
    store.add(plan("one more"))
    assert [entry.plan.name for entry in store.entries()][-2:] == ["run 7", "one more"]


@pytest.mark.parametrize("place", [None, 7, "", "..", "../other", "a/b", "run-1\n", "é"])
def test_what_is_no_place_on_it_touches_nothing(store, place):
    entry = store.add(plan())
    with pytest.raises(ExperimentError):
        store.read(place)
    with pytest.raises(ExperimentError):
        store.remove(place)
    assert store.entries() == (entry,)


def test_what_cannot_be_read_is_shown_as_failed_and_can_be_deleted(store):
    entry = store.add(plan())
    (store.path(entry) / "experiment.json").write_text("{")
    (broken,) = store.entries()
    assert (broken.place, broken.state) == ("run-1", FAILED)
    assert "experiment.json" in broken.message
    store.remove("run-1")
    assert store.entries() == ()


def test_tidying_keeps_results_pictures_and_the_best(store):
    entry = store.add(plan())
    folders = store.run_folders(entry)
    results = drive(ScriptedEngine().engine, entry.plan.experiments, folders)
    store.tidy(store.mark(entry, FINISHED))
    for folder in folders:
        assert sorted(path.name for path in folder.iterdir()) == [
            "best",
            "completions.jsonl",
            "learning_curves.png",
            "results.json",
        ]
        lines = read_completions(folder / "completions.jsonl")
        assert {line.episodes for line in lines} == {0, 12}
    assert read_runs(store.path(entry)) == results
