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
    GptOssConfig,
    GptOssForCausalLM,
    PreTrainedModel,
)

from learner.attention import PackedSegments, enable_segment_attention
from learner.base_model import BaseModel
from learner.packing import Gather, Segment
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
    packed = PackedSegments(
        (Segment(3), Segment(2, 0), Segment(2), Segment(1, 0)), torch.device("cpu")
    )
    assert packed.positions.tolist() == [[0, 1, 2, 3, 4, 0, 1, 3]]


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


@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
def test_models_of_the_attention_interface_take_part(architecture: str) -> None:
    assert enable_segment_attention(build_model(architecture))


@pytest.mark.parametrize(
    "model",
    [
        BloomForCausalLM(BloomConfig(vocab_size=64, hidden_size=32, n_layer=1, n_head=2)),
        Gemma2ForCausalLM(Gemma2Config(**SHAPE)),  # caps its attention scores
        GptOssForCausalLM(GptOssConfig(**SHAPE, num_local_experts=2)),  # has attention sinks
    ],
    ids=["bloom", "gemma2", "gpt-oss"],
)
def test_models_that_attend_in_other_ways_are_not_run_wrongly(model: PreTrainedModel) -> None:
    assert not enable_segment_attention(model.eval())


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
