"""Routes that change something: make a repository, upload files, commit them."""

import base64
import hashlib
import json

import yaml

from tests.hub.protocol import (
    API,
    REPO,
    Refusal,
    Request,
    Response,
    commit_at,
    reply,
    route,
    signed_in,
    writable,
)
from tests.hub.store import File, Store, front_matter

LFS_SUFFIXES = (".safetensors",)


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
    if kind == "space" and "sdk" not in asked:
        raise Refusal(400, "sdk is required for a Space")
    store.create(kind, repo_id, asked.get("visibility") == "private", login.user)
    return reply({"url": url, "name": repo_id})


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


@route("POST", rf"/(?P<kind>spaces/)?{REPO}\.git/info/lfs/objects/batch")
def lfs_batch(store: Store, request: Request, repo_id: str, kind: str = "") -> Response:
    writable(store, request, "space" if kind else "model", repo_id)
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
