"""What decides an experiment: milestones, presets, and the JSON that it is kept as."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena import DIFFICULTIES, FAMILIES
from arena.sampling import split_of
from learner.checkpoint.reading import CheckpointError, parse
from learner.experiments.settings import (
    ORDERS,
    ORIGINAL,
    STARTS,
    TUNED,
    Experiment,
)
from learner.learning.learner import INITIALISERS, LOSSES, SIGNAL_NAMES, LearnerConfig

configs = st.builds(
    LearnerConfig,
    soft_tokens=st.integers(1, 100),
    initialiser=st.sampled_from(INITIALISERS),
    learning_rate=st.floats(1e-6, 1),
    episodes_per_step=st.integers(1, 64),
    chat_template=st.booleans(),
    seed=st.integers(0, 2**40),
    loss=st.sampled_from(LOSSES),
    shots=st.integers(0, 8),
    signal=st.sampled_from(SIGNAL_NAMES),
)
experiments = st.builds(
    Experiment,
    config=configs,
    episodes=st.integers(5, 500),
    eval_interval=st.integers(1, 600),
    eval_problems=st.integers(25, 500),
    validation_problems=st.integers(0, 500),
    held_out_seed=st.integers(0, 100),
    families=st.lists(st.sampled_from([*FAMILIES]), min_size=2, unique=True).map(tuple),
    difficulties=st.lists(st.sampled_from(DIFFICULTIES), min_size=1, unique=True).map(tuple),
    order=st.sampled_from(ORDERS),
    start=st.sampled_from(STARTS),
    eval_at=st.lists(st.integers(1, 5), max_size=3).map(tuple),
)


@given(experiments)
def test_an_experiment_survives_json(experiment):
    kept = json.dumps(experiment.as_dict()).encode()
    assert parse(Experiment, kept, "results.json") == experiment


@given(experiments)
def test_milestones_go_from_the_start_to_the_end(experiment):
    milestones = experiment.milestones
    assert milestones[0] == 0
    assert milestones[-1] == experiment.episodes
    assert list(milestones) == sorted(set(milestones))
    if experiment.order == "sequence":
        assert set(experiment.phase_ends) <= set(milestones)
        assert experiment.phase_ends[-1] == experiment.episodes


def test_milestones_of_the_original():
    assert TUNED.milestones == ORIGINAL.milestones == (0, 20, 40, 60, 80)
    assert replace(TUNED, eval_at=(1, 5, 20)).milestones == (0, 1, 5, 20, 80)
    assert replace(TUNED, episodes=50).milestones == (0, 20, 40, 50)


def test_the_original_preset_is_what_the_original_did():
    config = ORIGINAL.config
    assert (config.soft_tokens, config.learning_rate, config.episodes_per_step) == (8, 1e-3, 1)
    assert (config.initialiser, config.init_std, config.loss) == ("normal", 0.1, "text")
    assert (ORIGINAL.episodes, ORIGINAL.eval_interval, ORIGINAL.eval_problems) == (80, 20, 20)
    assert (config.max_grad_norm, ORIGINAL.validation_problems) == (1.0, 0)


def test_settings_that_came_later_take_their_defaults():
    kept = b'{"config": {}, "episodes": 40}'
    assert parse(Experiment, kept, "f") == replace(TUNED, episodes=40)


@pytest.mark.parametrize("split", ["held-out", "validation"])
def test_what_is_measured_on_is_of_its_own_split_and_always_the_same(split):
    problems = TUNED.problems(split)
    assert problems == TUNED.with_seed(7).problems(split)
    assert {split_of(problem) for problem in problems} == {split}
    assert len(problems) == (200 if split == "held-out" else 100)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"episodes": 0}, "1 to 100000 episodes"),
        ({"eval_interval": 0}, "at least 1 episode between"),
        ({"eval_problems": 1}, "2 to 10000 problems, not 1"),
        ({"validation_problems": -1}, "0 to 10000 problems"),
        ({"families": ("chess",)}, "chosen, each once, from"),
        ({"families": ()}, "chosen, each once, from"),
        ({"families": ("causal", "causal")}, "each once"),
        ({"difficulties": (6,)}, "from 1 to 5"),
        ({"order": "backwards"}, "no order 'backwards'"),
        ({"start": "anywhere"}, "no start 'anywhere'"),
        ({"eval_at": (81,)}, "after 1 to 80 episodes"),
        ({"order": "curriculum", "per_family": True}, "mixed"),
        ({"order": "sequence", "families": ("causal",)}, "at least two families"),
        ({"order": "sequence", "eval_problems": 3}, "these 3 held-out problems are not of all"),
        ({"training_problems": -1}, "1 to 100000 different problems"),
        ({"training_problems": 8, "order": "curriculum"}, "in mixed order"),
        ({"training_problems": 8, "per_family": True}, "one prompt's"),
        ({"per_family": True, "episodes": 3}, "an episode for each"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(settings, complaint):
    with pytest.raises(ValueError, match=complaint):
        replace(TUNED, **settings)


@pytest.mark.parametrize(
    "damage",
    [
        None,
        [],
        {"colour": "blue"},
        {"episodes": "80"},
        {"episodes": True},
        {"families": "causal"},
        {"families": [1]},
        {"eval_at": [["x"]]},
        {"config": {"soft_tokens": 0}},
        {"config": {"colour": "blue"}},
        {"per_family": 1},
    ],
)
def test_a_file_that_says_nonsense_is_refused(damage):
    with pytest.raises(CheckpointError, match=r"results\.json"):
        parse(Experiment, json.dumps(damage).encode(), "results.json")


@pytest.mark.parametrize("seed", range(5))
def test_a_sequence_is_measured_on_every_family_or_refused(seed):
    for problems in range(2, 30):
        asked = replace(TUNED, eval_problems=problems, held_out_seed=seed)
        families = {problem.family for problem in asked.problems()}
        if families == set(FAMILIES):
            assert replace(asked, order="sequence").order == "sequence"
        else:
            with pytest.raises(ValueError, match="not of all; take more"):
                replace(asked, order="sequence")
