"""results.json: all that the original's had, enough to go on from, refused if damaged."""

import json
import math
from dataclasses import replace

import pytest

from learner.checkpoint.reading import CheckpointError
from learner.experiments import results_file
from learner.experiments.engine import advance, start_runs
from learner.experiments.original import PUBLISHED
from learner.experiments.results_file import (
    as_json,
    environment,
    parse_past,
    parse_results,
    parse_run_record,
    read_results,
)
from learner.measuring import Score
from tests.learner.experiments.originals import train_continuous_record, train_qwen_record
from tests.learner.experiments.scripted_engine import SMALL, ScriptedEngine

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


def finished(experiment=SMALL, scripted=None):
    engine = (scripted or ScriptedEngine()).engine
    *_, (run,) = advance(engine, start_runs(engine, [experiment]))
    return run


@pytest.fixture(scope="module")
def run():
    return finished()


def written(run, checkpoint="checkpoint_ep12"):
    return as_json(run, environment(ScriptedEngine().base_model), checkpoint)


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
    past, scores, baselines = parse_past(record, until)
    assert record.settings == run.experiment
    assert past == run.past[:until]
    assert scores["evaluations"] == tuple(m for m in run.held_out if m.episodes <= until)
    assert scores["validations"] == tuple(m for m in run.validation if m.episodes <= until)
    assert baselines == run.baselines


def test_a_loss_that_is_not_a_number_is_null():
    refused = finished(scripted=ScriptedEngine(refusing="causal"))
    data = written(refused)
    entries = json.loads(data, parse_constant=pytest.fail)["training"]
    assert any(entry["loss"] is None and entry["message"] for entry in entries)
    past, _, _ = parse_past(parse_run_record(data), 12)
    assert [math.isnan(episode.loss) for episode in past] == [
        math.isnan(episode.loss) for episode in refused.past
    ]


def test_what_was_sampled_is_there_where_a_reward_was_told_and_nowhere_else(run):
    kept = {"reward", "entropy", "length", "no_answer"}
    assert not any(kept & set(entry) for entry in json.loads(written(run))["training"])
    told = finished(replace(SMALL, config=replace(SMALL.config, signal="reward")))
    record = json.loads(written(told))
    assert all(kept <= set(entry) for entry in record["training"])
    assert parse_past(parse_run_record(written(told)), 12)[0] == told.past
    for entry in record["training"]:  # as it was written before more than the reward was kept
        for name in ("entropy", "length", "no_answer"):
            del entry[name]
    past, _, _ = parse_past(parse_run_record(json.dumps(record).encode()), 12)
    assert [episode.reward for episode in past] == [episode.reward for episode in told.past]
    assert not any(episode.sampled for episode in past)


def test_a_sequence_says_what_was_remembered():
    record = json.loads(written(finished(replace(SMALL, order="sequence"))))
    measures = record["continual_learning"]
    assert set(measures) == {"average_accuracy", "backward", "forward", "forgetting"}
    assert measures["average_accuracy"] > 0
    assert measures["forgetting"] == 0  # these scripted never forget


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


# --- read as results: ours, and the original experiments' ---


def test_our_own_say_what_the_run_says(run):
    results = parse_results(written(run), "mine")
    assert (results.name, results.model, results.seed) == ("mine", "tiny-qwen2", 0)
    assert results.experiment == run.experiment
    assert [score.outcomes for score in results.curve] == [m.outcomes for m in run.held_out]
    assert results.final == results.curve[-1]
    assert results.kept.episodes == run.kept_episodes
    assert results.alone.correct == 0
    assert [score.correct for score in results.validation] == [
        score.correct for score in run.validation
    ]
    assert results.losses == tuple((i, e.loss) for i, e in enumerate(run.past, 1))
    assert results.problems == tuple(p.key for p in run.experiment.problems())
    tallies = run.held_out[-1].by_family(run.experiment.problems())
    assert {name: after.accuracy for name, (_, after) in results.families.items()} == {
        name: tally.accuracy for name, tally in tallies.items()
    }
    assert list(results.difficulties) == ["1", "2", "3", "4", "5"]
    assert len(results.step_rates) == 6
    assert results.sampled == ()
    assert results.finished


def test_episodes_of_which_the_samples_are_known_are_there():
    engine = ScriptedEngine().engine
    told = replace(SMALL, config=replace(SMALL.config, signal="reward"))
    *_, (rewarded,) = advance(engine, start_runs(engine, [told]))
    assert parse_results(written(rewarded), "rewarded").sampled == rewarded.past


def test_the_originals_first_kind_loads(tmp_path):
    path = tmp_path / "checkpoints" / "results.json"
    path.parent.mkdir()
    path.write_text(json.dumps(train_qwen_record()))  # with NaN, as Python writes it
    results = read_results(path.parent)
    assert results.name == "checkpoints"
    assert results.experiment is None
    assert results.curve == (Score(2, 20), Score(7, 20, episodes=4))
    assert results.final == Score(10, 50, episodes=4)
    assert results.losses == ((1, 4.25), (2, 3.5), (4, 1.5))
    assert results.families["causal"][1].accuracy == 1.0
    assert results.families["causal"][1].interval is None  # nobody wrote down of how many
    assert (results.chat_template, results.episodes_per_second) == (False, 0.5)


def test_the_originals_other_kind_loads():
    results = parse_results(json.dumps(train_continuous_record()).encode(), "tinyllama")
    assert results.curve == (Score(1, 5), Score(9, 20, episodes=2))
    assert results.final == Score(10, 20, episodes=2)
    assert results.losses == ((1, 2.0), (2, 1.0))
    assert math.isnan(results.episodes_per_second)


def test_the_published_numbers_are_those_of_the_report():
    shares = [(run.curve[0].accuracy, run.final.accuracy) for run in PUBLISHED]
    assert shares == [(0.65, 0.62), (0.1, 0.2), (0.2, 0.4)]
    assert [run.episodes_per_second for run in PUBLISHED] == [1.60, 0.57, 0.47]


@pytest.mark.parametrize(
    "damage",
    [
        {"model_name": 7},
        {"evaluations": None},
        {"evaluations": [{"episode": 0}]},
        {"evaluations": [{"episode": 0, "n_correct": 3, "n_total": 2}]},
        {"final_evaluation": []},
        {"training": [{"episode": "one", "loss": 1.0}]},
        {"use_chat_template": "yes"},
        {"learning_rate": None},
        {"n_episodes": -1},
        {"evaluations": []},
        {"final_evaluation": {"n_correct": 0, "n_total": 0}},
    ],
)
def test_a_damaged_original_is_refused_in_a_sentence(damage):
    data = json.dumps(train_qwen_record() | damage).encode()
    says = r"would be right|is not a score|3 of 2|has no n_correct|before it was ever measured"
    with pytest.raises(CheckpointError, match=rf"^results\.json .*({says})"):
        parse_results(data, "checkpoints")


@pytest.mark.parametrize(
    "damage",
    [
        {"problems": []},
        {"kept_episode": "last"},
        {"finished": None},
        {"evaluations": []},
        {"problems": [], "baselines": {}, "evaluations": [{"episode": 0, "outcomes": ""}]},
        {"validations": [{"episode": 0, "outcomes": ""}]},
        {"problems": [{"key": 1, "task_type": "causal", "difficulty": 1}]},
    ],
)
def test_a_damaged_file_of_ours_is_refused_in_a_sentence(run, damage):
    data = json.dumps(json.loads(written(run)) | damage).encode()
    with pytest.raises(CheckpointError, match=r"results\.json"):
        parse_results(data, "mine")


def test_steps_that_took_no_time_have_no_speed(run):
    record = json.loads(written(run))
    for episode in record["training"]:
        episode["seconds"] = 0
    results = parse_results(json.dumps(record).encode(), "mine")
    assert (results.episodes_per_second, results.training_seconds, results.step_rates) == (0, 0, ())
    timeless = replace(run, past=tuple(replace(episode, seconds=0.0) for episode in run.past))
    assert json.loads(written(timeless))["episodes_per_sec"] is None


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"\xff", b'{"format": "other/1"}', b"[" * 9999]
)
def test_what_is_no_results_file_is_refused(data):
    with pytest.raises(CheckpointError, match=r"results\.json"):
        parse_results(data, "mine")


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no run in"):
        read_results(tmp_path)


def test_a_file_that_is_too_large_for_results_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "results.json").write_bytes(b" " * 11)
    monkeypatch.setattr(results_file, "MAX_BYTES", 10)
    with pytest.raises(CheckpointError, match="larger than any run's results"):
        read_results(tmp_path)
