"""The base model: a frozen causal language model and its tokenizer, loaded once."""

import errno
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi
from huggingface_hub import errors as hub_errors
from huggingface_hub.utils import httpx
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from learner.model.attention import enable_segment_attention
from learner.model.cuda_graphs import Fixtures, fixtures_on
from learner.model.own_thread import in_own_thread

POCKET = "pocket"
POCKET_FOLDER = Path(__file__).resolve().parents[2] / "assets" / "pocket"
DEVICES = ("auto", "cpu", "cuda")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class ModelError(ValueError):
    """A base model cannot be used; the message is one sentence for the person who asked for it."""


@dataclass(frozen=True, eq=False)
class BaseModel:
    """A frozen causal language model. Nothing about a learner or a visitor is ever stored in it.

    ``revision`` names the exact weights: the commit of a Hub model, or the SHA-256 of a folder's
    safetensors. Two loads are two different objects, hence identity for equality.
    """

    name: str
    revision: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    device: torch.device
    dtype: torch.dtype

    @property
    def embeddings(self) -> torch.Tensor:
        """The input embedding matrix [vocabulary_size, hidden_size], on the device."""
        weight = self.model.get_input_embeddings().weight
        assert isinstance(weight, torch.Tensor)
        return weight

    @property
    def vocabulary_size(self) -> int:
        return self.embeddings.shape[0]

    @property
    def hidden_size(self) -> int:
        return self.embeddings.shape[1]

    @property
    def has_chat_template(self) -> bool:
        return bool(self.tokenizer.chat_template)

    @cached_property
    def parameter_count(self) -> int:
        """Number of weights, tied ones counted once."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @cached_property
    def context_length(self) -> int:
        """Tokens that fit: soft prompt, question and answer together.

        Within a sliding window, windowed attention is full attention, so the window bounds it too.
        """
        config = self.model.config.get_text_config()
        limits = (
            getattr(config, "max_position_embeddings", None),
            getattr(config, "sliding_window", None),
        )
        return min((limit for limit in limits if limit), default=2048)

    @cached_property
    def fixtures(self) -> Fixtures:
        """What CUDA graphs over this model stand on; whatever is in it, nobody reads again."""
        return fixtures_on(self.device)


def load_base_model(
    name: str = POCKET, device: str = "auto", dtype: str = "auto", revision: str | None = None
) -> BaseModel:
    """Load a model to learn in front of: frozen, in eval mode, on its device.

    ``name`` is ``"pocket"`` (the embedded model), a folder, or a Hub id; ``revision`` a branch, tag
    or commit of a Hub model. ``device`` "auto" is CUDA where there is one, else the CPU. ``dtype``
    "auto" is bfloat16 where the hardware multiplies it natively, else float32. Only safetensors are
    read and no code from the model's repository is run.

    Raises ModelError, with one sentence, for whatever keeps the model from being used.
    """
    return in_own_thread(_load, name, device, dtype, revision)


def _load(name: str, device: str, dtype: str, revision: str | None) -> BaseModel:
    target = _resolve_device(device)
    precision = _resolve_dtype(dtype, target)
    folder = POCKET_FOLDER if name == POCKET else Path(name)
    source = str(folder) if folder.is_dir() else name
    if name == POCKET and not folder.is_dir():
        raise ModelError(
            f"The embedded model is missing from {folder}; `python -m learner.pocket` builds it."
        )
    try:
        # Once, so that all of it is of one commit, whatever is pushed meanwhile.
        commit = None if folder.is_dir() else HfApi().resolve_revision(name, revision=revision)
        tokenizer = AutoTokenizer.from_pretrained(source, revision=commit, trust_remote_code=False)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source,
            revision=commit,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=precision,
            output_loading_info=True,
        )
        model, loading = loaded
        if loading["missing_keys"]:
            example = sorted(loading["missing_keys"])[0]
            raise ModelError(
                f"{name} is not a complete causal language model: it has no {example!r} weights."
            )
        prepared = prepare(model, tokenizer, name)
        torch.nn.Module.to(prepared, target)
    except ModelError:
        raise
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise ModelError(f"There is not enough memory on {target} to load {name}.") from error
    except (
        OSError,
        ValueError,
        KeyError,
        RuntimeError,
        SafetensorError,
        httpx.HTTPError,
        hub_errors.RevisionResolutionError,
    ) as error:
        raise ModelError(_explain(name, error)) from error
    weights = _digest(folder) if commit is None else commit.resolved
    return BaseModel(name, weights, prepared, tokenizer, target, precision)


def prepare(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str
) -> PreTrainedModel:
    """Freeze a loaded model and set it up for `learner.model.forward`.

    Raises ModelError if its tokenizer or its attention cannot be used here.
    """
    if not tokenizer.is_fast:
        raise ModelError(f"{name} has no fast tokenizer (tokenizer.json), which this app needs.")
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    model.requires_grad_(False).eval()
    if not enable_segment_attention(model):
        raise ModelError(
            f"{name} ({model.config.model_type}) attends in a way that rows cannot share a prefix "
            "in; choose a model of the Qwen, Llama or Mistral kind."
        )
    return model


def native_bfloat16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 matrices natively (else emulation makes it slow)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16"))
    return False


def _resolve_device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ModelError(f"{device!r} is not a device; use cpu, cuda or auto.") from error
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise ModelError("There is no CUDA device on this machine; use --device cpu.")
    return resolved


def _resolve_dtype(dtype: str, device: torch.device) -> torch.dtype:
    if dtype == "auto":
        return torch.bfloat16 if native_bfloat16(device) else torch.float32
    if dtype not in DTYPES:
        raise ModelError(f"{dtype!r} is not a dtype; use {', '.join(DTYPES)} or auto.")
    return DTYPES[dtype]


def _digest(folder: Path) -> str:
    """SHA-256 over the folder's safetensors, in name order."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _explain(name: str, error: Exception) -> str:
    """One sentence for what went wrong, from the first cause that the Hub client names."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    sentences = (
        (hub_errors.GatedRepoError, "is gated: ask for access on its page and log in with a token"),
        (hub_errors.RepositoryNotFoundError, "is neither a folder nor a model on the Hub"),
        (hub_errors.RevisionNotFoundError, "has no such revision on the Hub"),
        (hub_errors.HFValidationError, "is neither a folder nor a model id (user/name)"),
        (hub_errors.OfflineModeIsEnabled, "is not on this machine, and the Hub is off (offline)"),
        (hub_errors.LocalEntryNotFoundError, "is not on this machine and the Hub is out of reach"),
        (hub_errors.RevisionResolutionError, "is not on this machine and the Hub is out of reach"),
        (hub_errors.EntryNotFoundError, "lacks a file a causal language model needs"),
        (SafetensorError, "has a damaged safetensors file"),
    )
    for kind, what in sentences:
        if any(isinstance(cause, kind) for cause in causes):
            return f"The model {name} {what}."
    if any(getattr(cause, "errno", None) in (errno.ENOSPC, errno.EDQUOT) for cause in causes):
        return f"There is no room left on this machine's disk for {name}; make some."
    reason = " ".join(str(error).split()) or type(error).__name__
    if "allocate memory" in reason:
        return f"There is not enough memory to load {name}."
    if "mismatched_sizes" in reason:
        return f"The weights of {name} do not have the shapes that its config.json says."
    return f"The model {name} cannot be loaded: {reason.split('. ')[0].rstrip('.')}."
