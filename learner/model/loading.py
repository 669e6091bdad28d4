"""Loading a base model: from where it lies or from the Hub, or one sentence why not."""

import errno
import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi, is_offline_mode, try_to_load_from_cache
from huggingface_hub import errors as hub_errors
from huggingface_hub.hf_api import RepoFile, ResolvedRevision
from huggingface_hub.utils import httpx
from safetensors import SafetensorError, safe_open
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
from learner.model.progress import Tell, telling, unheard
from learner.model.source import (
    POCKET,
    POCKET_FOLDER,
    ModelError,
    ModelSource,
    is_model_file,
    locate,
)

DEVICES = ("auto", "cpu", "cuda")
AUTO = "auto"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def load_base_model(
    name: str = POCKET,
    device: str = "auto",
    dtype: str = "auto",
    revision: str | None = None,
    tell: Tell = unheard,
) -> BaseModel:
    """Load a model to learn in front of: frozen, in eval mode, on its device.

    ``name`` is what `locate` reads; ``revision`` a branch, tag or commit of a model on the Hub.
    ``device`` "auto" is CUDA where there is one, else the CPU. ``dtype`` "auto" is bfloat16 where
    that is fast (`precision`), else float32. Only safetensors and GGUF files are read, and
    no code from the model's repository is run. ``tell`` hears what is being done.

    Raises ModelError, with one sentence, for whatever keeps the model from being used.
    """
    return in_own_thread(_load, name, device, dtype, revision, tell)


def _load(name: str, device: str, dtype: str, revision: str | None, tell: Tell) -> BaseModel:
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
            file = path or _downloaded(source, revision, target, tell)
            precision = DTYPES.get(dtype) or fast_dtype(target, *gguf_widths(file))
            model, tokenizer = load_gguf(file, precision, target, tell)
            source = replace(source, revision=_digest([file]))
        else:
            model, tokenizer, source = _from_safetensors(
                source, path, dtype, target, revision, tell
            )
        prepared = prepare(model, tokenizer, name)
        torch.nn.Module.to(prepared, target)
        return base_model_of(source, prepared, tokenizer, target)
    except ModelError:
        raise
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise ModelError(f"There is not enough memory on {target} to load {name}.") from error
    except Exception as error:  # over a stranger's files transformers raises anything
        raise ModelError(_explain(name, error)) from error


def _from_safetensors(
    source: ModelSource,
    path: Path | None,
    dtype: str,
    device: torch.device,
    revision: str | None,
    tell: Tell,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, ModelSource]:
    """A model in a folder or on the Hub, on the CPU, and its source with its revision."""
    place = source.name if path is None else str(path)
    # Once, so that all of it is of one commit, whatever is pushed meanwhile; and then from here: by
    # its name each part would ask the Hub again, minutes long where it has gone away.
    commit, folder = None, path
    if folder is None:
        commit = HfApi().resolve_revision(place, revision=revision)
        folder = _download(place, commit, device, tell)
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    precision = DTYPES.get(dtype)
    if precision is None:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        precision = fast_dtype(device, *widths(config))
    tell("reading its weights")
    files = sorted(folder.glob("*.safetensors"))
    _check_memory(source.name, files, precision, device)
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        folder,
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
    weights = commit.resolved if commit is not None else _digest(files)
    return model, tokenizer, replace(source, revision=weights)


def _download(place: str, commit: ResolvedRevision, device: torch.device, tell: Tell) -> Path:
    """Have this machine keep what loading a model from the Hub needs; where that lies."""
    api = HfApi()
    try:
        info = api.model_info(place, revision=commit.resolved, files_metadata=True)
    except (httpx.HTTPError, hub_errors.OfflineModeIsEnabled):
        cached = try_to_load_from_cache(place, "config.json", revision=commit.resolved)
        if not isinstance(cached, str):
            raise
        return Path(cached).parent  # what is on this machine may be all that is needed
    sizes = {one.rfilename: one.size or 0 for one in info.siblings or ()}
    files = [name for name in sizes if is_model_file(name)]
    size = sum(sizes[name] for name in files)
    _check_room(place, size, device)
    bar = telling(tell, "downloading", size)
    return Path(api.snapshot_download(place, revision=commit, allow_patterns=files, tqdm_class=bar))


def _downloaded(
    source: ModelSource, revision: str | None, device: torch.device, tell: Tell
) -> Path:
    """The GGUF file on the Hub as a file on this machine, and nothing else of its repository.

    What is larger than the memory is not downloaded.
    """
    repo_id, file = str(source.hub_id), str(source.gguf_file)
    api = HfApi()
    commit = api.resolve_revision(repo_id, revision=revision)
    size = 0
    if not is_offline_mode():
        found = api.get_paths_info(repo_id, [file], revision=commit.resolved)
        size = next((entry.size for entry in found if isinstance(entry, RepoFile)), 0)
        _check_room(source.name, size, device)
    bar = telling(tell, "downloading", size)
    return Path(api.hf_hub_download(repo_id, file, revision=commit.resolved, tqdm_class=bar))


def _check_room(name: str, size: int, device: torch.device) -> None:
    """Refuse to download what would not fit into memory."""
    if size > free_bytes(device):
        raise ModelError(
            f"{name} has {size / 1e9:.1f} GB, more than the memory that is free on "
            f"{device.type} ({free_bytes(device) / 1e9:.1f} GB); take a smaller one."
        )


def _check_memory(
    name: str, files: Sequence[Path], precision: torch.dtype, device: torch.device
) -> None:
    """Refuse to read weights that would not fit into memory as ``precision``."""
    count = 0
    for path in files:
        with safe_open(path, "pt") as tensors:
            names = tensors.keys()
            count += sum(math.prod(tensors.get_slice(name).get_shape()) for name in names)
    needed, free = count * precision.itemsize, free_bytes(device)
    if needed > free:
        raise ModelError(
            f"{name} takes {needed / 1e9:.1f} GB of memory as {str(precision)[6:]}, and "
            f"{free / 1e9:.1f} GB are free on {device.type}; take a smaller model."
        )


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
