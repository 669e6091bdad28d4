"""Routes that only read: who somebody is, what there is, and the files themselves."""

import hashlib
import re
from typing import Any
from urllib.parse import parse_qs

from tests.hub.protocol import (
    API,
    REPO,
    Refusal,
    Request,
    Response,
    commit_at,
    readable,
    reply,
    route,
    signed_in,
)
from tests.hub.store import Commit, File, Repo, Store


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
