"""results.json: all that the original's had, and enough to go on from."""

import json
import math
from dataclasses import replace

import pytest

from learner.checkpoint.reading import CheckpointError
from learner.experiments.engine import advance, start_runs
from learner.experiments.results_file import as_json, environment, parse_past, parse_run_record
from tests.learner.experiments.pupils import SMALL, Pupils

# What train_qwen.py of the original experiments wrote, key by key.
ORIGINAL_KEYS = {
    "": {
        "model_name",
        "n_episodes",
        "n_soft_tokens",
        "learning_rate",
        "use_chat_template",
        "training",
        "evaluations",
        "start_time",
        "elapsed_time",
        "episodes_per_sec",
        "final_evaluation",
    },
    "training": {"episode", "loss", "correct", "is_correct", "task_type"},
    "evaluations": {"episode", "accuracy", "per_task_accuracy", "n_correct", "n_total"},
}


def finished(experiment=SMALL, pupils=None):
    engine = (pupils or Pupils()).engine
    *_, (run,) = advance(engine, start_runs(engine, [experiment]))
    return run


@pytest.fixture(scope="module")
def run():
    return finished()


def written(run, checkpoint="checkpoint_ep12"):
    return as_json(run, environment(Pupils().base_model), checkpoint)


def test_it_has_every_key_of_the_originals(run):
    record = json.loads(written(run))
    assert ORIGINAL_KEYS[""] <= set(record)
    assert all(ORIGINAL_KEYS["training"] <= set(entry) for entry in record["training"])
    for evaluation in (*record["evaluations"], record["final_evaluation"]):
        assert ORIGINAL_KEYS["evaluations"] <= set(evaluation)
    assert [entry["episode"] for entry in record["training"]] == list(range(1, 13))
    assert record["episodes_per_sec"] > 0
    assert record["versions"].keys() == {"python", "torch", "transformers"}
    assert len(record["problems"]) == len(record["final_evaluation"]["outcomes"]) == 10


@pytest.mark.parametrize("until", [0, 1, 7, 12])
def test_what_happened_until_anywhere_is_read_back_exactly(run, until):
    record = parse_run_record(written(run))
    experiment, past, scores, baselines = parse_past(record, until)
    assert experiment == run.experiment
    assert past == run.past[:until]
    assert scores["evaluations"] == tuple(m for m in run.held_out if m.episodes <= until)
    assert scores["validations"] == tuple(m for m in run.validation if m.episodes <= until)
    assert baselines == run.baselines


def test_a_loss_that_is_not_a_number_is_null():
    refused = finished(pupils=Pupils(refusing="causal"))
    data = written(refused)
    entries = json.loads(data, parse_constant=pytest.fail)["training"]
    assert any(entry["loss"] is None and entry["message"] for entry in entries)
    _, past, _, _ = parse_past(parse_run_record(data), 12)
    assert [math.isnan(episode.loss) for episode in past] == [
        math.isnan(episode.loss) for episode in refused.past
    ]


def test_what_was_sampled_is_there_where_a_reward_was_told_and_nowhere_else(run):
    kept = {"reward", "entropy", "length", "no_answer"}
    assert not any(kept & set(entry) for entry in json.loads(written(run))["training"])
    told = finished(replace(SMALL, config=replace(SMALL.config, signal="reward")))
    record = json.loads(written(told))
    assert all(kept <= set(entry) for entry in record["training"])
    assert parse_past(parse_run_record(written(told)), 12)[1] == told.past
    for entry in record["training"]:  # as it was written before more than the reward was kept
        for name in ("entropy", "length", "no_answer"):
            del entry[name]
    _, past, _, _ = parse_past(parse_run_record(json.dumps(record).encode()), 12)
    assert [episode.reward for episode in past] == [episode.reward for episode in told.past]
    assert not any(episode.sampled for episode in past)


def test_a_sequence_says_what_was_remembered():
    record = json.loads(written(finished(replace(SMALL, order="sequence"))))
    measures = record["continual_learning"]
    assert set(measures) == {"average_accuracy", "backward", "forward", "forgetting"}
    assert measures["average_accuracy"] > 0
    assert measures["forgetting"] == 0  # these pupils never forget


@pytest.mark.parametrize(
    "damage",
    [
        {"format": "something/9"},
        {"training": None},
        {"training": [{"episode": 1}]},
        {"training": ["x"]},
        {"evaluations": [{"episode": 0, "outcomes": "10?"}]},
        {"evaluations": [{"episode": "0", "outcomes": "10"}]},
        {"evaluations": [7]},
        {"settings": {"episodes": "many"}},
        {"settings": None},
    ],
)
def test_what_was_changed_by_hand_is_refused_in_a_sentence(run, damage):
    data = json.dumps(json.loads(written(run)) | damage).encode()
    with pytest.raises(CheckpointError, match=r"results\.json"):
        parse_past(parse_run_record(data), 12)
