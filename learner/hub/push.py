"""Push a soft prompt to the Hub: one commit with every file, never two, never over unseen work."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    ModelInfo,
    constants,
)
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import httpx

from learner.checkpoint.files import pack_for_people
from learner.checkpoint.format import FILES
from learner.checkpoint.results import HeldOutResults
from learner.hub.card import FINDING_PREFIX, Finding, hub_card
from learner.hub.client import (
    LOG_IN,
    Account,
    HubError,
    RemoteChangedError,
    head_of,
    hub_api,
    hub_errors,
    is_conflict,
    is_same,
    may_have_arrived,
    whoami,
)
from learner.hub.reference import Reference, checked_repo_id
from learner.learning.learner import Learner
from learner.model.base_model import ModelFacts

_RETRY_WAITS = (1.0, 3.0)  # seconds before a commit whose answer was lost is tried again
_MAX_MESSAGE = 200  # characters


@dataclass(frozen=True)
class Pushed:
    """Where a push ended up: ``commit`` of ``repo_id``; ``url`` is its page."""

    repo_id: str
    commit: str
    url: str
    private: bool

    @property
    def share(self) -> Reference:
        """What a share link names: exactly what was pushed, whatever is pushed later."""
        return Reference(self.repo_id, self.commit)


def push(
    learner: Learner,
    repo_id: str,
    token: str | None,
    *,
    private: bool = True,
    message: str = "",
    results: HeldOutResults | None = None,
    parent_commit: str | None = None,
    base_model: ModelFacts | None = None,
    findings: Sequence[Finding] = (),
    endpoint: str | None = None,
) -> Pushed:
    """Push ``learner`` to the model repository ``repo_id``, which is made if it does not exist.

    A new repository is ``private`` or not; an existing one stays as it is, and a private push to a
    public one is refused. ``results`` and ``findings`` go into the model card. ``parent_commit`` is
    the head that was last seen there: if there is something else, RemoteChangedError says so and
    nothing is pushed. Pushing what is there already makes no commit, so that after any failure a
    push may be repeated. ``base_model`` completes PEFT's config (see `pack`). Raises HubError, in a
    sentence.
    """
    if not token:
        raise HubError(LOG_IN)
    name = checked_repo_id(repo_id)
    account = whoami(token, endpoint)
    check_rights(name, account)
    files = published_files(learner, name, results, base_model, findings)
    api = hub_api(token, endpoint)
    with hub_errors(name, signed_in=True):
        info = _open_repository(api, name, private)
        head = head_of(info)
        if private and not info.private:
            raise HubError(f"{name} is public already; switch Private off, or push to a new name.")
        if head == parent_commit or _is_empty(info):
            head = _commit(api, info, files, message, learner.episodes)
        elif not _holds(api, name, head, files):
            raise _changed(name, head)
    return Pushed(name, head, f"{endpoint or constants.ENDPOINT}/{name}", bool(info.private))


def published_files(
    learner: Learner,
    repo_id: str,
    results: HeldOutResults | None = None,
    base_model: ModelFacts | None = None,
    findings: Sequence[Finding] = (),
) -> dict[str, bytes]:
    """The files of a push by name: the checkpoint's, with the Hub's card and its pictures."""
    files = pack_for_people(
        learner,
        base_model,
        card=lambda public, curve_file: hub_card(public, repo_id, results, curve_file, findings),
    )
    return files | {one.file: one.picture for one in findings}


def check_rights(repo_id: str, account: Account) -> None:
    """Say early, and better than the Hub could, what this login cannot do."""
    if account.reads_only:
        raise HubError(
            f"The login of {account.name} can only read; make a token that may write at "
            "huggingface.co/settings/tokens, and log in with it."
        )
    owner = repo_id.split("/")[0]
    if owner.lower() not in [name.lower() for name in account.names]:
        raise HubError(
            f"{owner} is not you: you are logged in as {account.name}, so push to "
            f"{account.name}/{repo_id.split('/')[1]}."
        )


def _open_repository(api: HfApi, repo_id: str, private: bool) -> ModelInfo:
    """The repository as it is, made first where there is none."""
    try:
        return api.model_info(repo_id)
    except RepositoryNotFoundError:
        api.create_repo(repo_id, private=private, exist_ok=True)
        return api.model_info(repo_id)


def _commit(
    api: HfApi, info: ModelInfo, files: Mapping[str, bytes], message: str, episodes: int
) -> str:
    """Commit ``files`` on top of the head that ``info`` shows; the new head.

    When the answer is lost, the Hub is asked whether the commit is there before it is sent again.
    The parent makes a double impossible even if the first one arrives late.
    """
    title = " ".join(message.split())[:_MAX_MESSAGE] or f"Soft prompt after {episodes} episodes"
    there = {file.rfilename for file in info.siblings or ()}
    ours = {name for name in there if name in FILES or name.startswith(FINDING_PREFIX)}
    stale = ours - set(files)
    parent = head_of(info)
    for wait in (*_RETRY_WAITS, None):
        try:
            operations = _operations(files, stale)  # fresh each time: the client writes into them
            return api.create_commit(
                info.id, operations, commit_message=title, parent_commit=parent
            ).oid
        except (httpx.TransportError, HfHubHTTPError) as error:
            if not (is_conflict(error) or may_have_arrived(error)):
                raise
            head = _head_that_holds(api, info.id, files)
            if head is not None:
                return head
            if is_conflict(error):
                raise _changed(info.id, head_of(api.model_info(info.id))) from error
            if wait is None:
                raise
        time.sleep(wait)
    raise AssertionError("the last attempt returns or raises")


def _operations(
    files: Mapping[str, bytes], stale: Iterable[str]
) -> list[CommitOperationAdd | CommitOperationDelete]:
    return [
        *(CommitOperationAdd(name, data) for name, data in files.items()),
        *(CommitOperationDelete(name) for name in sorted(stale)),
    ]


def _head_that_holds(api: HfApi, repo_id: str, files: Mapping[str, bytes]) -> str | None:
    """The head, if it holds exactly these files; None if not, or if the Hub cannot be asked."""
    try:
        head = head_of(api.model_info(repo_id))
        return head if _holds(api, repo_id, head, files) else None
    except (httpx.TransportError, HfHubHTTPError):
        return None  # the next attempt, or the error that is being handled, will tell


def _holds(api: HfApi, repo_id: str, commit: str, files: Mapping[str, bytes]) -> bool:
    """Whether a checkpoint's files at ``commit`` are exactly ``files``."""
    found = {
        entry.path: entry
        for entry in api.get_paths_info(repo_id, list(FILES), revision=commit)
        if isinstance(entry, RepoFile)
    }
    return set(found) == set(files) and all(
        is_same(found[name], data) for name, data in files.items()
    )


def _changed(repo_id: str, head: str) -> RemoteChangedError:
    return RemoteChangedError(
        f"{repo_id} holds something that this push has not seen (commit {head[:7]}); look at it, "
        "then push again to add a revision on top, or choose another name.",
        head,
    )


def _is_empty(info: ModelInfo) -> bool:
    """Whether a repository holds nothing but what it was made with."""
    return {file.rfilename for file in info.siblings or ()} <= {".gitattributes"}
