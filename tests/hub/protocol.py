"""What a route is: a plain function from a `Request` to a `Response`, found by method and path.

Status codes, error headers and shapes of answers follow what the real Hub sends.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.hub.store import Commit, Login, Repo, Store


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


def signed_in(request: Request) -> Login:
    if request.login is None:
        raise Refusal(401, "Invalid username or password.")
    return request.login


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
