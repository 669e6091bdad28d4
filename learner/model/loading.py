"""Loading a base model: from where it lies or from the Hub, or one sentence why not."""

import errno
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi, is_offline_mode
from huggingface_hub import errors as hub_errors
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import httpx
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from learner.model.base_model import BaseModel, base_model_of, prepare
from learner.model.gguf import gguf_widths, load_gguf
from learner.model.memory import free_bytes, widths
from learner.model.own_thread import in_own_thread
from learner.model.precision import fast_dtype
from learner.model.source import POCKET, POCKET_FOLDER, ModelError, ModelSource, locate

DEVICES = ("auto", "cpu", "cuda")
AUTO = "auto"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def load_base_model(
    name: str = POCKET, device: str = "auto", dtype: str = "auto", revision: str | None = None
) -> BaseModel:
    """Load a model to learn in front of: frozen, in eval mode, on its device.

    ``name`` is what `locate` reads; ``revision`` a branch, tag or commit of a model on the Hub.
    ``device`` "auto" is CUDA where there is one, else the CPU. ``dtype`` "auto" is bfloat16 where
    that is fast (`precision`), else float32. Only safetensors and GGUF files are read, and
    no code from the model's repository is run.

    Raises ModelError, with one sentence, for whatever keeps the model from being used.
    """
    return in_own_thread(_load, name, device, dtype, revision)


def _load(name: str, device: str, dtype: str, revision: str | None) -> BaseModel:
    target = _resolve_device(device)
    if dtype not in (AUTO, *DTYPES):
        raise ModelError(f"{dtype!r} is not a dtype; use {', '.join(DTYPES)} or auto.")
    source, path = locate(name)
    if source.is_embedded and not POCKET_FOLDER.is_dir():
        raise ModelError(
            f"The embedded model is missing from {path}; `python -m learner.pocket` builds it."
        )
    try:
        if source.gguf_file is not None:
            file = path or _downloaded(source, revision, target)
            precision = DTYPES.get(dtype) or fast_dtype(target, *gguf_widths(file))
            model, tokenizer = load_gguf(file, precision, target)
            source = replace(source, revision=_digest([file]))
        else:
            model, tokenizer, source = _from_safetensors(source, path, dtype, target, revision)
        prepared = prepare(model, tokenizer, name)
        torch.nn.Module.to(prepared, target)
        return base_model_of(source, prepared, tokenizer, target)
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


def _from_safetensors(
    source: ModelSource, path: Path | None, dtype: str, device: torch.device, revision: str | None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, ModelSource]:
    """A model in a folder or on the Hub, on the CPU, and its source with its revision."""
    place = source.name if path is None else str(path)
    # Once, so that all of it is of one commit, whatever is pushed meanwhile.
    commit = HfApi().resolve_revision(place, revision=revision) if path is None else None
    tokenizer = AutoTokenizer.from_pretrained(place, revision=commit, trust_remote_code=False)
    precision = DTYPES.get(dtype)
    if precision is None:
        config = AutoConfig.from_pretrained(place, revision=commit, trust_remote_code=False)
        precision = fast_dtype(device, *widths(config))
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        place,
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
            f"{place} is not a complete causal language model: it has no {example!r} weights."
        )
    files = sorted(Path(place).glob("*.safetensors"))
    weights = commit.resolved if commit is not None else _digest(files)
    return model, tokenizer, replace(source, revision=weights)


def _downloaded(source: ModelSource, revision: str | None, device: torch.device) -> Path:
    """The GGUF file on the Hub as a file on this machine, and nothing else of its repository.

    What is larger than the memory is not downloaded.
    """
    repo_id, file = str(source.hub_id), str(source.gguf_file)
    api = HfApi()
    commit = api.resolve_revision(repo_id, revision=revision)
    if not is_offline_mode():
        found = api.get_paths_info(repo_id, [file], revision=commit.resolved)
        size = next((entry.size for entry in found if isinstance(entry, RepoFile)), 0)
        if size > free_bytes(device):
            raise ModelError(
                f"{source.name} has {size / 1e9:.1f} GB, more than the memory that is free on "
                f"{device.type} ({free_bytes(device) / 1e9:.1f} GB); take a smaller one."
            )
    return Path(api.hf_hub_download(repo_id, file, revision=commit.resolved))


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


def _digest(files: Sequence[Path]) -> str:
    """SHA-256 over the files, one after the other."""
    digest = hashlib.sha256()
    for path in files:
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
