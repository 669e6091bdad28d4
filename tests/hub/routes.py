"""The Hub's HTTP interface, as far as the client uses it for model repositories.

Each route is a plain function from a `Request` to a `Response`. Status codes, error headers and
shapes of answers follow what the real Hub sends.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

import yaml

from tests.hub.store import Commit, File, Login, Repo, Store, front_matter

LFS_SUFFIXES = (".safetensors",)


@dataclass(frozen=True)
class Request:
    """One request; ``login`` is None for nobody in particular."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    login: Login | None
    origin: str  # the address it came to
    storage: str  # the address of the large files, another host as on the real Hub

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Response:
    """One answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def reply(value: object, status: int = 200, **headers: str) -> Response:
    body = json.dumps(value).encode()
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Response(status, body, {"Content-Type": "application/json", **named})


class Refusal(Exception):
    """The request is answered with an error; ``code`` is what the client tells errors apart by."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        headers = {"X_Error_Message": message, **({"X_Error_Code": code} if code else {})}
        self.response = reply({"error": message}, status, **headers)


Route = Callable[..., Response]
ROUTES: list[tuple[str, re.Pattern[str], Route]] = []
REPO = r"(?P<repo_id>[\w.-]+/[\w.-]+)"
API = rf"/api/(?P<kind>model|dataset|space)s/{REPO}"


def route(method: str, pattern: str) -> Callable[[Route], Route]:
    """Register a function for requests of this method and path."""

    def register(function: Route) -> Route:
        ROUTES.append((method, re.compile(pattern), function))
        return function

    return register


def answer(store: Store, request: Request) -> Response:
    """The answer of the first route that fits."""
    try:
        for method, pattern, function in ROUTES:
            found = pattern.fullmatch(request.path)
            if found and request.method in method.split():
                parts = {key: unquote(part) for key, part in found.groupdict().items() if part}
                return function(store, request, **parts)
        raise Refusal(404, f"Cannot {request.method} {request.path}")
    except Refusal as refusal:
        return refusal.response


# Accounts


@route("GET", "/api/whoami-v2")
def who_am_i(store: Store, request: Request) -> Response:
    login = signed_in(request)
    return reply(
        {
            "type": "user",
            "id": hashlib.sha1(login.user.encode()).hexdigest()[:24],
            "name": login.user,
            "fullname": login.user.title(),
            "avatarUrl": "",
            "orgs": [{"type": "org", "name": name} for name in store.organisations(login.user)],
            "auth": {"type": "access_token", "accessToken": {"role": login.role}},
        }
    )


def signed_in(request: Request) -> Login:
    if request.login is None:
        raise Refusal(401, "Invalid username or password.")
    return request.login


# Repositories


@route("POST", "/api/repos/create")
def create_repository(store: Store, request: Request) -> Response:
    login, asked = signed_in(request), request.json
    owner = asked.get("organization") or login.user
    repo_id = f"{owner}/{asked['name']}"
    kind = asked.get("type", "model")
    url = f"{request.origin}/{'' if kind == 'model' else kind + 's/'}{repo_id}"
    if not store.may_write(login, owner):
        raise Refusal(
            403, f'You don\'t have the rights to create a {kind} under the namespace "{owner}".'
        )
    if (kind, repo_id) in store.repos:
        return reply({"error": f"You already created this {kind} repo", "url": url}, 409)
    store.create(kind, repo_id, asked.get("visibility") == "private", login.user)
    return reply({"url": url, "name": repo_id})


@route("GET", rf"{API}(?:/revision/(?P<revision>[^/]+))?")
def repository_info(
    store: Store, request: Request, kind: str, repo_id: str, revision: str = "main"
) -> Response:
    repo = readable(store, request, kind, repo_id)
    info = described(repo, commit_at(repo, revision), sizes="blobs" in request.query)
    return reply(only_expanded(info, request))


@route("GET", "/api/models")
def list_models(store: Store, request: Request) -> Response:
    def first(name: str, default: str = "") -> str:
        return request.query.get(name, [default])[0]

    filters = set(request.query.get("filter", []))
    found = [
        described(repo, repo.head)
        for repo in store.listed("model")
        if (not repo.private or store.owns(request.login, repo.owner))
        and filters <= set(repo.tags(repo.head))
        and first("author", repo.owner) == repo.owner
        and first("search").lower() in repo.repo_id.lower()
    ]
    if sort := first("sort"):
        found.sort(key=lambda info: info[sort], reverse=True)
    start, size = int(first("cursor", "0")), min(int(first("limit", "100")), 100)
    page = [only_expanded(info, request) for info in found[start : start + size]]
    if start + size >= len(found):
        return reply(page)
    kept = "&".join(f"{key}={value}" for key in request.query for value in request.query[key])
    following = f"{request.origin}/api/models?{kept}&cursor={start + size}"
    return reply(page, Link=f'<{following}>; rel="next"')


def described(repo: Repo, commit: Commit, sizes: bool = False) -> dict[str, Any]:
    card = repo.card(commit)
    siblings: list[dict[str, Any]] = []
    for path, file in commit.files.items():
        extra: dict[str, Any] = {}
        if sizes:
            extra = {"size": len(file.data), "blobId": file.blob_id}
            if file.lfs:
                pointer = len(file.pointer)
                extra["lfs"] = {
                    "size": len(file.data),
                    "sha256": file.sha256,
                    "pointerSize": pointer,
                }
        siblings.append({"rfilename": path, **extra})
    return {
        "_id": commit.oid[:24],
        "id": repo.repo_id,
        "modelId": repo.repo_id,
        "author": repo.owner,
        "sha": commit.oid,
        "lastModified": commit.date.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "createdAt": repo.commits[0].date.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "private": repo.private,
        "gated": "manual" if repo.gated else False,
        "disabled": False,
        "downloads": 0,
        "likes": repo.likes,
        "tags": repo.tags(commit),
        "library_name": card.get("library_name"),
        "pipeline_tag": card.get("pipeline_tag"),
        "cardData": card,
        "siblings": siblings,
    }


def only_expanded(info: dict[str, Any], request: Request) -> dict[str, Any]:
    wanted = request.query.get("expand")
    if wanted is None:
        return info
    return {key: info[key] for key in ("_id", "id", *wanted) if key in info}


def readable(store: Store, request: Request, kind: str, repo_id: str) -> Repo:
    """The repository, if whoever asks may know of it."""
    repo = store.repos.get((kind, repo_id))
    if repo is None or (repo.private and not store.owns(request.login, repo.owner)):
        if request.login is None:
            raise Refusal(401, "Invalid username or password.", "RepoNotFound")
        raise Refusal(404, "Repository not found", "RepoNotFound")
    return repo


def writable(store: Store, request: Request, kind: str, repo_id: str) -> Repo:
    repo = readable(store, request, kind, repo_id)
    if not store.may_write(request.login, repo.owner):
        raise Refusal(
            403, "Forbidden: pass `create_pr=1` as a query parameter to create a Pull Request"
        )
    return repo


def commit_at(repo: Repo, revision: str) -> Commit:
    commit = repo.at(revision)
    if commit is None:
        raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    return commit


# What is in them


@route("GET", rf"{API}/tree/(?P<revision>[^/]+)")
def tree(store: Store, request: Request, kind: str, repo_id: str, revision: str) -> Response:
    commit = commit_at(readable(store, request, kind, repo_id), revision)
    return reply([entry(path, file) for path, file in commit.files.items()])


@route("POST", rf"{API}/paths-info/(?P<revision>[^/]+)")
def paths_info(store: Store, request: Request, kind: str, repo_id: str, revision: str) -> Response:
    commit = commit_at(readable(store, request, kind, repo_id), revision)
    paths = parse_qs(request.body.decode()).get("paths", [])
    return reply([entry(path, commit.files[path]) for path in paths if path in commit.files])


def entry(path: str, file: File) -> dict[str, Any]:
    lfs = {"oid": file.sha256, "size": len(file.data), "pointerSize": len(file.pointer)}
    return {
        "type": "file",
        "path": path,
        "size": len(file.data),
        "oid": file.blob_id,
        **({"lfs": lfs} if file.lfs else {}),
    }


@route("GET HEAD", rf"/{REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
def resolve(store: Store, request: Request, repo_id: str, revision: str, path: str) -> Response:
    repo = readable(store, request, "model", repo_id)
    if repo.gated and not store.owns(request.login, repo.owner):
        if request.login is None:
            raise Refusal(401, f"Access to model {repo_id} is restricted.", "GatedRepo")
        if request.login.user not in repo.allowed:
            raise Refusal(403, f"Access to model {repo_id} is restricted.", "GatedRepo")
    commit = commit_at(repo, revision)
    file = commit.files.get(path)
    if file is None:
        raise Refusal(404, "Entry not found", "EntryNotFound")
    headers = {"X-Repo-Commit": commit.oid}
    if file.lfs:
        linked = {"X-Linked-Etag": f'"{file.etag}"', "X-Linked-Size": str(len(file.data))}
        location = f"{request.storage}/stored/{file.sha256}"
        return Response(302, b"", {**headers, **linked, "Location": location})
    return ranged(request, file.data, {**headers, "ETag": f'"{file.etag}"'})


@route("GET HEAD", "/stored/(?P<sha256>[0-9a-f]{64})")
def stored(store: Store, request: Request, sha256: str) -> Response:
    return ranged(request, store.large_files[sha256], {"ETag": f'"{sha256}"'})


def ranged(request: Request, data: bytes, headers: dict[str, str]) -> Response:
    headers = {**headers, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
    asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
    if not asked:
        return Response(200, data, headers)
    start = int(asked[1])
    headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
    return Response(206, data[start:], headers)


# Changing them


@route("POST", "/api/validate-yaml")
def validate_yaml(store: Store, request: Request) -> Response:
    try:
        card = front_matter(request.json["content"])
    except yaml.YAMLError as error:
        return reply({"errors": [{"message": str(error)}], "warnings": []}, 400)
    wrong = [
        {"message": f'"{key}" must be of another type'}
        for key, kind in (("tags", list), ("base_model", str), ("model-index", list))
        if key in card and not isinstance(card[key], kind)
    ]
    empty = [] if card else [{"message": "empty or missing yaml metadata in repo card"}]
    return reply({"errors": wrong, "warnings": empty}, 400 if wrong else 200)


@route("POST", rf"{API}/preupload/(?P<revision>[^/]+)")
def preupload(store: Store, request: Request, kind: str, repo_id: str, revision: str) -> Response:
    commit = commit_at(writable(store, request, kind, repo_id), revision)
    return reply(
        {
            "files": [
                {
                    "path": asked["path"],
                    "uploadMode": "lfs" if asked["path"].endswith(LFS_SUFFIXES) else "regular",
                    "shouldIgnore": False,
                    "oid": there.etag if (there := commit.files.get(asked["path"])) else None,
                }
                for asked in request.json["files"]
            ]
        }
    )


@route("POST", rf"/{REPO}\.git/info/lfs/objects/batch")
def lfs_batch(store: Store, request: Request, repo_id: str) -> Response:
    writable(store, request, "model", repo_id)
    objects = []
    for asked in request.json["objects"]:
        actions = {
            "upload": {"href": f"{request.storage}/stored/{asked['oid']}", "header": {}},
            "verify": {"href": f"{request.origin}/api/lfs/verify", "header": {}},
        }
        known = asked["oid"] in store.large_files
        objects.append({**asked, **({} if known else {"actions": actions})})
    return reply({"transfer": "basic", "objects": objects})


@route("PUT", "/stored/(?P<sha256>[0-9a-f]{64})")
def lfs_upload(store: Store, request: Request, sha256: str) -> Response:
    if hashlib.sha256(request.body).hexdigest() != sha256:
        raise Refusal(400, "The content does not match its name")
    store.large_files[sha256] = request.body
    return Response(200)


@route("POST", "/api/lfs/verify")
def lfs_verify(store: Store, request: Request) -> Response:
    asked = request.json
    if len(store.large_files.get(asked["oid"], b"")) != asked["size"]:
        raise Refusal(404, "Object does not exist")
    return reply({"message": "ok"})


@route("POST", rf"{API}/commit/(?P<revision>[^/]+)")
def commit(store: Store, request: Request, kind: str, repo_id: str, revision: str) -> Response:
    repo = writable(store, request, kind, repo_id)
    header: dict[str, str] = {}
    changes: dict[str, File | None] = {}
    for line in request.body.splitlines():
        operation = json.loads(line)
        value = operation["value"]
        if operation["key"] == "header":
            header = value
        elif operation["key"] == "file":
            changes[value["path"]] = File(base64.b64decode(value["content"]))
        elif operation["key"] == "lfsFile":
            if value["oid"] not in store.large_files:
                raise Refusal(400, f"LFS object {value['oid']} was never uploaded")
            changes[value["path"]] = File(store.large_files[value["oid"]], lfs=True)
        else:
            changes[value["path"]] = None
    parent = header.get("parentCommit", "")
    made = store.commit(repo, header["summary"], signed_in(request).user, changes, parent)
    if made is None:
        raise Refusal(412, "A commit has happened since. Please refresh and try again.")
    url = f"{request.origin}/{repo_id}/commit/{made.oid}"
    return reply({"success": True, "commitUrl": url, "commitOid": made.oid})
