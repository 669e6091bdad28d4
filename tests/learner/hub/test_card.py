"""The card that is pushed: what the Hub reads of it, and what a person does."""

import dataclasses
import io

import pytest
from huggingface_hub import ModelCard
from PIL import Image

from learner.checkpoint.learning_curve import draw_learning_curve
from learner.checkpoint.results import HeldOutResults
from learner.hub.card import APP_TAG, hub_card, model_filters
from learner.model.source import EMBEDDED, HUB, ModelSource
from tests.hub.samples import sample_results, trained_learner

QWEN = "Qwen/Qwen2.5-0.5B-Instruct"


@pytest.fixture
def learner(qwen2):
    return dataclasses.replace(trained_learner(qwen2), source=ModelSource(HUB, QWEN))


def test_the_front_matter_is_what_the_hub_looks_for(learner):
    data = ModelCard(hub_card(learner, "ada/prompt", sample_results())).data
    assert data.library_name == "peft"
    assert data.base_model == QWEN
    assert {"soft-prompt", "prompt-tuning", APP_TAG} <= set(data.tags)
    after, before = data.eval_results
    assert (after.metric_type, after.metric_value, before.metric_value) == ("accuracy", 0.7, 0.1)
    assert after.metric_args["n"] == 10 and after.metric_args["correct"] == 7
    assert after.metric_args["interval_95"] == [0.3968, 0.8922]


def test_a_card_without_results_claims_none(learner):
    card = hub_card(learner, "ada/prompt")
    assert ModelCard(card).data.eval_results is None
    assert "## Results" not in card and "![" not in card


def test_the_embedded_model_has_a_tag_instead_of_a_page(learner):
    data = ModelCard(
        hub_card(dataclasses.replace(learner, source=ModelSource(EMBEDDED, "pocket")), "ada/p")
    ).data
    assert data.base_model is None
    assert set(model_filters(ModelSource(EMBEDDED, "pocket"))) <= set(data.tags)


def test_what_is_looked_for_is_what_is_written(learner):
    tag, base = model_filters(ModelSource(HUB, QWEN))
    data = ModelCard(hub_card(learner, "ada/prompt")).data
    assert tag in data.tags and base == f"base_model:{data.base_model}"


def test_before_and_after_with_all_that_is_needed_to_judge_them(learner):
    card = hub_card(learner, "ada/prompt", sample_results(), "learning_curves.png")
    for line in (
        "| all | 10 | 10.0% [1.8%, 40.4%] | 70.0% [39.7%, 89.2%] |",
        "| causal | 5 | 20.0% [3.6%, 62.4%] | 80.0% [37.6%, 96.4%] |",
        "| sequence | 5 | 0.0% [0.0%, 43.4%] | 60.0% [23.1%, 88.2%] |",
        "6 problems gained, 0 lost; exact two-sided McNemar test: p = 0.031.",
        "asked without the chat template",
        "](learning_curves.png)",
        '"soft_tokens": 5',
        'PeftModel.from_pretrained(base_model, "ada/prompt")',
        "python -m learner pull ada/prompt FOLDER",
        "?prompt=ada/prompt",
    ):
        assert line in card, line


def test_results_are_paired_or_refused():
    with pytest.raises(ValueError, match="problem by problem"):
        HeldOutResults(("causal",), (True,), (True, False), chat_template=False)
    with pytest.raises(ValueError, match="one problem or more"):
        HeldOutResults((), (), (), chat_template=False)


def test_the_curve_is_a_small_picture_with_two_lines(learner):
    picture = Image.open(io.BytesIO(draw_learning_curve(learner.history)))
    assert picture.format == "PNG" and picture.size == (920, 300)
    left, right = picture.crop((0, 0, 460, 300)), picture.crop((460, 0, 920, 300))
    for half in (left, right):
        red = sum(
            count for count, (r, g, b) in half.getcolors(1 << 20) if r > 150 > 100 > max(g, b)
        )
        assert red > 100  # the thick line, in the accent's dark orange


def test_the_same_history_gives_the_same_picture(learner):
    assert draw_learning_curve(learner.history) == draw_learning_curve(learner.history)


def test_too_few_steps_make_no_curve(learner):
    assert draw_learning_curve(learner.history[:1]) is None
    assert draw_learning_curve(()) is None


def test_a_flat_history_is_drawn_too(learner):
    flat = [dataclasses.replace(record, loss=0.0) for record in learner.history]
    assert draw_learning_curve(flat) is not None
