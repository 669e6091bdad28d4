"""A run's folder: what a crash leaves is a run at a milestone; what goes on is the same run."""

import json
from dataclasses import replace

import pytest
import torch

from arena import FAMILIES
from learner.checkpoint.reading import CheckpointError, OtherModelError
from learner.experiments.engine import advance, direct, start_runs
from learner.experiments.folder import load_run, load_together, save_run
from learner.experiments.problem_order import SHARED
from learner.experiments.results_file import RESULTS
from learner.experiments.settings import Experiment
from learner.hub.opening import prompt_folders
from learner.learning.learner import LearnerConfig
from tests.learner.experiments.scripted_engine import SMALL, ScriptedEngine
from tests.learner.tiny_models import build_base_model

REAL = Experiment(
    config=LearnerConfig(soft_tokens=2, episodes_per_step=2),
    episodes=6,
    eval_interval=4,
    eval_problems=4,
    validation_problems=3,
)
TIMES = {"start_time", "elapsed_time", "training_time", "episodes_per_sec", "seconds"}


def timeless(value):
    """JSON without what the clock says."""
    if isinstance(value, dict):
        return {name: timeless(item) for name, item in value.items() if name not in TIMES}
    return [timeless(item) for item in value] if isinstance(value, list) else value


def contents(folder):
    """What a run wrote, but for the times and the pictures made of them."""
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".png":
            data = path.read_bytes()
            name = str(path.relative_to(folder))
            files[name] = timeless(json.loads(data)) if path.name == RESULTS else data
    return files


def went(engine, runs, folders, steps=None):
    """Advance for so many events, or to the end, saving at every milestone."""
    for number, after in enumerate(advance(engine, runs)):
        if number == steps:
            break
        before, runs = runs, after
        for then, run, folder in zip(before, runs, folders, strict=True):
            if run.measured and not then.measured:
                save_run(run, folder, engine.base_model)
    return runs


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    engine = direct(build_base_model("qwen2"))
    folder = tmp_path_factory.mktemp("whole")
    folders = [folder / "a", folder / "b"]
    runs = start_runs(engine, [REAL, REAL.with_seed(1)])
    went(engine, runs, folders)
    return [contents(place) for place in folders]


@pytest.mark.parametrize("steps", range(6))
def test_a_run_that_was_stopped_anywhere_ends_as_if_it_had_not_been(uninterrupted, tmp_path, steps):
    engine = direct(build_base_model("qwen2"))
    folders = [tmp_path / "a", tmp_path / "b"]
    runs = went(engine, start_runs(engine, [REAL, REAL.with_seed(1)]), folders, steps)
    for run, folder in zip(runs, folders, strict=True):
        save_run(run, folder, engine.base_model)
    went(engine, load_together(folders, engine.base_model), folders)
    assert [contents(folder) for folder in folders] == uninterrupted


def test_a_crash_loses_no_more_than_an_interval(uninterrupted, tmp_path):
    """Killed when one seed had been written at a milestone and the other had not yet."""
    engine = direct(build_base_model("qwen2"))
    folders = [tmp_path / "a", tmp_path / "b"]
    runs = went(engine, start_runs(engine, [REAL, REAL.with_seed(1)]), folders, 4)
    assert runs[0].done == 4
    (tmp_path / "b" / RESULTS).unlink()
    at_start = start_runs(engine, [REAL.with_seed(1)])
    went(engine, at_start, folders[1:], 1)  # as it was one milestone before
    together = load_together(folders, engine.base_model)
    assert [run.done for run in together] == [0, 0]
    went(engine, together, folders)
    assert [contents(folder) for folder in folders] == uninterrupted


def test_what_is_kept_lies_in_a_folder_of_its_own(tmp_path):
    scripted = ScriptedEngine()
    (run,) = went(scripted.engine, start_runs(scripted.engine, [SMALL]), [tmp_path])
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        *(f"checkpoint_ep{n}" for n in (0, 4, 8, 12)),
        "best",
        "completions.jsonl",
        "results.json",
    }
    assert prompt_folders(tmp_path) == {SHARED: tmp_path / "best"}
    loaded = load_run(tmp_path, scripted.base_model)
    assert loaded.kept_episodes == run.kept_episodes
    assert torch.equal(loaded.kept[SHARED].prompt, run.kept[SHARED].prompt)
    best = (tmp_path / "best" / "adapter_model.safetensors").read_bytes()
    chosen = tmp_path / f"checkpoint_ep{run.kept_episodes}" / "adapter_model.safetensors"
    assert best == chosen.read_bytes()


def test_prompts_of_families_lie_beside_each_other(tmp_path):
    scripted = ScriptedEngine()
    experiment = replace(SMALL, per_family=True, episodes=10, eval_interval=10)
    (run,) = went(scripted.engine, start_runs(scripted.engine, [experiment]), [tmp_path])
    assert set(prompt_folders(tmp_path)) == set(FAMILIES)
    assert prompt_folders(tmp_path / "checkpoint_ep10")["causal"].parent.name == "checkpoint_ep10"
    loaded = load_run(tmp_path, scripted.base_model)
    for family, learner in run.learners.items():
        assert torch.equal(loaded.learners[family].prompt, learner.prompt)


def test_a_plain_checkpoint_stands_for_itself(tmp_path):
    assert prompt_folders(tmp_path) == {SHARED: tmp_path}


def test_a_run_of_another_model_is_not_gone_on_with(tmp_path):
    scripted = ScriptedEngine()
    went(scripted.engine, start_runs(scripted.engine, [SMALL]), [tmp_path], 2)
    with pytest.raises(OtherModelError, match="tiny-qwen2"):
        load_run(tmp_path, build_base_model("llama"))


@pytest.mark.parametrize("damage", ["missing", "checkpoint", "text"])
def test_what_cannot_be_gone_on_with_says_why(tmp_path, damage):
    scripted = ScriptedEngine()
    went(scripted.engine, start_runs(scripted.engine, [SMALL]), [tmp_path], 4)
    path = tmp_path / RESULTS
    if damage == "missing":
        path.unlink()
    elif damage == "checkpoint":
        path.write_text(json.dumps(json.loads(path.read_text()) | {"checkpoint": "../else"}))
    else:
        path.write_text("not JSON")
    with pytest.raises(CheckpointError, match=r"results\.json"):
        load_run(tmp_path, scripted.base_model)
