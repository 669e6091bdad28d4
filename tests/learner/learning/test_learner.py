"""Where a soft prompt starts from, and what a learner's settings may be."""

import pickle
from dataclasses import FrozenInstanceError, replace

import pytest
import torch

from learner.learning.learner import INITIALISERS, LearnerConfig, StepRecord, new_learner
from learner.model.base_model import BaseModel


def rows_of(base_model: BaseModel, prompt: torch.Tensor) -> list[list[int]]:
    """The tokens whose embedding each soft token is."""
    return [
        (base_model.embeddings == row).all(dim=1).nonzero().flatten().tolist() for row in prompt
    ]


@pytest.mark.parametrize("initialiser", INITIALISERS)
def test_a_new_learner_has_learnt_nothing(base_model: BaseModel, initialiser: str) -> None:
    learner = new_learner(base_model, LearnerConfig(initialiser=initialiser, soft_tokens=5))
    for tensor in (learner.prompt, learner.first_moment, learner.second_moment):
        assert tensor.shape == (5, base_model.hidden_size)
        assert (tensor.dtype, tensor.device.type) == (torch.float32, "cpu")
        assert not tensor.requires_grad
    assert not learner.first_moment.any() and not learner.second_moment.any()
    assert (learner.steps, learner.episodes, learner.history) == (0, 0, ())
    assert learner.source == base_model.source


@pytest.mark.parametrize("initialiser", ["vocabulary", "normal"])
def test_the_seed_and_nothing_else_decides(base_model: BaseModel, initialiser: str) -> None:
    def prompt(seed: int) -> torch.Tensor:
        return new_learner(base_model, LearnerConfig(initialiser=initialiser, seed=seed)).prompt

    first = prompt(1)
    torch.rand(3)  # the global stream plays no part ...
    state = torch.get_rng_state()
    assert torch.equal(first, prompt(1))
    assert not torch.equal(first, prompt(2))
    assert torch.equal(state, torch.get_rng_state())  # ... and is left alone


def test_vocabulary_draws_ordinary_tokens(base_model: BaseModel) -> None:
    """No special tokens, and none of the rows beyond the tokenizer's vocabulary."""
    learner = new_learner(base_model, LearnerConfig(initialiser="vocabulary", soft_tokens=100))
    tokens = [token for (token,) in rows_of(base_model, learner.prompt)]
    assert len(set(tokens)) > 50
    assert max(tokens) < len(base_model.tokenizer) < base_model.vocabulary_size
    assert not set(tokens) & set(base_model.tokenizer.added_tokens_decoder)


@pytest.mark.parametrize("soft_tokens", [2, 20])
def test_text_is_cycled_or_cut(base_model: BaseModel, soft_tokens: int) -> None:
    config = LearnerConfig(initialiser="text", init_text="Who is it?", soft_tokens=soft_tokens)
    ids = base_model.tokenizer.encode("Who is it?", add_special_tokens=False)
    assert 2 < len(ids) < 20
    expected = (ids * 20)[:soft_tokens]
    found = rows_of(base_model, new_learner(base_model, config).prompt)
    assert found == [[token] for token in expected]


def test_normal_has_its_standard_deviation(base_model: BaseModel) -> None:
    config = LearnerConfig(initialiser="normal", soft_tokens=100, init_std=0.1)
    prompt = new_learner(base_model, config).prompt
    assert prompt.mean().abs() < 0.01
    assert abs(prompt.std().item() - 0.1) < 0.01


def test_a_learner_is_a_value_that_travels(base_model: BaseModel) -> None:
    learner = new_learner(base_model, LearnerConfig())
    with pytest.raises(FrozenInstanceError):
        learner.steps = 1  # type: ignore[misc]
    copy = pickle.loads(pickle.dumps(learner))
    assert torch.equal(copy.prompt, learner.prompt)
    assert copy.config == learner.config


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"soft_tokens": 0}, "1 to 1000 tokens, not 0"),
        ({"end_weight": -1.0}, "counts 0 to 100 times as much as another, not -1.0"),
        ({"end_weight": float("nan")}, "counts 0 to 100 times as much as another, not nan"),
        ({"soft_tokens": 1001}, "not 1001"),
        ({"initialiser": "magic"}, "no initialiser 'magic'"),
        ({"initialiser": "text", "init_text": " "}, "needs a text"),
        ({"signal": "praise"}, "no signal 'praise'; choose answer, reward, mix"),
        ({"samples_per_problem": 1}, "2 to 64 times"),
        ({"samples_per_problem": 65}, "not 65"),
        ({"learning_rate": 0.0}, "learning rate"),
        ({"learning_rate": float("nan")}, "learning rate"),
        ({"max_grad_norm": -1.0}, "max grad norm"),
        ({"init_std": float("inf")}, "init std"),
        ({"episodes_per_step": 0}, "1 to 64 episodes"),
    ],
)
def test_settings_out_of_range_are_refused_in_a_sentence(settings: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        LearnerConfig(**settings)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"signal": "praise"}, "no step from the signal"),
        ({"samples": 4, "no_answer": 5}, "5 of 4 samples"),
        ({"reward": 1.5}, "reward is from 0 to 1"),
        ({"with_signal": -0.1}, "with_signal is from 0 to 1"),
        ({"entropy": float("nan")}, "entropy"),
        ({"length": float("inf")}, "length"),
    ],
)
def test_a_step_that_cannot_have_been_is_refused(values: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        StepRecord(1, 4, 0.5, 2, 4, 1.0, False, **values)


def test_configs_that_start_alike_make_the_same_prompt_however_they_learn(
    base_model: BaseModel,
) -> None:
    config = LearnerConfig(seed=3)
    other = replace(config, signal="reward", learning_rate=1.0, chat_template=True, shots=2)
    assert config.start == other.start != replace(config, soft_tokens=9).start
    one, same = new_learner(base_model, config), new_learner(base_model, other)
    assert torch.equal(one.prompt, same.prompt)
