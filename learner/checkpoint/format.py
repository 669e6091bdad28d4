"""What is in a checkpoint's files, and a `Learner` as these bytes and back, whoever wrote them.

Folders, zip files and the Hub differ only in how the bytes travel. The two ``adapter`` files are
PEFT's own (``PromptTuningConfig`` and ``save_pretrained`` of PEFT 0.21); with these alone, as PEFT
writes them, a prompt loads as a learner that has not trained here yet. Everything is checked first.
"""

import dataclasses
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import safetensors.torch
import torch
from pydantic import FailFast, Field, with_config

from learner.checkpoint.reading import (
    FLOAT_DTYPES,
    LENIENT,
    STRICT,
    CheckpointError,
    Count,
    Names,
    OtherModelError,
    Past,
    check,
    parse,
    parse_json,
    parse_tensors,
    shown,
)
from learner.learning.learner import (
    MAX_HISTORY,
    MAX_SOFT_TOKENS,
    Learner,
    LearnerConfig,
    StepRecord,
    untrained,
)
from learner.model.base_model import ModelFacts
from learner.model.source import KINDS, ModelSource, recorded_source

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
_LATER_SETTINGS = ("end_weight",)  # that earlier versions of the app refuse, as they know them not
_HEADER_BYTES = 1 << 16  # more than any header of a safetensors file with three tensors
_MAX_COUNT = 1 << 53  # beyond it not every whole number is a float
MAX_LOSS = 1e6  # nats a token; that of knowing nothing is about 12
_MOMENTS = ("first_moment", "second_moment")


def size_limits(base_model: ModelFacts) -> dict[str, int]:
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


def pack(learner: Learner, base_model: ModelFacts | None = None) -> dict[str, bytes]:
    """The files of ``learner``'s checkpoint that are read again, by name.

    ``base_model`` only completes PEFT's config with the numbers of layers and attention heads,
    which PEFT takes from the model itself where they are null.
    """
    state = {
        "schema_version": SCHEMA_VERSION,
        "base_model": dataclasses.asdict(learner.source),
        "config": _settings(learner.config),
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
    }


def _settings(config: LearnerConfig) -> dict[str, object]:
    """The config as values for JSON; later settings only where they are not as they always were."""
    default = dataclasses.asdict(LearnerConfig())
    return {
        name: value
        for name, value in dataclasses.asdict(config).items()
        if name not in _LATER_SETTINGS or value != default[name]
    }


def _adapter_config(learner: Learner, base_model: ModelFacts | None) -> dict[str, object]:
    """What ``PromptTuningConfig.save_pretrained`` writes, key by key."""
    tokens, size = learner.prompt.shape
    return {
        "auto_mapping": None,
        "base_model_name_or_path": learner.source.name,
        "inference_mode": True,
        "modules_to_save": None,
        "num_attention_heads": base_model.heads if base_model else None,
        "num_layers": base_model.layers if base_model else None,
        "num_transformer_submodules": 1,
        "num_virtual_tokens": tokens,
        "peft_type": "PROMPT_TUNING",
        "peft_version": "0.21.0",  # whose format this is
        "prompt_tuning_init": "RANDOM",  # the real initialiser is in training_state.json
        "prompt_tuning_init_text": None,
        # A commit on the Hub; of what is on this machine the hash of its weights, which tells it.
        "revision": learner.source.revision or None,
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


@dataclass(frozen=True)
class _Recorded:
    """The base model as a file says it was made for; empty where it does not say."""

    name: str = ""
    revision: str = ""
    kind: str = ""  # files from before there was one load

    def __post_init__(self) -> None:
        if self.kind not in ("", *KINDS):
            raise ValueError(f"a base model is {', '.join(KINDS)}, not {shown(self.kind)}.")

    @property
    def source(self) -> ModelSource:
        return recorded_source(self.name, self.revision, self.kind)


@with_config(LENIENT)
@dataclass(frozen=True)
class _Version:
    """What a training_state.json of any version says."""

    schema_version: Any = None


@with_config(STRICT)
@dataclass(frozen=True)
class _State:
    """A training_state.json of this version; what has a default, older files lack."""

    schema_version: int
    base_model: _Recorded
    config: LearnerConfig
    steps: Past
    episodes: Past
    history: Annotated[tuple[StepRecord, ...], Field(max_length=MAX_HISTORY), FailFast()]
    families: Names = ()
    stream_seed: Count | None = None


def read_checked(
    sizes: Mapping[str, int], read: Callable[[str], bytes], base_model: ModelFacts
) -> dict[str, bytes]:
    """The files of a checkpoint with these ``sizes`` (bytes), none read before it may be.

    The config comes first: it tells a LoRA by its name rather than by its size. Raises
    CheckpointError.
    """
    check_names(sizes)
    limits = size_limits(base_model)
    check_sizes({ADAPTER_CONFIG: sizes[ADAPTER_CONFIG]}, limits)
    config = read(ADAPTER_CONFIG)
    adapter_base_model(config, base_model)
    check_sizes(sizes, limits)
    others = [name for name in FILES if name in sizes and name != ADAPTER_CONFIG]
    return {ADAPTER_CONFIG: config, **{name: read(name) for name in others}}


def unpack(
    files: Mapping[str, bytes], base_model: ModelFacts, accept_other_model: bool = False
) -> Learner:
    """The learner in ``files``, for use in front of ``base_model``.

    Raises CheckpointError for whatever is not right; OtherModelError where nothing but the base
    model's identity differs, unless ``accept_other_model``.
    """
    sizes = {name: len(data) for name, data in files.items()}
    read_checked(sizes, files.__getitem__, base_model)
    adapter = parse_json(files[ADAPTER_CONFIG], ADAPTER_CONFIG)
    shape = _adapter_shape(adapter, base_model)
    if TRAINING_STATE not in files:
        prompt = _prompt(files[ADAPTER_MODEL], shape, tuple(FLOAT_DTYPES))
        learner = untrained(base_model.source, LearnerConfig(soft_tokens=len(prompt)), prompt)
        name, revision = adapter.get("base_model_name_or_path"), adapter.get("revision")
        made_for = recorded_source(str(name or ""), str(revision or ""))
    else:
        learner, made_for = _trained(files, shape, base_model)
    if not accept_other_model:
        _check_source(made_for, base_model)
    return learner


def adapter_base_model(data: bytes, base_model: ModelFacts) -> str:
    """The base model that the bytes of an adapter_config.json name; "" where they name none.

    Raises CheckpointError if they do not describe a soft prompt of ``base_model``'s size: that much
    can be known before the rest is downloaded.
    """
    adapter = parse_json(data, ADAPTER_CONFIG)
    _adapter_shape(adapter, base_model)
    return str(adapter.get("base_model_name_or_path") or "")


def check_length(tokens: int, file: str, base_model: ModelFacts) -> None:
    """Raise CheckpointError unless a prompt of so many tokens leaves the model room to read."""
    most = min(MAX_SOFT_TOKENS, base_model.context_length - 1)
    if not 1 <= tokens <= most:
        raise CheckpointError(
            f"{file} has {tokens} virtual tokens; 1 to {most} fit in front of {base_model.name}."
        )


def _adapter_shape(adapter: Mapping[str, Any], base_model: ModelFacts) -> tuple[int, int]:
    """(virtual tokens, hidden size), if PEFT's config describes a soft prompt of the right size."""
    kind = adapter.get("peft_type")
    if kind != "PROMPT_TUNING":
        raise CheckpointError(
            f"{ADAPTER_CONFIG} is that of a {shown(kind)} adapter; only prompt tuning "
            "('PROMPT_TUNING') loads here."
        )
    for key, right, meaning in (
        ("task_type", ("CAUSAL_LM",), "only prompts for CAUSAL_LM load here"),
        ("num_transformer_submodules", (1, None), "a causal language model has 1"),
    ):
        if adapter.get(key) not in right:
            raise CheckpointError(
                f"{ADAPTER_CONFIG} says {key} {shown(adapter.get(key))}; {meaning}."
            )
    tokens = check(Count, adapter.get("num_virtual_tokens"), ADAPTER_CONFIG, "num_virtual_tokens")
    check_length(tokens, ADAPTER_CONFIG, base_model)
    if adapter.get("token_dim") != base_model.hidden_size:
        raise CheckpointError(
            f"{ADAPTER_CONFIG} says token_dim {shown(adapter.get('token_dim'))}, but "
            f"{base_model.name} takes vectors of {base_model.hidden_size} numbers; choose the base "
            f"model the prompt was made for: {shown(adapter.get('base_model_name_or_path'))}."
        )
    return tokens, base_model.hidden_size


def _trained(
    files: Mapping[str, bytes], shape: tuple[int, int], base_model: ModelFacts
) -> tuple[Learner, ModelSource]:
    """The learner in a checkpoint of ours, exactly as it was saved, and what it was made for."""
    version = parse(_Version, files[TRAINING_STATE], TRAINING_STATE).schema_version
    if version != SCHEMA_VERSION:
        raise CheckpointError(
            f"{TRAINING_STATE} has schema_version {shown(version)}, and this app reads "
            f"{SCHEMA_VERSION}; update the app, or remove both training_state files to load the "
            "prompt alone."
        )
    state = parse(_State, files[TRAINING_STATE], TRAINING_STATE)
    config = state.config
    if config.soft_tokens != shape[0]:
        raise CheckpointError(
            f"{TRAINING_STATE} says {config.soft_tokens} soft tokens and {ADAPTER_CONFIG} "
            f"{shape[0]}; the two files belong to different checkpoints."
        )
    moments = parse_tensors(files[TRAINING_TENSORS], TRAINING_TENSORS, _MOMENTS, shape, ("F32",))
    if (moments["second_moment"] < 0).any():
        raise CheckpointError(
            f"second_moment in {TRAINING_TENSORS} has negative numbers; a mean of squares has none."
        )
    learner = Learner(
        config=config,
        prompt=_prompt(files[ADAPTER_MODEL], shape, ("F32",)),
        first_moment=moments["first_moment"],
        second_moment=moments["second_moment"],
        steps=state.steps,
        episodes=state.episodes,
        history=_possible(state.history),
        source=base_model.source,
        families=tuple(sorted(set(state.families))),
        stream_seed=state.stream_seed,
    )
    return learner, state.base_model.source


def _possible(records: tuple[StepRecord, ...]) -> tuple[StepRecord, ...]:
    """The records, if they can be."""
    for record in records:
        possible = 0 <= record.correct <= record.total and record.total and record.grad_norm >= 0
        counts = record.step, record.episodes, record.total, record.samples
        least, largest = min(counts), max(counts)
        if not possible or abs(record.loss) > MAX_LOSS or not 0 <= least <= largest <= _MAX_COUNT:
            raise CheckpointError(
                f"{TRAINING_STATE} has a step with {record.correct} of {record.total} correct, "
                f"loss {record.loss:g} and gradient norm {record.grad_norm:g}, which cannot be; "
                "save the checkpoint again."
            )
    return records


def _prompt(data: bytes, shape: tuple[int, int], dtypes: tuple[str, ...]) -> torch.Tensor:
    names = ("prompt_embeddings",)
    return parse_tensors(data, ADAPTER_MODEL, names, shape, dtypes)["prompt_embeddings"]


def _check_source(made_for: ModelSource, base_model: ModelFacts) -> None:
    """Raise OtherModelError if the checkpoint says it was made for something else."""
    used = base_model.source
    if made_for.fits(used):
        return
    was, now = shown(made_for.name), used.name
    if made_for.name in ("", used.name):
        was = f"{used.name} in revision {shown(made_for.revision)}"
        now = f"revision {used.revision}"
    raise OtherModelError(
        f"The checkpoint says it was made for {was}, not {now}: its size fits, but its "
        "vectors mean something else here, so load it only to try that out."
    )
