"""Soft prompts on the Hugging Face Hub: load one by name, and see which there are.

Every call takes the token it uses and never falls back on the machine's. A stranger's repository
is a stranger's file: its sizes are checked before anything is downloaded, and then the bytes go the
way of every other checkpoint (`learner.checkpoint.format.unpack`).
"""

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from huggingface_hub import HfApi, ModelInfo, constants, is_offline_mode, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)
from huggingface_hub.hf_api import RepoFile

from learner.checkpoint.format import (
    ADAPTER_CONFIG,
    CARD,
    CURVE,
    FILES,
    adapter_base_model,
    read_checked,
    size_limits,
    unpack,
)
from learner.checkpoint.reading import OtherModelError
from learner.hub.card import AFTER, model_filters
from learner.hub.client import HubError, hub_api, hub_errors
from learner.hub.reference import Reference
from learner.hub.wariness import check_commit, within
from learner.learning.learner import Learner
from learner.model.base_model import ModelFacts
from learner.model.source import ModelSource

_WANTED = [name for name in FILES if name != CURVE]
_SORTS: Mapping[str, Literal["last_modified", "likes"]] = {
    "recent": "last_modified",
    "liked": "likes",
}
_MAX_LISTED = 100
_MAX_SUMMARY = 300  # characters
_SECONDS = 60.0  # for one soft prompt, or one list of them
_LISTS = 1 << 24  # bytes of what the Hub says about files; their own come on top
_NOT_PROSE = re.compile(
    r"\A---\n.*?\n---\n|```.*?(?:```|\Z)|<[^>]*>|!\[[^\]]*\]\([^)]*\)|^#[^\n]*$", re.M | re.S
)


@dataclass(frozen=True)
class Accuracy:
    """A held-out accuracy that a card claims, on ``n`` problems where it says so."""

    value: float
    n: int | None = None


@dataclass(frozen=True)
class HubPrompt:
    """What the Hub says about a soft prompt."""

    repo_id: str
    author: str
    likes: int
    last_modified: datetime | None
    private: bool
    accuracy: Accuracy | None


@dataclass(frozen=True, eq=False)
class Fetched:
    """A soft prompt from the Hub, to be looked at before it is adopted.

    ``about`` is None where the Hub could not be asked (offline). ``made_for`` is the base model
    that the adapter names; ``warning`` is a sentence if that is not the one in use. ``summary`` is
    the beginning of its card: a stranger's words, as plain text.
    """

    repo_id: str
    commit: str
    url: str
    about: HubPrompt | None
    made_for: str
    summary: str
    learner: Learner
    warning: str

    @property
    def share(self) -> Reference:
        """What a share link names: exactly what is shown here."""
        return Reference(self.repo_id, self.commit)


def fetch(
    reference: Reference,
    token: str | None,
    base_model: ModelFacts,
    *,
    keep: bool = True,
    endpoint: str | None = None,
) -> Fetched:
    """The soft prompt that ``reference`` names, for use in front of ``base_model``.

    ``keep`` puts its files into this machine's Hub cache, where HF_HUB_OFFLINE=1 finds them again.
    A server for strangers must not: the cache would hand one visitor's private files to the next.
    Raises HubError and CheckpointError, each in a sentence.
    """
    api = hub_api(token, endpoint)
    repo_id, subject = reference.repo_id, str(reference)
    most = sum(size_limits(base_model).values()) + _LISTS
    with _cache_folder(keep) as folder, within(_SECONDS, most):
        with hub_errors(subject, signed_in=bool(token)):
            commit = _commit_of(api, reference, folder)
            check_commit(commit)
            about = None if is_offline_mode() else _about(_model_info(api, repo_id, commit))

        def read(name: str) -> bytes:
            with hub_errors(subject, signed_in=bool(token)):
                path = api.hf_hub_download(repo_id, name, revision=commit, cache_dir=folder)
                return Path(path).read_bytes()

        with hub_errors(subject, signed_in=bool(token)):
            sizes = _remote_sizes(api, repo_id, commit) if about else _cached_sizes(repo_id, commit)
        files = read_checked(sizes, read, base_model)
    card = files.get(CARD, b"").decode(errors="replace")
    made_for = adapter_base_model(files[ADAPTER_CONFIG], base_model)
    learner, warning = _unpacked(files, base_model)
    url = f"{endpoint or constants.ENDPOINT}/{repo_id}"
    return Fetched(repo_id, commit, url, about, made_for, _summary(card), learner, warning)


def browse(
    source: ModelSource,
    token: str | None,
    *,
    sort: str = "recent",
    limit: int = 20,
    endpoint: str | None = None,
) -> list[HubPrompt]:
    """The soft prompts that this app pushed for a base model: "recent" or most "liked" first.

    Raises HubError, in a sentence.
    """
    if sort not in _SORTS:
        raise HubError(f"Soft prompts are listed by {' or '.join(_SORTS)}.")
    tags = model_filters(source)
    if tags is None:
        raise HubError(
            "The base model in use is only on this machine, so the Hub has no soft prompts for it; "
            "start the app with the model's name on the Hub to see them."
        )
    with within(_SECONDS, _LISTS), hub_errors("The list of soft prompts", bool(token)):
        found = hub_api(token, endpoint).list_models(
            filter=tags,
            sort=_SORTS[sort],
            limit=max(1, min(limit, _MAX_LISTED)),
            expand=["author", "cardData", "lastModified", "likes", "private"],
        )
        return [_about(info) for info in found]


def _commit_of(api: HfApi, reference: Reference, folder: Path | None) -> str:
    """The commit that ``reference`` means now, also noted in the cache for when it is offline."""
    try:
        return api.resolve_revision(
            reference.repo_id, revision=reference.revision, cache_dir=folder
        ).resolved
    except GatedRepoError:
        raise
    except RepositoryNotFoundError as error:
        for kind, word in (("dataset", "dataset"), ("space", "Space")):
            if api.repo_exists(reference.repo_id, repo_type=kind):
                raise HubError(
                    f"{reference.repo_id} is a {word}; soft prompts are in model repositories."
                ) from error
        raise


def _model_info(api: HfApi, repo_id: str, commit: str) -> ModelInfo:
    return api.model_info(
        repo_id,
        revision=commit,
        expand=["author", "cardData", "lastModified", "likes", "private"],
    )


def _remote_sizes(api: HfApi, repo_id: str, commit: str) -> dict[str, int]:
    """Sizes in bytes of the wanted files that are there; of nothing else, however much there is."""
    entries = api.get_paths_info(repo_id, _WANTED, revision=commit)
    return {entry.path: entry.size for entry in entries if isinstance(entry, RepoFile)}


def _cached_sizes(repo_id: str, commit: str) -> dict[str, int]:
    """As `_remote_sizes`, of what an earlier load left in this machine's cache."""
    sizes = {}
    for name in _WANTED:
        path = try_to_load_from_cache(repo_id, name, revision=commit)
        if isinstance(path, str):  # else it is None, or the note that the file does not exist
            sizes[name] = Path(path).stat().st_size
    if not sizes:
        raise LocalEntryNotFoundError(f"nothing of {repo_id} at {commit} is cached")
    return sizes


def _unpacked(files: Mapping[str, bytes], base_model: ModelFacts) -> tuple[Learner, str]:
    """The learner, with a warning if it was made for another base model of the same size."""
    try:
        return unpack(files, base_model), ""
    except OtherModelError as error:
        return unpack(files, base_model, accept_other_model=True), str(error)


def _about(info: ModelInfo) -> HubPrompt:
    return HubPrompt(
        repo_id=info.id,
        author=info.author or info.id.split("/")[0],
        likes=info.likes or 0,
        last_modified=info.last_modified,
        private=bool(info.private),
        accuracy=_accuracy(info),
    )


def _accuracy(info: ModelInfo) -> Accuracy | None:
    """The accuracy that the card's ``model-index`` claims, if it is one."""
    claims = [
        claim
        for claim in (info.card_data and info.card_data.eval_results) or ()
        if claim.metric_type == "accuracy"
        and isinstance(claim.metric_value, int | float)
        and 0 <= claim.metric_value <= 1
    ]
    claims.sort(key=lambda claim: claim.metric_name != AFTER)  # a card of ours has another, before
    if not claims:
        return None
    n = (claims[0].metric_args or {}).get("n")
    return Accuracy(float(claims[0].metric_value), n if isinstance(n, int) and n > 0 else None)


def _summary(card: str) -> str:
    """The beginning of a card's text: no front matter, no headings, no pictures, no markup."""
    text = _NOT_PROSE.sub(" ", card[: 1 << 16].replace("\r", ""))
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)  # a link's words
    words = " ".join(re.sub(r"[*_`|]+", " ", text).split())
    return words if len(words) <= _MAX_SUMMARY else f"{words[: _MAX_SUMMARY - 1]}…"


@contextmanager
def _cache_folder(keep: bool) -> Iterator[Path | None]:
    """Where downloads go: None for this machine's Hub cache, else a folder removed afterwards."""
    if keep:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="soft-prompt-") as folder:
        yield Path(folder)
