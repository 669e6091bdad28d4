"""The pieces of packed attention: gathers, blocks, and which models it is offered to."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GptOssConfig,
    GptOssForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from learner.model.attention import PackedSegments, enable_segment_attention
from learner.model.base_model import BaseModel
from learner.model.packing import Gather, Layout, Segment
from tests.learner.tiny_models import build_model


@settings(max_examples=50, deadline=None)
@given(data=st.data(), sources=st.integers(1, 12))
def test_a_gathers_gradient_is_autograds_over_the_valid_places(
    data: st.DataObject, sources: int
) -> None:
    index = np.array(data.draw(st.lists(st.integers(0, sources - 1), min_size=1, max_size=30)))
    valid = np.array(data.draw(st.lists(st.booleans(), min_size=len(index), max_size=len(index))))
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn((sources, 8), generator=generator, requires_grad=True)
    weight = torch.randn((len(index), 8), generator=generator)
    taken = Gather(index, valid, sources, torch.device("cpu")).take(rows)
    expected = rows[torch.from_numpy(index)]
    assert torch.equal(taken, expected)
    masked = weight * torch.from_numpy(valid)[:, None]
    (gradient,) = torch.autograd.grad((taken * masked).sum(), rows)
    (reference,) = torch.autograd.grad((expected * masked).sum(), rows)
    torch.testing.assert_close(gradient, reference)


def test_positions_count_on_from_the_prefix() -> None:
    layout = Layout((Segment(3), Segment(2, 0), Segment(2), Segment(1, 0)), filler=2)
    packed = PackedSegments(layout, torch.device("cpu"))
    assert packed.positions.tolist() == [[0, 1, 2, 3, 4, 0, 1, 3, 0, 0]]


def test_positions_count_on_from_a_stored_prefix_that_is_not_in_the_pass() -> None:
    layout = Layout((Segment(3, stored=True), Segment(2, 0), Segment(2), Segment(1, 0)), filler=1)
    assert layout.positions.tolist() == [3, 4, 0, 1, 3, 0]
    assert (layout.tokens, layout.total, layout.sources) == (5, 6, 9)
    assert layout.starts.tolist() == [6, 0, 2, 4]


SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "intermediate_size": 32,
    "vocab_size": 64,
    "pad_token_id": 0,
}


def random_model(kind: type[PreTrainedModel], config: PreTrainedConfig) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return kind(config).eval()


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (Qwen2ForCausalLM, Qwen2Config(**SHAPE)),
        (LlamaForCausalLM, LlamaConfig(**SHAPE)),
        (Qwen3ForCausalLM, Qwen3Config(**SHAPE)),
        (MistralForCausalLM, MistralConfig(**SHAPE)),
        (Gemma3ForCausalLM, Gemma3TextConfig(**SHAPE, sliding_window=16)),
        (GPT2LMHeadModel, GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=2)),
    ],
    ids=["qwen2", "llama", "qwen3", "mistral", "gemma3", "gpt2"],
)
def test_models_of_the_attention_interface_take_part(
    kind: type[PreTrainedModel], config: PreTrainedConfig
) -> None:
    assert enable_segment_attention(random_model(kind, config))


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (BloomForCausalLM, BloomConfig(vocab_size=64, hidden_size=32, n_layer=1, n_head=2)),
        (Gemma2ForCausalLM, Gemma2Config(**SHAPE)),  # caps its attention scores
        (GptOssForCausalLM, GptOssConfig(**SHAPE, num_local_experts=2)),  # has attention sinks
    ],
    ids=["bloom", "gemma2", "gpt-oss"],
)
def test_models_that_attend_in_other_ways_are_not_run_wrongly(
    kind: type[PreTrainedModel], config: PreTrainedConfig
) -> None:
    assert not enable_segment_attention(random_model(kind, config))


def test_the_model_still_works_as_any_other(base_model: BaseModel) -> None:
    """Whoever uses the model as it is (PEFT, `generate`) gets its ordinary attention."""
    architecture = "llama" if "llama" in base_model.name else "qwen2"
    ids = torch.arange(5, 25).view(2, 10)
    mask = torch.ones_like(ids)
    mask[0, :4] = 0
    with torch.no_grad():
        ours = base_model.model(input_ids=ids, attention_mask=mask).logits
        plain = build_model(architecture).eval()(input_ids=ids, attention_mask=mask).logits
    torch.testing.assert_close(ours[0, 4:], plain[0, 4:])
    torch.testing.assert_close(ours[1], plain[1])
