"""How fast experiments go, and how long they will still take, from what they took so far."""

import pytest

from learner.experiments.engine import advance, start_runs
from learner.experiments.pace import LEARNING, MEASURING, STARTING, Pace
from tests.learner.experiments.pupils import SMALL, Pupils


def test_what_is_left_counts_steps_and_measurements_to_come():
    now = [0.0]
    experiments = [SMALL.with_seed(seed) for seed in (0, 1)]
    pace = Pace("run-1", experiments, clock=lambda: now[0])
    assert pace.starting(1, 8).phase == STARTING
    engine = Pupils().engine
    runs = start_runs(engine, experiments)
    now[0] = 99.0
    assert pace.after(runs).rate is None
    seen = []
    for after in advance(engine, runs):
        runs = after
        now[0] += 3.0 if runs[0].measured else 1.0  # 30 problems, or 4 episodes
        seen.append(pace.after(runs))
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
    pace = Pace("run-1", [SMALL], clock=lambda: now[0])
    engine = Pupils().engine
    runs = start_runs(engine, [SMALL])
    pace.after(runs)
    now[0] = 1.0
    progress = pace.measuring(runs, 5, 15)
    assert (progress.phase, progress.part, progress.whole) == (MEASURING, 5, 15)
    assert progress.seconds_left is None  # nobody knows yet how fast it learns
