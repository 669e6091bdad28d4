"""A base model out of a GGUF file, as llama.cpp, Ollama and LM Studio keep them.

Its config and its tokenizer are read by transformers (``gguf_file=``), from copies of the header
that hold nothing else. The weights are not: transformers keeps two copies of them for a while
(measured: 2.0 to 2.2 times what bfloat16 weights take), and is slow. Here they are dequantised by
package gguf, some rows at a time, straight into the tensors of the model that runs.
"""

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from tokenizers import normalizers, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from learner.model.gguf_header import Header, StoredTensor, copy_without_tensors, read_header
from learner.model.memory import free_bytes
from learner.model.progress import Tell, telling, unheard
from learner.model.source import ModelError

# By llama.cpp's names, under which Mistral's models are Llama's.
ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
}
_ROTATIONS = "rope_freqs.weight"  # by what Llama 3.1's frequencies are divided
_CHUNK = 1 << 22  # numbers that are dequantised at once
_SIZES = ("block_count", "context_length", "embedding_length", "feed_forward_length")
_HEADS = ("attention.head_count", "attention.head_count_kv")
_OTHER_SIZES = ("rope.dimension_count", "attention.key_length", "vocab_size")
_NUMBERS = ("attention.layer_norm_rms_epsilon", "rope.freq_base")
# Vocabularies that were learnt with every digit on its own, which transformers does not know.
_DIGIT_BY_DIGIT = (
    "smollm",
    "starcoder",
    "refact",
    "command-r",
    "codeshell",
    "exaone",
    "minerva-7b",
)
_LIKE_GPT2 = ("gpt-2", "mpt", "olmo", "jais", "trillion", "granite-docling")
_BEGINS = ("llama3", "llama-v3", "llama-bpe")  # begin of sequence, though older files do not say so


def load_gguf(
    path: Path, dtype: torch.dtype, device: torch.device, tell: Tell = unheard
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model in a GGUF file, its weights as ``dtype`` on ``device``, and its tokenizer.

    ``tell`` hears how far that is. Raises ModelError, in a sentence, for whatever keeps it from
    being used; and OSError.
    """
    header = read_header(path)
    architecture = str(header.values.get("general.architecture"))
    if architecture not in ARCHITECTURES:
        raise ModelError(
            f"{path.name} is a model of the kind {architecture[:40]!a}; "
            f"of GGUF files, {', '.join(ARCHITECTURES)} load here."
        )
    _check_values(path, header, architecture)
    config, tokenizer = _described(path, header, architecture)
    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=dtype)
    places = _places(path, header, architecture, model)
    _check_memory(path, places, dtype, device)
    weights = _weights(path, header, architecture, places, dtype, device, tell)
    model.load_state_dict(weights, strict=False, assign=True)
    model.tie_weights()
    _place_rotations(path, header, model, device)
    return model, tokenizer


def gguf_widths(path: Path) -> tuple[int, int]:
    """Hidden and intermediate size of the model in a GGUF file, as far as it says them.

    Raises as `load_gguf`.
    """
    header = read_header(path)
    architecture = str(header.values.get("general.architecture"))
    if architecture in ARCHITECTURES:
        _check_values(path, header, architecture)
    sizes = [header.values.get(f"{architecture}.{name}") for name in _SIZES[2:]]
    hidden, intermediate = (size if isinstance(size, int) else 1024 for size in sizes)
    return hidden, intermediate


def _check_values(path: Path, header: Header, architecture: str) -> None:
    """Refuse a file whose sizes are none, before a model is made of them."""
    values = header.values
    for name in (*_SIZES, *_HEADS, *_OTHER_SIZES):
        value = values.get(f"{architecture}.{name}", None if name not in _OTHER_SIZES else 1)
        if type(value) is not int or not 1 <= value < 1 << 24:
            raise ModelError(
                f"The GGUF file {path.name} has {str(value)[:40]!a} as its {name}; it is damaged."
            )
    for name in _NUMBERS:
        value = values.get(f"{architecture}.{name}", 1.0)
        if type(value) is not float or not (math.isfinite(value) and value > 0):
            raise ModelError(
                f"The GGUF file {path.name} has {str(value)[:40]!a} as its {name}; it is damaged."
            )
    layers = values[f"{architecture}.block_count"]
    if not all(f"blk.{i}.attn_q.weight" in header.tensors for i in range(int(layers))):
        raise ModelError(f"The GGUF file {path.name} lacks weights of its {layers} layers.")
    scaling = values.get(f"{architecture}.rope.scaling.type", "none")
    if scaling != "none":
        raise ModelError(
            f"The GGUF file {path.name} stretches positions ({str(scaling)[:40]!a}), which is not "
            "read here; choose a file without rope scaling."
        )


def _described(
    path: Path, header: Header, architecture: str
) -> tuple[PreTrainedConfig, PreTrainedTokenizerFast]:
    """Config and tokenizer, as transformers reads them."""
    size = f"{architecture}.vocab_size"
    shape = [name for name in header.values if name.startswith(f"{architecture}.") and name != size]
    words = [name for name in header.spans if name.startswith("tokenizer.")]
    _check_tokenizer(path, header)
    pre = str(header.values.get("tokenizer.ggml.pre", ""))
    begins: dict[str, Any] = {"add_bos_token": True} if pre in _BEGINS else {}
    with tempfile.TemporaryDirectory(prefix="gguf-") as folder:
        kind = "general.architecture"
        counts = {size: header.tensors["token_embd.weight"].shape[0]}
        copy_without_tensors(path, header, [kind, *shape], counts, Path(folder) / "config.gguf")
        copy_without_tensors(path, header, [kind, *words], {}, Path(folder) / "tokenizer.gguf")
        config = AutoConfig.from_pretrained(folder, gguf_file="config.gguf")
        try:
            tokenizer = PreTrainedTokenizerFast.from_pretrained(
                folder, gguf_file="tokenizer.gguf", **begins
            )
        except Exception as error:  # package tokenizers raises nothing more precise
            raise ModelError(
                f"The tokenizer in the GGUF file {path.name} cannot be used "
                f"({' '.join(str(error).split())[:120]})."
            ) from error
    if architecture == "qwen3" and "qwen3.attention.key_length" in header.values:
        config.head_dim = header.values["qwen3.attention.key_length"]
    config.tie_word_embeddings = "output.weight" not in header.tensors
    config.name_or_path = tokenizer.name_or_path = ""
    _split_as_learnt(path, header, tokenizer)
    return config, tokenizer


def _check_tokenizer(path: Path, header: Header) -> None:
    """Refuse a file whose tokenizer cannot belong to its weights."""
    count = header.lengths.get("tokenizer.ggml.tokens", 0)
    embeddings = header.tensors.get("token_embd.weight")
    if embeddings is None or not 1 <= count <= embeddings.shape[0]:
        raise ModelError(f"The GGUF file {path.name} has no tokenizer that fits its weights.")
    for name in ("bos", "eos", "unknown", "padding"):
        token = header.values.get(f"tokenizer.ggml.{name}_token_id", 0)
        if type(token) is not int or not 0 <= token < count:
            raise ModelError(
                f"The GGUF file {path.name} has {str(token)[:40]!a} as its {name} token, and "
                f"{count} tokens; it is damaged."
            )
    if not isinstance(header.values.get("tokenizer.chat_template", ""), str):
        raise ModelError(f"The GGUF file {path.name} has a chat template that is no text.")


def _split_as_learnt(path: Path, header: Header, tokenizer: PreTrainedTokenizerFast) -> None:
    """Let text be split into words as it was when the vocabulary was learnt.

    Transformers splits as GPT-2 does where it does not know the file's way. Raises ModelError where
    that would give other tokens than the model has learnt from.
    """
    backend = tokenizer.backend_tokenizer
    if len(tokenizer) > header.tensors["token_embd.weight"].shape[0]:
        raise ModelError(f"The GGUF file {path.name} has more tokens than embeddings.")
    if header.values.get("tokenizer.ggml.model") != "gpt2":
        return
    pre = str(header.values.get("tokenizer.ggml.pre", ""))
    if pre in _DIGIT_BY_DIGIT:
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
    elif pre == "qwen2":
        backend.normalizer = normalizers.NFC()
    known = isinstance(backend.pre_tokenizer, pre_tokenizers.Sequence) or pre in _LIKE_GPT2
    if not known:
        raise ModelError(
            f"The GGUF file {path.name} splits text in a way ({pre[:40]!a}) that is not known "
            "here, so the model would read other tokens than it learnt from."
        )


def _places(
    path: Path, header: Header, architecture: str, model: PreTrainedModel
) -> dict[str, StoredTensor]:
    """Which of the file's tensors is which weight of the model; ModelError unless all are."""
    names = gguf.get_tensor_name_map(ARCHITECTURES[architecture], model.config.num_hidden_layers)
    tied = set(model.all_tied_weights_keys) if model.config.tie_word_embeddings else set()
    places, used = {}, {_ROTATIONS}
    for weight, value in model.state_dict().items():
        if weight in tied:
            continue
        module, _, kind = weight.rpartition(".")
        stored_as = f"{names.get_name(module)}.{kind}"
        stored = header.tensors.get(stored_as)
        if stored is None or stored.shape != tuple(value.shape):
            found = "are missing" if stored is None else f"have the shape {list(stored.shape)}"
            raise ModelError(
                f"The GGUF file {path.name} does not hold the model it describes: the weights "
                f"{weight} {found}, where {list(value.shape)} would be right."
            )
        places[weight] = stored
        used.add(stored_as)
    if others := sorted(set(header.tensors) - used):
        raise ModelError(
            f"The GGUF file {path.name} holds weights ({others[0][:60]!a}) that a model of the "
            f"kind {architecture} does not have."
        )
    return places


def _check_memory(
    path: Path, places: Mapping[str, StoredTensor], dtype: torch.dtype, device: torch.device
) -> None:
    needed = sum(math.prod(stored.shape) for stored in places.values()) * dtype.itemsize
    free = free_bytes(device) - 8 * _CHUNK
    if needed > free:
        raise ModelError(
            f"{path.name} takes {needed / 1e9:.1f} GB of memory as {str(dtype)[6:]}, and "
            f"{max(0, free) / 1e9:.1f} GB are free on {device.type}; take a smaller model."
        )


def _weights(
    path: Path,
    header: Header,
    architecture: str,
    places: Mapping[str, StoredTensor],
    dtype: torch.dtype,
    device: torch.device,
    tell: Tell,
) -> dict[str, torch.Tensor]:
    """The model's weights by name, dequantised; how far that is shows on the console."""
    data = np.memmap(path, dtype=np.uint8, mode="r")
    size = sum(stored.size for stored in places.values())
    weights = {}
    bar_of = telling(tell, "reading its weights", size)
    with bar_of(total=size, unit="B", unit_scale=True, desc=path.name, disable=None) as bar:
        for weight, stored in places.items():
            rows, columns = math.prod(stored.shape[:-1]), stored.shape[-1]
            raw = data[stored.start : stored.start + stored.size].reshape(rows, -1)
            order = _row_order(header, architecture, weight, rows)
            values = torch.empty(rows, columns, dtype=dtype, device=device)
            step = max(1, _CHUNK // columns)
            for first in range(0, rows, step):
                chosen = raw[order[first : first + step]]
                numbers = gguf.dequantize(chosen, stored.quantisation)
                values[first : first + step] = torch.from_numpy(numbers)
                bar.update(chosen.nbytes)
            weights[weight] = values.reshape(stored.shape)
    return weights


def _row_order(header: Header, architecture: str, weight: str, rows: int) -> np.ndarray:
    """In which order the rows are read: llama.cpp pairs the two halves of a Llama's rotations."""
    order = np.arange(rows)
    heads = {"q_proj": "attention.head_count", "k_proj": "attention.head_count_kv"}
    module = weight.split(".")[-2]
    if architecture != "llama" or module not in heads:
        return order
    count = int(header.values[f"llama.{heads[module]}"])
    return order.reshape(count, rows // count // 2, 2).swapaxes(1, 2).reshape(-1)


def _place_rotations(
    path: Path, header: Header, model: PreTrainedModel, device: torch.device
) -> None:
    """Give the rotary embedding its frequencies, which are computed and not loaded."""
    decoder = model.get_decoder()
    rotary = type(decoder.rotary_emb)(model.config).to(device)
    stored = header.tensors.get(_ROTATIONS)
    if stored is not None:
        data = np.memmap(path, dtype=np.uint8, mode="r")
        raw = data[stored.start : stored.start + stored.size]
        divisors = torch.from_numpy(gguf.dequantize(raw, stored.quantisation).copy()).to(device)
        if divisors.shape != rotary.inv_freq.shape or not bool((divisors > 0).all()):
            raise ModelError(f"The GGUF file {path.name} has rotations that cannot be.")
        rotary.inv_freq /= divisors
        rotary.original_inv_freq = rotary.inv_freq
    decoder.rotary_emb = rotary
