"""Experiments are told of as they go: how fast, how long still; and end where who watches says."""

import pytest

from learner.experiments.engine import advance, start_runs
from learner.experiments.running import LEARNING, MEASURING, STARTING, Stopwatch, run_to_end
from learner.measuring import Stopped
from tests.learner.experiments.scripted_engine import SMALL, ScriptedEngine


def test_what_is_left_counts_steps_and_measurements_to_come():
    now = [0.0]
    experiments = [SMALL.with_seed(seed) for seed in (0, 1)]
    stopwatch = Stopwatch(experiments, clock=lambda: now[0])
    assert stopwatch.starting(1, 8).phase == STARTING
    engine = ScriptedEngine().engine
    runs = start_runs(engine, experiments)
    now[0] = 99.0
    assert stopwatch.after(runs).rate is None
    seen = []
    for after in advance(engine, runs):
        runs = after
        now[0] += 3.0 if runs[0].measured else 1.0  # 30 problems, or 4 episodes
        seen.append(stopwatch.after(runs))
    assert [progress.done for progress in seen] == [0, 4, 8, 8, 12, 16, 16, 20, 24, 24]
    assert {progress.total for progress in seen} == {24}
    assert [progress.rate for progress in seen[1:]] == [pytest.approx(4)] * 9
    # 6 steps of a second, and 4 measurements of 3, the first of which is over
    assert [progress.seconds_left for progress in seen] == [
        None,
        *map(pytest.approx, (14, 13, 10, 9, 8, 5, 4, 3, 0)),
    ]
    assert {progress.phase for progress in seen} == {LEARNING}


def test_within_a_measurement_what_was_answered_counts():
    now = [0.0]
    stopwatch = Stopwatch([SMALL], clock=lambda: now[0])
    engine = ScriptedEngine().engine
    runs = start_runs(engine, [SMALL])
    stopwatch.after(runs)
    now[0] = 1.0
    progress = stopwatch.measuring(runs, 5, 15)
    assert (progress.phase, progress.part, progress.whole) == (MEASURING, 5, 15)
    assert progress.seconds_left is None  # nobody knows yet how fast it learns


@pytest.mark.parametrize("last", range(1, 30, 4))
def test_whoever_watches_may_end_it_anywhere_and_it_goes_on_from_there(tmp_path, last):
    folders = [tmp_path / "whole", tmp_path / "stopped"]
    (whole,) = run_to_end(ScriptedEngine().engine, [SMALL], folders[:1])
    seen = []

    def watch(progress):
        seen.append(progress)
        if len(seen) == last and not progress.finished:
            raise Stopped

    try:
        run_to_end(ScriptedEngine().engine, [SMALL], folders[1:], watch)
        stopped = False
    except Stopped:
        stopped = True
    assert stopped == (last < 18)  # a start, 6 steps, 4 measurements told of twice more each
    engine = ScriptedEngine()
    (run,) = run_to_end(engine.engine, [SMALL], folders[1:])
    assert (run.held_out, run.validation) == (whole.held_out, whole.validation)
    assert [episode.loss for episode in run.past] == [episode.loss for episode in whole.past]
    assert bool(engine.asked) == stopped
