"""Routes about what runs in a Space: its variables, hardware, state and logs."""

import json

from tests.hub.protocol import REPO, Request, Response, readable, reply, route, writable
from tests.hub.store import Store

SPACE = rf"/api/spaces/{REPO}"


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
    return reply({"sha": repo.head.oid, "hardware": hardware, **now})


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
