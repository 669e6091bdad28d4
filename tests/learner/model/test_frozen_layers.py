"""The cheaper layers compute what the model's own do, and are left out where they would not."""

from collections.abc import Callable
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm

from learner.model.attention import enable_segment_attention
from learner.model.base_model import BaseModel
from learner.model.forward import Batch, Row
from learner.model.frozen_layers import (
    FrozenLinear,
    FrozenRMSNorm,
    last_layer,
    lighten,
    runs_where_wanted,
)
from tests.learner.tiny_models import build_model

ROWS = [Row(0, (9, 8, 7), tuple(range(20, 40)), 2), Row(0, (9, 8, 7), (31, 32), 1)]


def norm_of(width: int, dtype: torch.dtype) -> Qwen2RMSNorm:
    norm = Qwen2RMSNorm(width).to(dtype).requires_grad_(False)
    norm.weight.copy_(torch.linspace(-1, 2, width))
    return norm


@settings(max_examples=40, deadline=None)
@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    width=st.integers(1, 40),
    scale=st.sampled_from([1e-6, 1.0, 1e4]),
    seed=st.integers(0, 9),
)
def test_the_norm_and_its_gradient_are_the_models_own(
    shape: list[int], width: int, scale: float, seed: int
) -> None:
    own = norm_of(width, torch.float32)
    ours = FrozenRMSNorm(own.weight, own.variance_epsilon)
    generator = torch.Generator().manual_seed(seed)
    x = (torch.randn((*shape, width), generator=generator) * scale).requires_grad_()
    weight = torch.randn(x.shape, generator=generator)
    (expected,) = torch.autograd.grad((own(x) * weight).sum(), x)
    (found,) = torch.autograd.grad((ours(x) * weight).sum(), x)
    torch.testing.assert_close(ours(x), own(x), rtol=1e-5, atol=1e-6)
    # What its terms that cancel were before they did: of one number only their rounding is left.
    size = (x.detach().pow(2).mean(-1, keepdim=True) + own.variance_epsilon).sqrt()
    torch.testing.assert_close(found * size, expected * size, rtol=1e-4, atol=1e-5)


def test_the_norm_rounds_as_the_models_own_does_in_half_precision() -> None:
    own = norm_of(64, torch.bfloat16)
    x = torch.randn((50, 64), generator=torch.Generator().manual_seed(0)).bfloat16()
    found = FrozenRMSNorm(own.weight, own.variance_epsilon)(x)
    assert found.dtype == torch.bfloat16
    assert (found == own(x)).float().mean() > 0.999


def test_the_norm_does_not_change_what_it_reads() -> None:
    own = norm_of(8, torch.float32)
    x = torch.ones(3, 8)
    FrozenRMSNorm(own.weight, own.variance_epsilon)(x)
    assert torch.equal(x, torch.ones(3, 8))


def test_a_norm_of_another_kind_stays() -> None:
    """Gemma's multiplies by one more than its weight."""

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = GemmaRMSNorm(8)
            self.norm.variance_epsilon = self.norm.eps

        def get_decoder(self) -> nn.Module:
            return self

    model = Model()
    lighten(model)  # type: ignore[arg-type]
    assert isinstance(model.norm, GemmaRMSNorm)


@settings(max_examples=30, deadline=None)
@given(
    tokens=st.integers(1, 70),
    shape=st.lists(st.integers(1, 3), max_size=2),
    bias=st.booleans(),
    gradient=st.booleans(),
)
def test_a_large_matrix_gives_few_tokens_what_it_gives_any(
    tokens: int, shape: list[int], bias: bool, gradient: bool
) -> None:
    own = nn.Linear(6, 5, bias=bias).requires_grad_(False)
    ours = FrozenLinear(own)
    x = torch.randn((*shape, tokens, 6), generator=torch.Generator().manual_seed(0))
    x.requires_grad_(gradient)
    found = ours(x)
    assert found.shape == own(x).shape and found.requires_grad == gradient
    torch.testing.assert_close(found, own(x))
    found.view(*shape, tokens, 5, 1)  # heads are split off it without a copy


def test_large_matrices_in_half_precision_are_swapped_and_stay_tied() -> None:
    with torch.random.fork_rng(devices=[]), mock.patch("learner.model.frozen_layers.LARGE", 1000):
        torch.manual_seed(0)
        model = build_model("qwen2").to(torch.bfloat16).eval().requires_grad_(False)
        before = model(torch.arange(4, 14)[None]).logits
        names = list(model.state_dict())
        assert enable_segment_attention(model)
    swapped = [name for name, m in model.named_modules() if isinstance(m, FrozenLinear)]
    assert "lm_head" in swapped and any("mlp" in name for name in swapped)
    assert model.lm_head.weight is model.get_input_embeddings().weight
    assert list(model.state_dict()) == names
    after = model(torch.arange(4, 14)[None]).logits
    assert (after - before).float().norm() < 0.05 * before.float().norm()


def test_the_last_feed_forward_and_the_logits_run_only_where_a_prediction_is_wanted(
    base_model: BaseModel,
) -> None:
    last = last_layer(base_model.model)
    assert last is not None
    seen: list[int] = []
    hooks = [
        module.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[1]))
        for module in (last.mlp, base_model.model.lm_head)
    ]
    Batch(base_model, ROWS, [4]).logits(torch.zeros(4, base_model.hidden_size))
    base_model.model(input_ids=torch.arange(4, 16)[None])
    for hook in hooks:
        hook.remove()
    assert seen == [3, 3, 12, 12]


def shape_of(kind: type[PreTrainedConfig], **extra: object) -> PreTrainedConfig:
    return kind(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        intermediate_size=32,
        vocab_size=64,
        pad_token_id=0,
        initializer_range=0.3,
        **extra,
    )


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (GPT2LMHeadModel, GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=2)),
        (GraniteForCausalLM, shape_of(GraniteConfig, residual_multiplier=0.2)),
    ],
    ids=["gpt2", "granite"],
)
def test_a_last_layer_of_another_form_runs_everywhere(
    kind: type[PreTrainedModel], config: PreTrainedConfig
) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = kind(config).eval()
    assert enable_segment_attention(model)
    assert not runs_where_wanted(model)


def kept_inputs(model: PreTrainedModel, run: Callable[[], torch.Tensor]) -> int:
    """How many inputs of the feed-forwards' last linear layers a pass keeps for its backward."""
    inputs: list[torch.Tensor] = []
    kept: list[torch.Tensor] = []  # all are held, so that no address is used twice
    width = model.config.intermediate_size
    hooks = [
        layer.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
        for layer in model.modules()
        if isinstance(layer, nn.Linear) and layer.in_features == width
    ]
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (kept.append(t), t)[1], lambda t: t):
        logits = run()
    for hook in hooks:
        hook.remove()
    logits.sum().backward()
    places = {tensor.data_ptr() for tensor in kept}
    assert len(inputs) == 2
    return sum(given.data_ptr() in places for given in inputs)


def test_nothing_is_kept_for_weights_that_are_frozen(base_model: BaseModel) -> None:
    """No weight gets a gradient, and no layer's input is kept to compute one from."""
    prompts = torch.ones((4, base_model.hidden_size)).requires_grad_()
    batch = Batch(base_model, ROWS, [4])
    assert kept_inputs(base_model.model, lambda: batch.logits(prompts)) == 0
    assert prompts.grad is not None
    assert all(weight.grad is None for weight in base_model.model.parameters())
    thawed = build_model("qwen2")  # the same look at a model that is not frozen finds them
    assert kept_inputs(thawed, lambda: thawed(torch.arange(4, 9)[None]).logits) == 2
