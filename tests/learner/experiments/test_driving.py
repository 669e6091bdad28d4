"""Driving saves as it goes, stops at Ctrl-C without losing anything, and goes on from there."""

from dataclasses import replace

import pytest

from learner.checkpoint.reading import CheckpointError
from learner.experiments.driving import Stopped, drive
from learner.experiments.folder import read_runs, run_folders, seed_folders
from learner.experiments.results_file import RESULTS
from tests.learner.experiments.pupils import SMALL, Pupils

SEEDS = (0, 1)
EXPERIMENTS = [SMALL.with_seed(seed) for seed in SEEDS]


def outcomes(results):
    return [[score.outcomes for score in run.curve] for run in results]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The runs as they are if nobody interrupts them."""
    folders = seed_folders(tmp_path_factory.mktemp("whole"), SEEDS)
    return drive(Pupils().engine, EXPERIMENTS, folders, curves=False)


@pytest.mark.parametrize("passes", range(10))
def test_ctrl_c_at_any_pass_loses_nothing(whole, tmp_path, passes):
    folders = seed_folders(tmp_path / "stopped", SEEDS)
    stopping = Pupils(stop_after=passes)
    with pytest.raises(Stopped, match="of 12 episodes, and saved"):
        drive(stopping.engine, EXPERIMENTS, folders, curves=False)
    resumed = Pupils()
    results = drive(resumed.engine, EXPERIMENTS, folders, curves=False)
    assert outcomes(results) == outcomes(whole)
    assert [run.losses for run in results] == [run.losses for run in whole]
    assert len(stopping.trained) + len(resumed.trained) == 6  # no step was taken twice
    assert not list(tmp_path.glob("stopped/*/interrupted"))


def test_what_has_ended_is_not_run_again(tmp_path, capsys):
    folders = seed_folders(tmp_path, SEEDS)
    first = drive(Pupils().engine, EXPERIMENTS, folders)
    printed = capsys.readouterr().out
    assert printed.count("episodes  ") == 4
    assert "of 10 problems, 2 seeds" in printed
    pupils = Pupils()
    assert drive(pupils.engine, EXPERIMENTS, folders) == first
    assert pupils.trained == pupils.asked == []
    for folder in folders:
        assert (folder / "learning_curves.png").is_file()
        assert (folder / "best" / "learning_curves.png").is_file()


def test_a_folder_with_another_run_is_left_alone(tmp_path):
    drive(Pupils().engine, EXPERIMENTS[:1], [tmp_path])
    before = (tmp_path / RESULTS).read_bytes()
    with pytest.raises(CheckpointError, match="other settings"):
        drive(Pupils().engine, [replace(SMALL, episodes=8)], [tmp_path])
    assert (tmp_path / RESULTS).read_bytes() == before


def test_runs_are_found_by_their_folder_or_their_file(tmp_path):
    folders = seed_folders(tmp_path, range(11))
    assert folders[10] == tmp_path / "seed-10"
    drive(Pupils().engine, [SMALL.with_seed(n) for n in range(11)], folders, curves=False)
    assert run_folders(tmp_path) == folders  # seed-2 before seed-10
    assert [run.seed for run in read_runs(tmp_path)] == list(range(11))
    assert read_runs(folders[3]) == read_runs(folders[3] / RESULTS)
    assert seed_folders(tmp_path, [5]) == [tmp_path]
    with pytest.raises(CheckpointError, match="no run in"):
        run_folders(tmp_path / "nowhere")
