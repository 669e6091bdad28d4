"""What is in a checkpoint's files: their names, how large they may be, and a `Learner` as bytes.

Folders, zip files and the Hub differ only in how the bytes travel. The two ``adapter`` files are
PEFT's own (``PromptTuningConfig`` and ``save_pretrained`` of PEFT 0.21). The way back from bytes to
a learner is `unpacking.py`.
"""

import dataclasses
import json
from collections.abc import Collection, Mapping

import safetensors.torch
import torch

from learner.checkpoint.learning_curve import draw_learning_curve
from learner.checkpoint.model_card import model_card
from learner.checkpoint.reading import CheckpointError, shown
from learner.learning.learner import MAX_SOFT_TOKENS, Learner
from learner.model.base_model import BaseModel

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_MODEL = "adapter_model.safetensors"
TRAINING_TENSORS = "training_state.safetensors"
TRAINING_STATE = "training_state.json"
CARD = "README.md"
CURVE = "learning_curves.png"

# In the order in which they are read: what tells what the rest is comes first, and what nothing
# loads without comes last, so that a download broken off is never mistaken for a plain adapter.
FILES = (ADAPTER_CONFIG, CARD, TRAINING_TENSORS, TRAINING_STATE, CURVE, ADAPTER_MODEL)

SCHEMA_VERSION = 1
_HEADER_BYTES = 1 << 16  # more than any header of a safetensors file with three tensors


def size_limits(base_model: BaseModel) -> dict[str, int]:
    """The most bytes that are read of each file: far above any real prompt for this base model.

    They hold `MAX_SOFT_TOKENS` vectors, in float64 if need be, and a full history.
    """
    numbers = MAX_SOFT_TOKENS * base_model.hidden_size
    return {
        ADAPTER_CONFIG: 1 << 20,
        CARD: 1 << 20,
        TRAINING_TENSORS: 2 * 4 * numbers + _HEADER_BYTES,
        TRAINING_STATE: 1 << 22,
        CURVE: 1 << 23,
        ADAPTER_MODEL: 8 * numbers + _HEADER_BYTES,
    }


def check_names(names: Collection[str]) -> None:
    """Raise CheckpointError unless these files, and no others, can be a checkpoint."""
    for name in names:
        if name not in FILES:
            raise CheckpointError(
                f"{shown(name)} does not belong in a checkpoint; its files are {', '.join(FILES)}."
            )
    needed = [ADAPTER_CONFIG, ADAPTER_MODEL]
    if TRAINING_STATE in names or TRAINING_TENSORS in names:
        needed += [TRAINING_STATE, TRAINING_TENSORS]
    missing = [name for name in needed if name not in names]
    if missing:
        raise CheckpointError(
            f"{missing[0]} is missing: this checkpoint needs {', '.join(needed)} together."
        )


def check_sizes(sizes: Mapping[str, int], limits: Mapping[str, int]) -> None:
    """Raise CheckpointError if one of the files has more bytes than ``limits`` allows it."""
    for name, size in sizes.items():
        if size > limits[name]:
            limit = limits[name] / 1e6
            digits = 0 if limit >= 1 else 1
            raise CheckpointError(
                f"{name} is larger than {limit:.{digits}f} MB, which no soft prompt for this model "
                "needs; load the checkpoint of a soft prompt."
            )


def pack(learner: Learner, base_model: BaseModel | None = None) -> dict[str, bytes]:
    """The files of ``learner``'s checkpoint, by name.

    ``base_model`` only completes PEFT's config with the numbers of layers and attention heads,
    which PEFT takes from the model itself where they are null.
    """
    state = {
        "schema_version": SCHEMA_VERSION,
        "base_model": {"name": learner.model_name, "revision": learner.model_revision},
        "config": dataclasses.asdict(learner.config),
        "steps": learner.steps,
        "episodes": learner.episodes,
        "families": learner.families,
        "stream_seed": learner.stream_seed,
        "history": [dataclasses.asdict(record) for record in learner.history],
    }
    return {
        ADAPTER_CONFIG: _json(_adapter_config(learner, base_model)),
        ADAPTER_MODEL: _safetensors(prompt_embeddings=learner.prompt),
        TRAINING_TENSORS: _safetensors(
            first_moment=learner.first_moment, second_moment=learner.second_moment
        ),
        TRAINING_STATE: _json(state),
        CARD: model_card(learner).encode(),
    }


def pack_with_curve(learner: Learner, base_model: BaseModel | None = None) -> dict[str, bytes]:
    """As `pack`, for people: with the picture of how it learnt, if it has learnt a little."""
    files = pack(learner, base_model)
    curve = draw_learning_curve(learner.history)
    if curve is None:
        return files
    return {**files, CURVE: curve, CARD: model_card(learner, curve_file=CURVE).encode()}


def _adapter_config(learner: Learner, base_model: BaseModel | None) -> dict[str, object]:
    """What ``PromptTuningConfig.save_pretrained`` writes, key by key."""
    tokens, size = learner.prompt.shape
    architecture = base_model and base_model.model.config.get_text_config()
    return {
        "auto_mapping": None,
        "base_model_name_or_path": learner.model_name,
        "inference_mode": True,
        "modules_to_save": None,
        "num_attention_heads": getattr(architecture, "num_attention_heads", None),
        "num_layers": getattr(architecture, "num_hidden_layers", None),
        "num_transformer_submodules": 1,
        "num_virtual_tokens": tokens,
        "peft_type": "PROMPT_TUNING",
        "peft_version": "0.21.0",  # whose format this is
        "prompt_tuning_init": "RANDOM",  # the real initialiser is in training_state.json
        "prompt_tuning_init_text": None,
        # A commit means something to the Hub, the SHA-256 of a local folder does not.
        "revision": None if len(learner.model_revision) == 64 else learner.model_revision,
        "task_type": "CAUSAL_LM",
        "token_dim": size,
        "tokenizer_kwargs": None,
        "tokenizer_name_or_path": None,
    }


def _safetensors(**tensors: torch.Tensor) -> bytes:
    # Cloned because safetensors refuses tensors that share memory, as two fresh moments may.
    return safetensors.torch.save(
        {name: tensor.clone() for name, tensor in tensors.items()}, {"format": "pt"}
    )


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False).encode()
