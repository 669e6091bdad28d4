"""Figures are drawn of any run, the original's too, and change with what they show."""

import io
import json
from dataclasses import replace

import pytest
from PIL import Image

from arena.statistics import Interval
from learner.experiments.figures import comparison, effects, learning_curves
from learner.experiments.original import PUBLISHED
from learner.experiments.results import Results
from learner.experiments.results_file import parse_results
from tests.learner.experiments.originals import train_continuous_record, train_qwen_record
from tests.learner.experiments.runs import made_up


def size(png):
    with Image.open(io.BytesIO(png)) as picture:
        picture.load()
        return picture.size


@pytest.mark.parametrize("count", [1, 5])
def test_four_panels_of_one_run_or_of_several_seeds(count):
    runs = [made_up(seed=seed) for seed in range(count)]
    png = learning_curves(runs)
    assert size(png) == (1040, 660)
    assert png == learning_curves(runs)
    better = [replace(run, losses=((1, 9.0), (2, 0.1))) for run in runs]
    assert png != learning_curves(better)


def test_the_losses_of_a_reward_are_not_told_as_nats():
    told = made_up()
    experiment = told.experiment.with_config(signal="reward")
    assert learning_curves([replace(told, experiment=experiment)]) != learning_curves([told])


def originals() -> list[Results]:
    records = (train_qwen_record(), train_continuous_record())
    read = [parse_results(json.dumps(record).encode(), "original") for record in records]
    return [*read, *PUBLISHED]


@pytest.mark.parametrize("run", originals(), ids=lambda run: run.name)
def test_the_originals_runs_can_be_drawn(run):
    assert size(learning_curves([run])) == (1040, 660)


def test_arms_side_by_side_however_many():
    few = {"mine": [made_up(), made_up(1)], "theirs": [PUBLISHED[0]]}
    many = {f"arm {i}": [made_up(i)] for i in range(12)}
    assert size(comparison(few))[0] == size(comparison(many))[0] == 1040
    assert size(comparison(many))[1] > size(comparison(few))[1]


def test_effects_are_drawn_around_zero():
    rows = {"helps": (0.1, Interval(0.05, 0.15)), "unclear": (0.0, Interval(-0.02, 0.02))}
    assert size(effects(rows, "Title")) == (1040, 142)
    assert effects(rows, "Title") != effects({**rows, "helps": (-0.1, Interval(-0.2, -0.05))}, "T")
