"""What the learner is told, compared: what was sampled is told as it was, with its spread."""

import math
from dataclasses import replace

import pytest

from learner.experiments.estimates import Arm
from learner.experiments.problem_order import Episode
from learner.experiments.settings import TUNED
from learner.measuring import Score
from learner.report.signals import reached_text, samples_text
from tests.learner.experiments.runs import made_up


def episode(step, reward, entropy=0.5, length=2.0, no_answer=0.0, accepted=True):
    return Episode(
        "causal",
        1,
        "Yes",
        step,
        right=reward > 0.5,
        accepted=accepted,
        seconds=0.1,
        reward=reward,
        entropy=entropy,
        length=length,
        no_answer=no_answer,
    )


def arm(*seeds, signal="reward"):
    runs = [
        replace(
            made_up(seed),
            sampled=tuple(sampled),
            experiment=TUNED.with_config(signal=signal).with_seed(seed),
        )
        for seed, sampled in enumerate(seeds)
    ]
    return Arm(signal, tuple(runs))


def rows(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_samples_are_told_at_both_ends_over_seeds():
    learning = [
        [episode(step, 0.25 + seed / 4, length=6.0) for step in range(1, 6)]
        + [episode(step, 1.0, entropy=0.1, no_answer=seed / 4) for step in range(6, 12)]
        for seed in (0, 1)
    ]
    text = samples_text({"answer": arm([], []), "reward": arm(*learning)})
    heading, _, first, last = rows(text)
    assert "4 problems a step, 8 samples each: the mean over 2 seeds" in text
    assert heading[2:4] == ["samples right", "problems where samples disagree"]
    assert first[:3] == ["reward", "first 5", "37.5 % [0.0, 100.0]"]  # 25 and 50 %
    assert first[3:] == [
        "100.0 % [100.0, 100.0]",
        "0.50 [0.50, 0.50]",
        "6.00 [6.00, 6.00]",
        "0.0 % [0.0, 0.0]",
    ]
    assert last[2:4] == ["100.0 % [100.0, 100.0]", "0.0 % [0.0, 0.0]"]
    assert last[4:] == ["0.10 [0.10, 0.10]", "2.00 [2.00, 2.00]", "12.5 % [0.0, 100.0]"]


def test_the_entropy_is_that_of_a_token_however_long_its_sample():
    both = [episode(1, 0.5, entropy=1.0, length=1.0), episode(1, 0.5, entropy=0.2, length=3.0)]
    _, _, first, _ = rows(samples_text({"reward": arm(both, both)}))
    assert first[4] == "0.40 [0.40, 0.40]"


def test_steps_that_were_not_taken_are_counted_seed_by_seed():
    seeds = [[episode(step, 1.0, accepted=step > idle) for step in range(1, 8)] for idle in (0, 3)]
    assert "seed by seed: reward 7, 4 of 7." in samples_text({"reward": arm(*seeds)})


def test_runs_from_before_samples_were_kept_are_left_out():
    old = replace(episode(1, 0.5), entropy=math.nan, length=math.nan, no_answer=math.nan)
    assert not old.sampled and old.disagreed
    assert "not kept" in samples_text({"reward": arm([], [])})
    kept = [episode(1, 0.5)]
    found = rows(samples_text({"reward": arm([], kept), "mix": arm(kept, kept, signal="mix")}))
    assert [row[0] for row in found[2:]] == ["mix", "mix"]


def test_seeds_that_came_near_the_templated_accuracy_are_counted():
    def run(seed, rights):
        curve = tuple(Score(right, 100, episodes=20 * i) for i, right in enumerate(rights))
        return replace(made_up(seed), curve=curve)

    found = Arm("reward", (run(0, (0, 63, 50)), run(1, (0, 62, 64)), run(2, (0, 10, 20))))
    assert reached_text(found, 0.7) == (
        "2 of 3 seeds reached 90% of the templated accuracy (70.0 %), after 20, 40 episodes."
    )
    assert (
        reached_text(found, 1.0).startswith("0 of 3 seeds") and reached_text(found, 1.0)[-1] == "."
    )


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"reward": 1.5}, "reward is from 0 to 1, not 1.5"),
        ({"reward": 0.5, "length": 0.0}, "length is from 1 to inf"),
        ({"reward": 0.5, "entropy": -0.1}, "entropy is from 0"),
        ({"reward": 0.5, "no_answer": 2.0}, "no_answer is from 0 to 1"),
    ],
)
def test_samples_that_cannot_be_are_refused(values, says):
    with pytest.raises(ValueError, match=says):
        episode(1, **values)
