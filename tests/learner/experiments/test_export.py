"""What leaves an experiment: a zip of all of it, and the best prompt as a learner."""

import csv
import io
import zipfile
from dataclasses import replace

import pytest
import torch

from learner.checkpoint.files import load_zip
from learner.checkpoint.reading import CheckpointError
from learner.experiments.completions import read_completions
from learner.experiments.export import best_learner, run_zip
from learner.experiments.folder import load_run, read_runs
from learner.experiments.running import run_to_end
from learner.experiments.score_table import as_csv
from learner.experiments.store import STOPPED, ExperimentError
from learner.measuring import score_of
from tests.learner.experiments.gated_engine import App, GatedEngine, plan, wait


@pytest.fixture
def gated():
    return GatedEngine()


@pytest.fixture
def own(gated, tmp_path):
    app = App(tmp_path)
    background, sessions = app.start(gated)
    yield background.of(sessions.open().id)
    app.stop()


def unzipped(path, folder):
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    return folder / path.stem


def test_a_run_leaves_as_a_zip_that_loads_back_as_its_best_soft_prompt(own, gated, tmp_path):
    entry = own.start(plan("one"))
    with pytest.raises(ExperimentError, match="Nothing has been measured"):
        run_zip(own, replace(entry, place="nowhere"), tmp_path)
    wait(own)
    entry = own.store.read(entry.place)
    base_model = gated.scripted.base_model
    path = run_zip(own, entry, tmp_path)
    learner, episodes = best_learner(own, entry, base_model)
    best = max(own.results(entry), key=lambda run: max(one.correct for one in run.validation))
    assert (learner.episodes, episodes) == (best.kept.episodes, best.kept.episodes)
    assert torch.equal(load_zip(path, base_model).prompt, learner.prompt)
    folder = unzipped(path, tmp_path)
    assert [run.final for run in read_runs(folder)] == [run.final for run in own.results(entry)]
    for seed in ("seed-0", "seed-1"):
        assert len(read_completions(folder / seed / "completions.jsonl")) == 10 + 2 * (10 + 5)
    rows = list(csv.DictReader(io.StringIO((folder / "table.csv").read_text())))
    assert [row["seed"] for row in rows if row["asked_of"] == "model alone"] == ["0", "1"]
    after = [row for row in rows if (row["seed"], row["episodes"]) == ("0", "12")]
    assert [row["correct"] for row in after] == [str(own.results(entry)[0].final.correct)]
    assert not list(folder.rglob("experiment.json"))  # that is between a visitor and the app
    with pytest.raises(CheckpointError, match="come to its end"):
        load_run(folder / "seed-0", base_model)


def test_a_run_that_was_stopped_leaves_as_one_that_can_be_gone_on_with(own, gated, tmp_path):
    gated.before[8] = own.stop
    entry = own.start(plan("one"))
    wait(own)
    entry = own.store.read(entry.place)
    assert entry.state == STOPPED
    path = run_zip(own, entry, tmp_path)
    base_model = gated.scripted.base_model
    kept = own.results(entry)[0].kept
    assert load_zip(path, base_model).episodes == kept.episodes > 0
    seeds = [unzipped(path, tmp_path) / "seed-0", tmp_path / "one" / "seed-1"]
    runs = run_to_end(gated.scripted.engine, entry.plan.experiments, seeds)
    assert all(run.finished for run in runs)


def test_a_prompt_for_each_family_is_not_one_learner(own, gated, tmp_path):
    experiment = replace(plan("many").experiment, per_family=True)
    entry = own.start(replace(plan("many", seeds=1), experiment=experiment))
    wait(own)
    with pytest.raises(ExperimentError, match="a soft prompt for each family"):
        best_learner(own, entry, gated.scripted.base_model)
    path = run_zip(own, own.store.read(entry.place), tmp_path)
    with pytest.raises(CheckpointError, match=r"several soft prompts .*; unzip it"):
        load_zip(path, gated.scripted.base_model)


def test_no_name_in_the_table_is_taken_for_a_formula():
    table = as_csv([({"run": "=1+1"}, score_of("10-", False, 4))])
    (row,) = csv.DictReader(io.StringIO(table))
    assert (row["run"], row["episodes"], row["n"], row["correct"]) == ("'=1+1", "4", "3", "1")
    assert float(row["low"]) < float(row["accuracy"]) < float(row["high"])
