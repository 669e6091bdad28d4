"""Driving saves as it goes, stops at Ctrl-C without losing anything, and goes on from there."""

import signal
import threading
from dataclasses import replace

import pytest

from learner.checkpoint.reading import CheckpointError
from learner.experiments.driving import CtrlC, drive
from learner.experiments.folder import read_runs, run_folders, seed_folders
from learner.experiments.results_file import RESULTS
from learner.measuring import Stopped
from tests.learner.experiments.scripted_engine import SMALL, ScriptedEngine

SEEDS = (0, 1)
EXPERIMENTS = [SMALL.with_seed(seed) for seed in SEEDS]


def outcomes(results):
    return [[score.outcomes for score in run.curve] for run in results]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The runs as they are if nobody interrupts them."""
    folders = seed_folders(tmp_path_factory.mktemp("whole"), SEEDS)
    return drive(ScriptedEngine().engine, EXPERIMENTS, folders, curves=False)


@pytest.mark.parametrize("passes", range(10))
def test_ctrl_c_at_any_pass_loses_nothing(whole, tmp_path, passes):
    folders = seed_folders(tmp_path / "stopped", SEEDS)
    stopping = ScriptedEngine(stop_after=passes)
    with pytest.raises(Stopped, match="of 12 episodes, and saved"):
        drive(stopping.engine, EXPERIMENTS, folders, curves=False)
    resumed = ScriptedEngine()
    results = drive(resumed.engine, EXPERIMENTS, folders, curves=False)
    assert outcomes(results) == outcomes(whole)
    assert [run.losses for run in results] == [run.losses for run in whole]
    assert len(stopping.trained) + len(resumed.trained) == 6  # no step was taken twice
    assert not list(tmp_path.glob("stopped/*/interrupted"))


@pytest.mark.parametrize("passes", (2, 7))
def test_runs_that_take_other_steps_go_on_after_ctrl_c(tmp_path, passes):
    paces = [SMALL.with_config(episodes_per_step=step) for step in (1, 2, 4)]
    folders = [tmp_path / str(i) for i in range(len(paces))]
    with pytest.raises(Stopped):
        drive(ScriptedEngine(stop_after=passes).engine, paces, folders, curves=False)
    results = drive(ScriptedEngine().engine, paces, folders, curves=False)
    folders = [tmp_path / f"whole-{i}" for i in range(len(paces))]
    whole = drive(ScriptedEngine().engine, paces, folders, curves=False)
    assert outcomes(results) == outcomes(whole)
    assert [run.losses for run in results] == [run.losses for run in whole]


def test_what_has_ended_is_not_run_again(tmp_path, capsys):
    folders = seed_folders(tmp_path, SEEDS)
    first = drive(ScriptedEngine().engine, EXPERIMENTS, folders)
    printed = capsys.readouterr().out
    assert printed.count("episodes  ") == 4
    assert "of 10 problems, 2 seeds" in printed
    scripted = ScriptedEngine()
    assert drive(scripted.engine, EXPERIMENTS, folders) == first
    assert scripted.trained == scripted.asked == []
    for folder in folders:
        assert (folder / "learning_curves.png").is_file()
        assert (folder / "best" / "learning_curves.png").is_file()


def test_a_folder_with_another_run_is_left_alone(tmp_path):
    drive(ScriptedEngine().engine, EXPERIMENTS[:1], [tmp_path])
    before = (tmp_path / RESULTS).read_bytes()
    with pytest.raises(CheckpointError, match="other settings"):
        drive(ScriptedEngine().engine, [replace(SMALL, episodes=8)], [tmp_path])
    assert (tmp_path / RESULTS).read_bytes() == before


def test_runs_are_found_by_their_folder_or_their_file(tmp_path):
    folders = seed_folders(tmp_path, range(11))
    assert folders[10] == tmp_path / "seed-10"
    drive(ScriptedEngine().engine, [SMALL.with_seed(n) for n in range(11)], folders, curves=False)
    assert run_folders(tmp_path) == folders  # seed-2 before seed-10
    assert [run.seed for run in read_runs(tmp_path)] == list(range(11))
    assert read_runs(folders[3]) == read_runs(folders[3] / RESULTS)
    assert seed_folders(tmp_path, [5]) == [tmp_path]
    with pytest.raises(CheckpointError, match="no run in"):
        run_folders(tmp_path / "nowhere")


# --- Ctrl-C: noted, raised where it is looked for, and let through the second time ---


@pytest.fixture
def as_in_a_command():
    """Python's own handler before, and again afterwards, whatever runs the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler


def test_it_is_raised_at_the_next_check_and_once(as_in_a_command):
    with CtrlC() as ctrl_c:
        ctrl_c.check()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            ctrl_c.check()
        ctrl_c.check()


def test_a_place_that_swallows_exceptions_does_not_swallow_it(as_in_a_command):
    class Swallowing:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    with CtrlC() as ctrl_c:
        Swallowing()
        with pytest.raises(KeyboardInterrupt):
            ctrl_c.check()


def test_the_second_time_it_is_raised_at_once(as_in_a_command):
    with CtrlC():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_on_another_thread_it_leaves_signals_alone(as_in_a_command):
    def body():
        with CtrlC() as ctrl_c:
            found.append(signal.getsignal(signal.SIGINT))
            ctrl_c.check()

    found = []
    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert found == [before]
