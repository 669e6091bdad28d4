"""A Space of this app on the Hub: made or brought up to date in one commit, then watched.

Its secrets are nobody's business here. What somebody else has put into a Space is not touched.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    SpaceRuntime,
    SpaceStage,
    Volume,
    constants,
)
from huggingface_hub.errors import BucketNotFoundError, HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import httpx

from learner.hub.client import (
    HubError,
    head_of,
    hub_api,
    hub_errors,
    is_conflict,
    is_same,
    may_have_arrived,
    whoami,
)
from learner.hub.push import check_rights
from learner.hub.reference import checked_repo_id
from learner.hub.space_files import BUCKET_MOUNT, MARKER, SpaceModel, flavor
from learner.model.source import is_model_file, recorded_source

_KEPT = {".gitattributes"}  # the Hub's own
_FRESH = {".gitattributes", "README.md"}  # what a Space has that was just made
_ATTEMPTS = 3
_POLL_SECONDS = 5.0
_SILENCE = 60  # polls in a row without an answer before the watch is given up
_LOG_LINES = 30
_STAGES = {
    SpaceStage.BUILDING: "building",
    SpaceStage.RUNNING_BUILDING: "building, while the one before runs",
    SpaceStage.APP_STARTING: "starting",
    SpaceStage.RUNNING_APP_STARTING: "starting, while the one before runs",
    SpaceStage.RUNNING: "running",
}
_GOING_ON = {*_STAGES} - {SpaceStage.RUNNING}
_FAULTS = {
    SpaceStage.BUILD_ERROR: "The build failed",
    SpaceStage.RUNTIME_ERROR: "The app ended with an error",
    SpaceStage.CONFIG_ERROR: "The Hub cannot read the Space's configuration",
    SpaceStage.NO_APP_FILE: "The Space has no app.py",
}


class SpaceFailed(HubError):
    """The Space does not run; ``log`` has the last lines that tell why."""

    def __init__(self, message: str, log: Sequence[str]) -> None:
        super().__init__(message)
        self.log = tuple(log)


@dataclass(frozen=True)
class Plan:
    """What is to be done to a Space: ``there`` is its head, None if it has yet to be made.

    ``bucket`` is the storage bucket to mount, None for whatever is mounted; it is made unless
    ``bucket_exists``.
    """

    repo_id: str
    private: bool
    hardware: str
    files: Mapping[str, bytes] = field(repr=False)
    variables: Mapping[str, str]
    there: str | None
    changed: tuple[str, ...]
    gone: tuple[str, ...]
    bucket: str | None = None
    bucket_exists: bool = False


def find_model(name: str, token: str | None, endpoint: str | None = None) -> SpaceModel:
    """The base model as a Space can have it: "pocket", or what anybody can get from the Hub.

    Raises HubError if there is no such model, or if a Space could not download it.
    """
    source = recorded_source(name, "")
    if source.is_embedded:
        return SpaceModel(name)
    repository, gguf = source.hub_id, source.gguf_file
    if repository is None:
        raise HubError(
            "A Space can have the embedded model (pocket) or one on the Hub (user/name, or "
            f"user/name/file.gguf), not {name}."
        )
    with hub_errors(repository, signed_in=token is not None):
        info = hub_api(token, endpoint).model_info(repository, files_metadata=True)
    if info.private or info.gated:
        raise HubError(
            f"{repository} is private or gated, so a Space could not download it; choose a model "
            "that is open to all."
        )
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    files = tuple(
        sorted(path for path in sizes if path == gguf or (not gguf and is_model_file(path)))
    )
    if not any(path.lower().endswith((".gguf", ".safetensors")) for path in files):
        wanted = gguf or "weights as safetensors"
        raise HubError(f"{repository} has no {wanted}; choose another model.")
    return SpaceModel(name, head_of(info), files, sum(sizes[path] for path in files))


def plan(
    repo_id: str,
    token: str | None,
    files: Mapping[str, bytes],
    *,
    hardware: str,
    private: bool,
    variables: Mapping[str, str],
    bucket: str | None = None,
    endpoint: str | None = None,
) -> Plan:
    """Look what has to be done; changes nothing. Without a login, of a Space that is new.

    Raises HubError if it cannot be done: with this login, or because the Space is another app's or
    public although it was to be private.
    """
    name = checked_repo_id(repo_id)
    kept_in = checked_repo_id(bucket) if bucket else None
    new = Plan(name, private, hardware, files, variables, None, tuple(sorted(files)), (), kept_in)
    if token is None:
        return new
    account = whoami(token, endpoint)
    for one in (name, kept_in):
        check_rights(one or name, account)
    api = hub_api(token, endpoint)
    exists = kept_in is not None and _has_bucket(api, kept_in)
    new = replace(new, bucket_exists=exists)
    with hub_errors(name, signed_in=True):
        try:
            info = api.space_info(name)
        except RepositoryNotFoundError:
            return new
        there = {file.rfilename for file in info.siblings or ()}
        if MARKER not in there and not there <= _FRESH:
            raise HubError(f"{name} is a Space of something else; choose another name.")
        if private and not info.private:
            raise HubError(f"{name} is public already; make it private in its settings first.")
        changed, gone = _difference(api, name, head_of(info), files)
    return replace(new, private=bool(info.private), there=head_of(info), changed=changed, gone=gone)


def carry_out(plan: Plan, token: str, endpoint: str | None = None) -> str:
    """Do it, in one commit; its hash. May be repeated after any failure. Raises HubError."""
    api = hub_api(token, endpoint)
    with hub_errors(plan.repo_id, signed_in=True):
        if plan.there is None:
            api.create_repo(
                plan.repo_id,
                private=plan.private,
                repo_type="space",
                space_sdk="gradio",
                exist_ok=True,
            )
        if plan.bucket is not None:
            _mount(api, plan.repo_id, plan.bucket)
        known = {key: item.value for key, item in api.get_space_variables(plan.repo_id).items()}
        for key, value in plan.variables.items():
            if known.get(key) != value:
                api.add_space_variable(plan.repo_id, key, value)
        if api.get_space_runtime(plan.repo_id).requested_hardware != flavor(plan.hardware):
            # Any name may be asked for: kinds of hardware come and go faster than clients.
            api.request_space_hardware(plan.repo_id, flavor(plan.hardware))  # type: ignore[arg-type]
        return _commit(api, plan)


def watch(
    repo_id: str,
    commit: str,
    token: str,
    endpoint: str | None = None,
    wait: Callable[[float], object] = time.sleep,
) -> Iterator[str]:
    """The state of the Space, in words, each time it changes, until ``commit`` runs.

    Ends with its address. Raises SpaceFailed if it fails, and HubError if the Hub has not answered
    for minutes.
    """
    api, said, silent = hub_api(token, endpoint), "", 0
    while True:
        try:
            with hub_errors(repo_id, signed_in=True):
                runtime = api.get_space_runtime(repo_id)
            silent = 0
        except HubError:
            silent += 1
            if silent == _SILENCE:
                raise
            wait(_POLL_SECONDS)
            continue
        stage = runtime.stage
        stale = runtime.raw.get("sha") not in (None, commit)
        if stale and stage not in _GOING_ON:
            stage = SpaceStage.BUILDING  # it has not been taken notice of yet
        if stage in _FAULTS:
            raise _failure(api, repo_id, runtime)
        state = _STAGES.get(stage, str(getattr(stage, "value", stage)).lower().replace("_", " "))
        if state != said:
            said = state
            yield state
        if stage not in _GOING_ON:
            domains = runtime.raw.get("domains") or [{}]
            host = domains[0].get("domain") or f"{repo_id.replace('/', '-').lower()}.hf.space"
            yield f"https://{host}"
            return
        wait(_POLL_SECONDS)


def page(repo_id: str, endpoint: str | None = None) -> str:
    """The address of the Space's page on the Hub."""
    return f"{endpoint or constants.ENDPOINT}/spaces/{repo_id}"


def _has_bucket(api: HfApi, bucket: str) -> bool:
    """Whether there is such a bucket. Raises HubError if strangers could read what it keeps."""
    with hub_errors(bucket, signed_in=True):
        try:
            info = api.bucket_info(bucket)
        except BucketNotFoundError:
            return False
    if not info.private:
        raise HubError(f"Everybody can read the bucket {bucket}; make it private, or name another.")
    return True


def _mount(api: HfApi, repo_id: str, bucket: str) -> None:
    """Mount a bucket where the app keeps sessions, beside what else the Space has mounted."""
    if not _has_bucket(api, bucket):
        with hub_errors(bucket, signed_in=True):
            api.create_bucket(bucket, private=True)
    mounted = api.get_space_runtime(repo_id).volumes or []
    others = [volume for volume in mounted if volume.mount_path != BUCKET_MOUNT]
    ours = [volume for volume in mounted if volume.mount_path == BUCKET_MOUNT]
    if any((volume.type, volume.source) != ("bucket", bucket) for volume in ours):
        raise HubError(
            f"{repo_id} has {ours[0].source} mounted at {BUCKET_MOUNT}, where the bucket would be; "
            "take it away in the Space's settings first."
        )
    if not ours:
        volume = Volume(type="bucket", source=bucket, mount_path=BUCKET_MOUNT)
        api.set_space_volumes(repo_id, [*others, volume])


def _commit(api: HfApi, plan: Plan) -> str:
    """One commit with everything that differs; when its answer is lost, look before repeating."""
    parent = plan.there
    for attempt in range(1, _ATTEMPTS + 1):
        head = head_of(api.space_info(plan.repo_id))
        changed, gone = _difference(api, plan.repo_id, head, plan.files)
        if not changed and not gone:
            return head
        if parent is not None and head != parent:
            raise HubError(f"{plan.repo_id} has just been changed by somebody else; look at it.")
        parent = head
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            *(CommitOperationAdd(path, plan.files[path]) for path in changed),
            *(CommitOperationDelete(path) for path in gone),
        ]
        title = "Soft Prompt Arena" if plan.there is None else "Bring Soft Prompt Arena up to date"
        try:
            return api.create_commit(
                plan.repo_id,
                operations,
                commit_message=title,
                repo_type="space",
                parent_commit=head,
            ).oid
        except (httpx.TransportError, HfHubHTTPError) as error:
            lost = is_conflict(error) or may_have_arrived(error)
            if not lost or attempt == _ATTEMPTS:
                raise
    raise AssertionError("the last attempt returns or raises")


def _difference(
    api: HfApi, repo_id: str, head: str, files: Mapping[str, bytes]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The paths that ``files`` change at ``head``, and those that they lack."""
    there = {
        entry.path: entry
        for entry in api.list_repo_tree(repo_id, recursive=True, revision=head, repo_type="space")
        if isinstance(entry, RepoFile)
    }
    changed = (
        path for path, data in files.items() if path not in there or not is_same(there[path], data)
    )
    return tuple(sorted(changed)), tuple(sorted(there.keys() - files.keys() - _KEPT))


def _failure(api: HfApi, repo_id: str, runtime: SpaceRuntime) -> SpaceFailed:
    """What went wrong, and the end of the log that tells why."""
    log: list[str] = []
    if runtime.stage in (SpaceStage.BUILD_ERROR, SpaceStage.RUNTIME_ERROR):
        build = runtime.stage == SpaceStage.BUILD_ERROR
        try:
            with hub_errors(repo_id, signed_in=True):
                log = [line.rstrip() for line in api.fetch_space_logs(repo_id, build=build)]
        except HubError as error:
            log = [f"(its log cannot be read: {error})"]
    said = " ".join(str(runtime.raw.get("errorMessage") or "").split())
    message = f"{_FAULTS[SpaceStage(runtime.stage)]}{f': {said}' if said else '.'}"
    return SpaceFailed(message, log[-_LOG_LINES:])
