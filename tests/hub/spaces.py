"""Routes about what runs in a Space: its variables, hardware, volumes, state and logs."""

import json

from tests.hub.protocol import (
    REPO,
    Refusal,
    Request,
    Response,
    readable,
    reply,
    route,
    writable,
)
from tests.hub.store import Store

SPACE = rf"/api/spaces/{REPO}"
BUCKET = r"/api/buckets/(?P<bucket>[\w.-]+/[\w.-]+)"


@route("GET", f"{SPACE}/variables")
def variables(store: Store, request: Request, repo_id: str) -> Response:
    return _variables(writable(store, request, "space", repo_id).space.variables)


@route("POST", f"{SPACE}/variables")
def add_variable(store: Store, request: Request, repo_id: str) -> Response:
    space = writable(store, request, "space", repo_id).space
    space.variables[request.json["key"]] = request.json["value"]
    return _variables(space.variables)


@route("POST", f"{SPACE}/hardware")
def request_hardware(store: Store, request: Request, repo_id: str) -> Response:
    space = writable(store, request, "space", repo_id).space
    space.hardware = request.json["flavor"]
    return runtime(store, request, repo_id)


@route("GET", f"{SPACE}/runtime")
def runtime(store: Store, request: Request, repo_id: str) -> Response:
    repo = readable(store, request, "space", repo_id)
    stages = repo.space.stages
    now = stages.pop(0) if len(stages) > 1 else stages[0]
    hardware = {"current": None, "requested": repo.space.hardware}
    volumes = repo.space.volumes
    return reply({"sha": repo.head.oid, "hardware": hardware, "volumes": volumes, **now})


@route("PUT", f"{SPACE}/volumes")
def set_volumes(store: Store, request: Request, repo_id: str) -> Response:
    writable(store, request, "space", repo_id).space.volumes = request.json["volumes"]
    return runtime(store, request, repo_id)


@route("POST", BUCKET)
def make_bucket(store: Store, request: Request, bucket: str) -> Response:
    if not store.may_write(request.login, bucket.split("/")[0]):
        raise Refusal(403, "Forbidden")
    if bucket in store.buckets:
        raise Refusal(409, "This bucket exists already")
    store.buckets[bucket] = request.json.get("visibility") == "private"
    return reply({"url": f"{request.origin}/buckets/{bucket}"})


@route("GET", BUCKET)
def bucket_info(store: Store, request: Request, bucket: str) -> Response:
    if bucket not in store.buckets:
        raise Refusal(404, "Bucket not found", "RepoNotFound")
    about = {"createdAt": "2026-01-01T00:00:00.000Z", "size": 0, "totalFiles": 0}
    return reply({"id": bucket, "private": store.buckets[bucket], **about})


@route("GET", f"{SPACE}/logs/(?P<kind>build|run)")
def logs(store: Store, request: Request, repo_id: str, kind: str) -> Response:
    lines = writable(store, request, "space", repo_id).space.logs.get(kind, [])
    events = (
        json.dumps({"data": f"{line}\n", "timestamp": "2026-01-01T00:00:00.000Z"}) for line in lines
    )
    body = "".join(f"data: {event}\n\n" for event in events)
    return Response(200, f"data:\n\n{body}".encode(), {"Content-Type": "text/event-stream"})


def _variables(known: dict[str, str]) -> Response:
    return reply({key: {"value": value} for key, value in known.items()})
