"""The original experiments' files: everything in them arrives, nothing in them runs."""

import io
import json
import os
import zipfile
from collections import OrderedDict
from fractions import Fraction

import pytest
import torch

from arena import Problem
from learner.checkpoint.files import load, load_file, save
from learner.checkpoint.original.learner import load_original, read_original
from learner.checkpoint.reading import CheckpointError, OtherModelError
from learner.learning.learner import LearnerConfig
from learner.learning.training import train_step
from tests.learner.checkpoints import OriginalExperiment, assert_equal, rezipped
from tests.learner.tiny_models import build_base_model


def on_cuda(data):
    """The file as if its tensors had been saved on a GPU, but for Adam's count of steps."""

    def edit(records):
        pickled = records["archive/data.pkl"]
        place = b"X\x03\x00\x00\x00cpu"
        assert pickled.count(place) == 1  # said once, then referred to
        return records | {"archive/data.pkl": pickled.replace(place, b"X\x06\x00\x00\x00cuda:0")}

    return rezipped(data, edit)


# What arrives


@pytest.mark.parametrize("module", ["qwen_learner", "__main__"])
@pytest.mark.parametrize("place", [lambda data: data, on_cuda], ids=["cpu", "cuda"])
def test_everything_in_the_file_arrives(qwen2, written, module, place):
    experiment = OriginalExperiment(module=module).learn(80)
    original = read_original(written(place(experiment.saved())), qwen2)
    state = experiment.optimiser.state_dict()["state"][0]
    assert torch.equal(original.prompt, experiment.prompt)
    assert torch.equal(original.first_moment, state["exp_avg"])
    assert torch.equal(original.second_moment, state["exp_avg_sq"])
    assert (original.steps, original.episodes, original.learning_rate) == (80, 80, 0.001)
    assert [vars(metrics) for metrics in original.history] == [
        vars(metrics) for metrics in experiment.metrics
    ]
    for tensor in (original.prompt, original.first_moment, original.second_moment):
        assert tensor.dtype == torch.float32 and tensor.device.type == "cpu"
        assert not tensor.requires_grad


def test_it_becomes_a_learner_with_the_settings_of_the_original(qwen2, written):
    experiment = OriginalExperiment().learn(7)
    learner = load_original(written(experiment.saved()), qwen2, accept_other_model=True)
    assert learner.config == LearnerConfig(
        soft_tokens=8,
        initialiser="normal",
        init_std=0.1,
        learning_rate=0.001,
        episodes_per_step=1,
        chat_template=True,
        loss="text",
    )
    assert (learner.steps, learner.episodes) == (7, 7)
    assert [record.step for record in learner.history] == [*range(1, 8)]
    assert [record.episodes for record in learner.history] == [*range(1, 8)]
    assert [record.correct for record in learner.history] == [0, 0, 1, 0, 0, 1, 0]
    assert all(record.total == 1 for record in learner.history)
    assert [Fraction(record.loss) for record in learner.history] == [
        Fraction(2 / episode) for episode in range(1, 8)
    ]
    assert learner.families == ("causal_reasoning", "math_word_problem")


def test_training_goes_on_as_torchs_adam_would_have(qwen2, written):
    """From here on, the same gradient moves it by the same bits."""
    experiment = OriginalExperiment().learn(5)
    learner = load_original(written(experiment.saved()), qwen2, accept_other_model=True)
    problem = Problem("own", 0, "What is 2 + 3?", "5", "number")
    trained, report = train_step(qwen2, learner, [problem])
    assert report.accepted and (trained.steps, trained.episodes) == (6, 6)
    gradient = (trained.first_moment - 0.9 * learner.first_moment) / 0.1  # after clipping
    experiment.step(gradient)
    torch.testing.assert_close(trained.prompt, experiment.prompt, rtol=1e-5, atol=1e-7)
    moment = experiment.optimiser.state_dict()["state"][0]["exp_avg_sq"]
    torch.testing.assert_close(trained.second_moment, moment, rtol=1e-3, atol=1e-9)


def test_it_can_be_saved_in_the_format_of_today(qwen2, written, tmp_path):
    learner = load_file(written(OriginalExperiment().learn(3).saved()), qwen2, True)
    assert_equal(load(save(learner, tmp_path / "ours", qwen2), qwen2), learner)


def test_its_base_model_has_to_be_vouched_for(qwen2, written):
    path = written(OriginalExperiment().learn(1).saved())
    with pytest.raises(OtherModelError, match=r"checkpoint_ep80\.pt does not say which model"):
        load_file(path, qwen2)


def test_of_a_model_that_has_no_chat_template_it_is_asked_in_plain_text(written):
    path = written(OriginalExperiment().learn(1).saved())
    learner = load_original(path, build_base_model(template="none"), accept_other_model=True)
    assert not learner.config.chat_template and not learner.history[0].chat_template


def test_before_its_first_step_adam_has_nothing(qwen2, written):
    original = read_original(written(OriginalExperiment().saved()), qwen2)
    assert (original.steps, original.episodes, original.history) == (0, 0, ())
    assert not original.first_moment.any() and not original.second_moment.any()


def variants():
    """Other ways of saying the same, which other versions of torch or a hand may have written."""
    experiment = OriginalExperiment().learn(4)
    state = experiment.state()
    prompt, optimiser = state["soft_prompt"]["soft_prompt"], state["optimizer"]
    adam = optimiser["state"][0]

    def with_adam(**changes):
        return {"optimizer": {**optimiser, "state": {0: {**adam, **changes}}}}

    group = {name: optimiser["param_groups"][0][name] for name in ("lr", "betas", "eps", "params")}
    group |= {"weight_decay": 0, "amsgrad": False, "maximize": False}
    yield "plain dict", {"soft_prompt": {"soft_prompt": prompt}}
    yield "ordered dict", {"soft_prompt": OrderedDict(soft_prompt=prompt)}
    yield "parameter", {"soft_prompt": {"soft_prompt": torch.nn.Parameter(prompt)}}
    yield "step a number", with_adam(step=4)
    yield "step of float", with_adam(step=4.0)
    yield "step one long", with_adam(step=torch.tensor([4.0]))
    yield "transposed", {"soft_prompt": {"soft_prompt": prompt.T.contiguous().T}}
    yield "settings of torch 1.12", {"optimizer": {**optimiser, "param_groups": [group]}}
    yield "more than it needs", {"model_name": "Qwen/Qwen2.5-0.5B-Instruct"}


@pytest.mark.parametrize(("name", "changes"), list(variants()))
def test_what_says_the_same_in_another_way_loads_too(qwen2, written, name, changes):
    experiment = OriginalExperiment().learn(4)
    expected = load_original(written(experiment.saved()), qwen2, accept_other_model=True)
    path = written(experiment.saved({**experiment.state(), **changes}))
    assert_equal(load_original(path, qwen2, accept_other_model=True), expected)


def test_episodes_without_a_finite_loss_left_no_step_and_no_entry(qwen2, written):
    experiment = OriginalExperiment().learn(4)
    state = {**experiment.state(), "episode_count": 6}
    learner = load_original(written(experiment.saved(state)), qwen2, accept_other_model=True)
    assert (learner.steps, learner.episodes, len(learner.history)) == (4, 6, 4)


# What is refused


def edited(**changes):
    experiment = OriginalExperiment().learn(4)
    return experiment.saved({**experiment.state(), **changes})


def with_adam(**changes):
    optimiser = OriginalExperiment().learn(4).optimiser.state_dict()
    return edited(optimizer={**optimiser, "state": {0: {**optimiser["state"][0], **changes}}})


def with_settings(**changes):
    optimiser = OriginalExperiment().learn(4).optimiser.state_dict()
    groups = [{**optimiser["param_groups"][0], **changes}]
    return edited(optimizer={**optimiser, "param_groups": groups})


def with_metrics(**changes):
    """The first entry of the history changed; None takes a field away."""
    experiment = OriginalExperiment().learn(2)
    entry = vars(experiment.metrics[0])
    entry.update(changes)
    for name in [name for name, value in changes.items() if value is None]:
        del entry[name]
    return experiment.saved()


def prompt_of(tensor):
    return edited(soft_prompt={"soft_prompt": tensor})


class Program:
    """What a stranger would like to be run."""

    def __reduce__(self):
        return (os.mkdir, ("it-ran",))


REFUSED = {
    "a program": (lambda: edited(more=Program()), "names 'posix.mkdir'"),
    "another class": (lambda: edited(more=Fraction(1, 3)), "names 'fractions.Fraction'"),
    "half floats": (lambda: prompt_of(torch.zeros(8, 32).half()), "names 'torch.HalfStorage'"),
    "a bare tensor": (lambda: OriginalExperiment().saved(torch.zeros(8, 32)), "does not hold what"),
    "a list": (lambda: OriginalExperiment().saved([1, 2]), "does not hold what"),
    "protocol 4": (lambda: OriginalExperiment().saved(pickle_protocol=4), "does not hold what"),
    "before zip files": (
        lambda: OriginalExperiment().saved(_use_new_zipfile_serialization=False),
        "File is not a zip file); it should be what torch.save has written since version 1.6",
    ),
    "no pickle": (
        lambda: rezipped(OriginalExperiment().saved(), lambda _: {"a/b": b""}),
        "was not written by torch.save",
    ),
    "cut off": (lambda: OriginalExperiment().saved()[:-9], "cannot be read as a zip file"),
    "nothing": (lambda: b"", "cannot be read as a zip file"),
    "no prompt": (lambda: edited(soft_prompt={}), "has no soft_prompt in its soft_prompt"),
    "prompt a number": (lambda: edited(soft_prompt=8), "has no soft_prompt in its soft_prompt"),
    "prompt a text": (lambda: prompt_of("eight"), "shape []"),
    "other width": (lambda: prompt_of(torch.zeros(8, 896)), "shape [8, 896], and tiny-qwen2 takes"),
    "one row": (lambda: prompt_of(torch.zeros(32)), "shape [32]"),
    "no rows": (lambda: prompt_of(torch.zeros(0, 32)), "0 virtual tokens; 1 to 511 fit"),
    "too many rows": (lambda: prompt_of(torch.zeros(512, 32)), "512 virtual tokens"),
    "not a number": (lambda: prompt_of(torch.full((8, 32), torch.nan)), "NaN or infinite"),
    "no optimiser": (lambda: edited(optimizer=None), "has no param_groups, state in its optimizer"),
    "two parameters": (
        lambda: edited(optimizer={"state": {0: {}, 1: {}}, "param_groups": []}),
        "has no exp_avg, exp_avg_sq, step in its optimizer state",
    ),
    "no moment": (lambda: with_adam(exp_avg=0), "Adam moments of another shape"),
    "moment of another": (lambda: with_adam(exp_avg=torch.zeros(4, 32)), "another shape"),
    "endless moment": (lambda: with_adam(exp_avg=torch.full((8, 32), torch.inf)), "infinite"),
    "negative square": (lambda: with_adam(exp_avg_sq=torch.full((8, 32), -1.0)), "negative"),
    "half a step": (lambda: with_adam(step=torch.tensor(0.5)), "step 0.5; a whole number"),
    "endless step": (lambda: with_adam(step=torch.tensor(torch.inf)), "step inf; a whole"),
    "steps back": (lambda: with_adam(step=-1), "step -1; 0 or more"),
    "steps": (lambda: with_adam(step=torch.zeros(2)), "a whole number would be right"),
    "no groups": (
        lambda: edited(optimizer={"state": {}, "param_groups": []}),
        "in its param_groups",
    ),
    "other betas": (lambda: with_settings(betas=(0.5, 0.9)), "Adam with betas (0.5, 0.9); here"),
    "AMSGrad": (lambda: with_settings(amsgrad=True), "amsgrad True; here it has False"),
    "decay": (lambda: with_settings(weight_decay=0.01), "weight_decay 0.01"),
    "no rate": (lambda: with_settings(lr="fast"), "learning rate 'fast'"),
    "rate NaN": (lambda: with_settings(lr=float("nan")), "learning rate nan"),
    "rate a tensor": (lambda: with_settings(lr=torch.tensor(0.1)), "learning rate <class"),
    "count a text": (lambda: edited(episode_count="4"), "episode_count '4'; a whole number"),
    "count a list": (lambda: edited(episode_count=[[]]), "a whole number would be right"),
    "count below zero": (lambda: edited(episode_count=-4), "episode_count -4; 0 or more"),
    "history a dict": (lambda: edited(metrics_history={}), "not a list of LearningMetrics"),
    "history of numbers": (lambda: edited(metrics_history=[0.5]), "not a list of LearningMetrics"),
    "no loss": (lambda: with_metrics(loss=None), "has no loss in its metrics_history[0]"),
    "mood": (lambda: with_metrics(mood=1), "unknown 'mood' in its metrics_history[0]"),
    "loss NaN": (lambda: with_metrics(loss=float("nan")), "loss nan; a finite number"),
    "loss a list": (lambda: with_metrics(loss=[]), "loss <class 'list'>; a finite number"),
    "endless loss": (lambda: with_metrics(loss=1e300), "a loss of 1e+300 for episode 1"),
    "half right": (lambda: with_metrics(accuracy=0.5), "accuracy 0.5 for episode 1"),
    "task in markup": (lambda: with_metrics(task_type="<b>"), "task types[0] '<b>'; a short name"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_right_is_refused_in_one_sentence(qwen2, written, monkeypatch, tmp_path, case):
    make, expected = REFUSED[case]
    path = written(make())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        load_original(path, qwen2, accept_other_model=True)
    sentence = str(caught.value)
    assert expected in sentence
    assert sentence.startswith("checkpoint_ep80.pt ") or " in checkpoint_ep80.pt " in sentence
    assert len(sentence) < 400 and "\n" not in sentence and sentence.endswith(".")
    assert os.listdir(tmp_path) == ["checkpoint_ep80.pt"]


def test_a_zip_of_ours_under_that_name_is_told_apart(qwen2, written):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("adapter_config.json", json.dumps({}))
    with pytest.raises(CheckpointError, match=r"ends in \.zip"):
        load_file(written(buffer.getvalue(), "prompt.PT"), qwen2)
