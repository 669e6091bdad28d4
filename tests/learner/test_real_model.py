"""What the tiny models show, on real weights: SmolLM2-135M-Instruct, out of a GGUF file."""

import copy
import json
from itertools import islice

import peft
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedModel

from arena import held_out, stream
from arena.statistics import mcnemar_exact
from learner.checkpoint.files import load, save
from learner.checkpoint.format import ADAPTER_CONFIG
from learner.learning.learner import Learner, LearnerConfig, new_learner
from learner.learning.training import train_step
from learner.measuring import answers_of, behind, measured
from learner.model.base_model import BaseModel
from learner.model.completion import Ask, complete
from learner.model.formatting import encode, format_of
from learner.model.forward import Batch, Row
from learner.model.loading import load_base_model
from learner.model.source import GGUF
from tests.learner.real_weights import FILE, SHA256, Unreachable, smollm2

EPISODES = 40
PROBLEMS = 80
CLOSE = {"rtol": 1e-3, "atol": 1e-3}  # logits are some tens; sums are taken in another order
QUESTION = "What is 2 + 2?"


@pytest.fixture(scope="module")
def base_model() -> BaseModel:
    try:
        path = smollm2()
    except Unreachable as why:
        pytest.skip(f"No real weights: {why}.")
    return load_base_model(str(path), device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def plain(base_model: BaseModel) -> PreTrainedModel:
    """The same weights in transformers' own model, which nothing of ours has touched."""
    with torch.device("meta"):
        model = LlamaForCausalLM(copy.deepcopy(base_model.model.config))
    model.load_state_dict(base_model.model.state_dict(), assign=True)
    model.tie_weights()
    model.model.rotary_emb = type(model.model.rotary_emb)(model.config)
    model.set_attn_implementation("eager")
    return model.eval()


@pytest.fixture(scope="module")
def learner(base_model: BaseModel) -> Learner:
    """A learner after some problems without the chat template."""
    learner = new_learner(base_model, LearnerConfig())
    problems = stream(seed=0)
    while learner.episodes < EPISODES:
        learner, report = train_step(base_model, learner, list(islice(problems, 4)))
        assert report.accepted
    return learner


def test_it_is_loaded_by_what_it_holds(base_model: BaseModel) -> None:
    source = base_model.source
    assert (source.kind, source.name, source.revision) == (GGUF, FILE, SHA256)
    assert (base_model.hidden_size, base_model.layers, base_model.heads) == (576, 30, 9)
    assert base_model.parameter_count == 134_515_008 and base_model.context_length == 8192
    tokenizer = base_model.tokenizer
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<|im_start|>", "<|im_end|>")
    assert format_of(base_model, True).end_ids == {tokenizer.eos_token_id}
    tokens = tokenizer.backend_tokenizer.encode("7  128").tokens
    assert tokens == ["7", "ĠĠ", "1", "2", "8"]  # every digit is a token of its own


def test_four_answers(base_model: BaseModel) -> None:
    prompt = new_learner(base_model, LearnerConfig()).prompt
    asks = [Ask(QUESTION, chat, soft) for chat in (False, True) for soft in (None, prompt)]
    answers = complete(base_model, asks, 24)
    assert all(answer.tokens for answer in answers)
    assert "4" in answers[0].text and "4" in answers[2].text  # the model alone


@pytest.mark.parametrize("chat_template", [False, True])
def test_rows_packed_together_see_what_they_see_alone(
    base_model: BaseModel, plain: PreTrainedModel, learner: Learner, chat_template: bool
) -> None:
    questions = [QUESTION, *(problem.question for problem in held_out(3))]
    encoded = [encode(base_model, question, None, chat_template) for question in questions]
    prefixes = [None, 0, 0, None]
    rows = [
        Row(soft, row.head, row.question, predictions=len(row.question))
        for soft, row in zip(prefixes, encoded, strict=True)
    ]
    with torch.no_grad():
        packed = Batch(base_model, rows, [len(learner.prompt)]).logits(learner.prompt)
        alone = []
        for soft, row in zip(prefixes, encoded, strict=True):
            vectors = plain.get_input_embeddings()(torch.tensor([row.head + row.question]))
            if soft is not None:
                vectors = torch.cat((learner.prompt[None], vectors), dim=1)
            alone.append(plain(inputs_embeds=vectors).logits[0, -len(row.question) :])
    torch.testing.assert_close(packed, torch.cat(alone), **CLOSE)


def test_decoding_with_a_cache_writes_what_it_writes_without(
    base_model: BaseModel, plain: PreTrainedModel, learner: Learner
) -> None:
    for chat_template, prompt in ((True, None), (False, learner.prompt)):
        (answer,) = complete(base_model, [Ask(QUESTION, chat_template, prompt)], 12)
        encoded = encode(base_model, QUESTION, None, chat_template)
        ids = list(encoded.head + encoded.question)
        for token in answer.ids:
            vectors = plain.get_input_embeddings()(torch.tensor([ids]))
            if prompt is not None:
                vectors = torch.cat((prompt[None], vectors), dim=1)
            with torch.no_grad():
                assert int(plain(inputs_embeds=vectors).logits[0, -1].argmax()) == token
            ids.append(token)


def test_problems_learnt_from_raise_the_score_on_others(
    base_model: BaseModel, learner: Learner
) -> None:
    fresh = new_learner(base_model, learner.config)
    problems = held_out(PROBLEMS)
    before, after = measured(
        answers_of(base_model), [behind(fresh, problems), behind(learner, problems)]
    )
    test = mcnemar_exact(before.right, after.right)
    assert after.correct > before.correct and test.p_value < 0.01, (before, after)


def test_what_was_learnt_is_the_same_after_saving_and_in_peft(
    base_model: BaseModel, plain: PreTrainedModel, learner: Learner, tmp_path
) -> None:
    folder = save(learner, tmp_path / "prompt", base_model)
    assert torch.equal(load(folder, base_model).prompt, learner.prompt)
    config = json.loads((folder / ADAPTER_CONFIG).read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == (FILE, SHA256)
    encoded = encode(base_model, QUESTION, None, False)
    rows = [Row(0, encoded.head, encoded.question, predictions=len(encoded.question))]
    with torch.no_grad():
        ours = Batch(base_model, rows, [len(learner.prompt)]).logits(learner.prompt)
        adapted = peft.PeftModel.from_pretrained(plain, folder).eval()
        theirs = adapted(input_ids=torch.tensor([encoded.head + encoded.question])).logits
    torch.testing.assert_close(ours, theirs[0, -len(ours) :], **CLOSE)
