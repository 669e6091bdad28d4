"""Tiny models as GGUF files, written as llama.cpp's converter writes them."""

import json
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Quantisation
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from learner.model.gguf import ARCHITECTURES
from tests.learner.tiny_models import build_model, build_tokenizer

NORMAL, CONTROL = 1, 3  # llama.cpp's types of tokens


def write_gguf(
    path: Path,
    architecture: str = "llama",
    quantisation: Quantisation = Quantisation.F32,
    pre: str = "smollm",
    seed: int = 0,
    **values: object,
) -> PreTrainedModel:
    """Write a tiny model to ``path``; returns it. ``values`` replace values of the header."""
    model = build_model(architecture, seed)
    config = model.config
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    if architecture == "llama":
        writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    _add_tokenizer(writer, build_tokenizer(), pre)
    for name, value in values.items():
        key = name.replace("__", ".")
        writer.kv_data[0].pop(key, None)
        writer.add_key_value(key, value, gguf.GGUFValueType.get_type(value))
    names = gguf.get_tensor_name_map(ARCHITECTURES[architecture], config.num_hidden_layers)
    for weight, tensor in model.state_dict().items():
        if weight == "lm_head.weight" and config.tie_word_embeddings:
            continue
        module, _, kind = weight.rpartition(".")
        numbers = tensor.float().numpy()
        if architecture == "llama" and module.endswith(("q_proj", "k_proj")):
            heads = config.num_attention_heads
            numbers = _paired(numbers, heads if "q_proj" in module else config.num_key_value_heads)
        whole = numbers.shape[-1] % gguf.GGML_QUANT_SIZES[quantisation][0] == 0
        stored_as = quantisation if numbers.ndim > 1 and whole else Quantisation.F32
        writer.add_tensor(
            f"{names.get_name(module)}.{kind}",
            gguf.quantize(numbers, stored_as),
            raw_dtype=stored_as,
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: PreTrainedTokenizerFast, pre: str) -> None:
    learnt = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    tokens = sorted(learnt["vocab"], key=learnt["vocab"].__getitem__)
    special = {token.content for token in tokenizer.added_tokens_decoder.values()}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([CONTROL if token in special else NORMAL for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in learnt["merges"]])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_chat_template(tokenizer.chat_template)


def _paired(weight: np.ndarray, heads: int) -> np.ndarray:
    """The rows of a projection with the two halves of each head's rotations side by side."""
    pairs = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(weight.shape)
