"""PEFT reads our checkpoints, and we read the prompts that PEFT saved."""

import json

import peft
import pytest
import safetensors.torch
import torch
from transformers import Qwen2ForCausalLM

from arena import Problem
from learner.checkpoint.files import load, save
from learner.checkpoint.format import pack
from learner.checkpoint.reading import CheckpointError
from learner.learning.learner import LearnerConfig
from learner.learning.training import train_step
from learner.model.completion import Ask, complete
from learner.model.formatting import encode
from learner.model.forward import Batch, Row
from learner.model.source import HUB, ModelSource
from tests.learner.checkpoints import random_learner


def plain_model(qwen2) -> Qwen2ForCausalLM:
    """The same weights in a model that nothing of ours has touched."""
    plain = Qwen2ForCausalLM(type(qwen2.model.config)(**qwen2.model.config.to_dict()))
    plain.load_state_dict(qwen2.model.state_dict())
    plain.set_attn_implementation("eager")
    return plain.eval()


def test_peft_reads_ours(qwen2, tmp_path):
    learner = random_learner(qwen2)
    folder = save(learner, tmp_path / "prompt", qwen2)
    adapted = peft.PeftModel.from_pretrained(plain_model(qwen2), folder).eval()
    assert torch.equal(adapted.get_prompt_embedding_to_save("default"), learner.prompt)
    ids = torch.tensor([[5, 9, 2, 7, 7, 1], [3, 3, 8, 6, 1, 4]])
    plain = plain_model(qwen2)
    embeddings = plain.get_input_embeddings()(ids)
    with torch.no_grad():
        logits = adapted(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        soft = learner.prompt.expand(2, -1, -1)
        expected = plain(inputs_embeds=torch.cat((soft, embeddings), dim=1)).logits
        unprompted = plain(inputs_embeds=embeddings).logits
    torch.testing.assert_close(logits, expected)
    assert (logits[:, -6:] - unprompted).abs().max() > 0.1


@pytest.mark.parametrize("chat_template", [False, True])
def test_peft_sees_what_our_forward_pass_sees(qwen2, tmp_path, chat_template):
    learner = random_learner(qwen2)
    adapted = peft.PeftModel.from_pretrained(
        plain_model(qwen2), save(learner, tmp_path / "prompt", qwen2)
    ).eval()
    encoded = encode(qwen2, "What is 2 + 3?", None, chat_template)
    ids = encoded.head + encoded.question
    rows = [Row(0, encoded.head, encoded.question, predictions=len(encoded.question))]
    with torch.no_grad():
        ours = Batch(qwen2, rows, [len(learner.prompt)]).logits(learner.prompt)
        theirs = adapted(input_ids=torch.tensor([ids])).logits[0, -len(ours) :]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_the_config_is_the_one_peft_would_write(qwen2, tmp_path):
    learner = random_learner(qwen2, source=ModelSource(HUB, qwen2.name))
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5)
    adapted = peft.get_peft_model(plain_model(qwen2), config)
    adapted.save_pretrained(tmp_path / "theirs")
    theirs = json.loads((tmp_path / "theirs" / "adapter_config.json").read_text())
    ours = json.loads(pack(learner, qwen2)["adapter_config.json"])
    theirs["base_model_name_or_path"] = qwen2.name
    assert theirs.pop("peft_version").startswith("0.21.")
    assert ours.pop("peft_version").startswith("0.21.")
    assert ours == theirs


def test_without_the_base_model_peft_fills_the_gaps(qwen2, tmp_path):
    learner = random_learner(qwen2)
    adapted = peft.PeftModel.from_pretrained(plain_model(qwen2), save(learner, tmp_path / "prompt"))
    assert torch.equal(adapted.get_prompt_embedding_to_save("default"), learner.prompt)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_we_read_pefts(qwen2, tmp_path, dtype):
    adapted = peft.get_peft_model(
        plain_model(qwen2),
        peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
    )
    adapted.prompt_encoder.to(dtype)
    adapted.save_pretrained(tmp_path)
    learner = load(tmp_path, qwen2)
    saved = safetensors.torch.load_file(tmp_path / "adapter_model.safetensors")
    assert saved["prompt_embeddings"].dtype == dtype
    assert torch.equal(learner.prompt, saved["prompt_embeddings"].float())
    assert learner.prompt.dtype == torch.float32
    assert learner.config == LearnerConfig(soft_tokens=3)
    assert not learner.first_moment.any() and not learner.second_moment.any()
    assert (learner.steps, learner.episodes, learner.history) == (0, 0, ())


@pytest.mark.parametrize("tokens", [1, 150, 400])
def test_a_prompt_of_any_length_can_be_asked_and_trained_further(qwen2, tmp_path, tokens):
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=tokens)
    peft.get_peft_model(plain_model(qwen2), config).save_pretrained(tmp_path)
    learner = load(tmp_path, qwen2)
    assert learner.prompt.shape == (tokens, qwen2.hidden_size)
    problem = Problem("own", 0, "What is 2 + 3?", "5", "number")
    assert complete(qwen2, [Ask(problem.question, False, learner.prompt)], max_new_tokens=2)
    trained, report = train_step(qwen2, learner, [problem])
    assert report.accepted and not torch.equal(trained.prompt, learner.prompt)
    again = load(save(trained, tmp_path / "ours", qwen2), qwen2)
    assert torch.equal(again.prompt, trained.prompt)


@pytest.mark.parametrize(
    "config",
    [
        peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"]),
        peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
        peft.PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
        peft.IA3Config(task_type="CAUSAL_LM", target_modules=["k_proj"], feedforward_modules=[]),
    ],
    ids=lambda config: config.peft_type.value,
)
def test_pefts_other_adapters_are_refused_by_their_name(qwen2, tmp_path, config):
    peft.get_peft_model(plain_model(qwen2), config).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        load(tmp_path, qwen2)
    assert str(caught.value) == (
        f"adapter_config.json is that of a '{config.peft_type.value}' adapter; only prompt tuning "
        "('PROMPT_TUNING') loads here."
    )
