"""Base models of real shapes with random weights, and problems of realistic lengths.

How long a pass takes depends on a model's shape and not on its weights, so random ones do, and
nothing is downloaded. The tokenizer is the embedded model's: digits one by one and ChatML, as
Qwen2's own, and its system message is as long (25 tokens with the headers around it). Its
vocabulary is filled up to the model's, so that whatever is generated has a text.
"""

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice

import torch
from tokenizers import Tokenizer
from transformers import (
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from arena import Problem, stream
from learner.model.base_model import BaseModel, base_model_of, prepare
from learner.model.cuda_graphs import Fixtures
from learner.model.formatting import Encoded, encode
from learner.model.loading import load_base_model
from learner.model.source import FOLDER, POCKET_FOLDER, ModelSource

EMBEDDED = "embedded"
PROMPT_TOKENS = range(65, 86)  # system message, headers and question; the mean is near 75
WEIGHT_STD = 0.02  # what Qwen2 initialises with


@dataclass(frozen=True)
class Shape:
    """The numbers of a Qwen2 configuration that decide what a pass costs."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    intermediate_size: int
    vocab_size: int = 151_936


SHAPES = {
    "0.5B": Shape(896, 24, 14, 2, 4864),  # Qwen/Qwen2.5-0.5B
    "1.5B": Shape(1536, 28, 12, 2, 8960),  # Qwen/Qwen2.5-1.5B
    "small": Shape(128, 3, 4, 2, 256, 2048),  # to try the benchmarks out
}


@lru_cache(maxsize=2)  # a 0.5B shape in two precisions; more would fill the memory
def base_model(name: str, dtype: torch.dtype, device: torch.device) -> BaseModel:
    """The embedded model, or one of ``SHAPES`` with random weights, ready to learn in front of.

    The same weights, up to rounding, in every precision on one device.
    """
    if name == EMBEDDED:
        return load_base_model(device=device.type, dtype=str(dtype).removeprefix("torch."))
    shape = SHAPES[name]
    config = Qwen2Config(
        **vars(shape),
        max_position_embeddings=32_768,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
        tie_word_embeddings=True,
        dtype=dtype,
    )
    model = _empty_model(config).to_empty(device=device)
    _place_rotations(model, device)
    model.tie_weights()
    generator = torch.Generator(device).manual_seed(0)
    with torch.no_grad():
        for name_of_weight, weight in model.named_parameters():
            if weight.ndim > 1:
                drawn = torch.randn(weight.shape, generator=generator, device=device)
                weight.copy_(drawn * WEIGHT_STD)
            else:
                weight.fill_(0.0 if name_of_weight.endswith("bias") else 1.0)
    tokenizer = _tokenizer(shape.vocab_size)
    source = ModelSource(FOLDER, f"qwen2-{name}", "random")
    return base_model_of(source, prepare(model, tokenizer, name), tokenizer, device)


def without_graphs(base: BaseModel) -> BaseModel:
    """The same model, of which nothing is repeated as a CUDA graph."""
    launched = replace(base)
    vars(launched)["fixtures"] = Fixtures(0)
    return launched


def plain_model(base: BaseModel, attention: str) -> PreTrainedModel:
    """The same weights, not copied, in transformers' own model as the learner never touched it.

    ``attention`` is "sdpa" or "eager".
    """
    config = copy.deepcopy(base.model.config)
    model = _empty_model(config)
    model.load_state_dict(base.model.state_dict(), assign=True)
    _place_rotations(model, base.device)
    model.tie_weights()
    model.set_attn_implementation(attention)
    return model.requires_grad_(False).eval()


def problems(base: BaseModel, number: int) -> list[Problem]:
    """Arena problems whose prompt has a realistic length in the chat format."""
    difficult = stream(0, "train", difficulty=(4, 5))
    fitting = (p for p in difficult if prompt_length(_encoded(base, p)) in PROMPT_TOKENS)
    return list(islice(fitting, number))


def encodings(base: BaseModel, chosen: Sequence[Problem]) -> list[Encoded]:
    """Token ids of problems in the chat format, answers included."""
    return [_encoded(base, problem) for problem in chosen]


def prompt_length(encoded: Encoded) -> int:
    """Tokens up to where the answer begins, without the soft prompt."""
    return len(encoded.head) + len(encoded.question)


def lengths(rows: Sequence[Encoded]) -> str:
    """The lengths of problems in words, for a note under a table."""
    prompts = [prompt_length(row) for row in rows]
    answers = [len(row.answer) for row in rows]
    return (
        f"prompts of {min(prompts)}–{max(prompts)} tokens (mean {sum(prompts) / len(rows):.0f}; "
        f"{len(rows[0].head)} of them the shared head) behind 8 soft tokens, "
        f"answers of {min(answers)}–{max(answers)} tokens"
    )


def _empty_model(config: Qwen2Config) -> Qwen2ForCausalLM:
    """A model whose weights have no memory yet."""
    with torch.device("meta"):
        return Qwen2ForCausalLM(config).to(config.dtype)


def _place_rotations(model: Qwen2ForCausalLM, device: torch.device) -> None:
    """Give the rotary embedding its frequencies, which are computed and not loaded."""
    rotary = model.model.rotary_emb
    model.model.rotary_emb = type(rotary)(model.config).to(device)


def _encoded(base: BaseModel, problem: Problem) -> Encoded:
    return encode(base, problem.question, problem.answer, chat_template=True)


@lru_cache
def _tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """The embedded model's tokenizer with made-up words up to ``vocabulary`` tokens."""
    embedded = AutoTokenizer.from_pretrained(POCKET_FOLDER, trust_remote_code=False)
    description = json.loads(embedded.backend_tokenizer.to_str())
    words = description["model"]["vocab"]
    taken = {*words.values(), *(token["id"] for token in description["added_tokens"])}
    words.update({f"Ġw{i}": i for i in range(vocabulary) if i not in taken})
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(description)),
        eos_token=embedded.eos_token,
        chat_template=embedded.chat_template,
    )
