"""What the Hub keeps: accounts, repositories as lists of commits, and large files by their SHA-256.

All in memory; dates are counted, not read off a clock, so that every run sees the same ones.
"""

import hashlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import count
from typing import Any

import yaml

FIRST_DAY = datetime(2026, 1, 1, tzinfo=timezone.utc)
ATTRIBUTES = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"


@dataclass(frozen=True)
class Login:
    """Whose a token is, and what it may do: "read" or "write"."""

    user: str
    role: str


@dataclass(frozen=True)
class File:
    """A file of a commit: a git blob itself, or a pointer to a large file."""

    data: bytes
    lfs: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def pointer(self) -> bytes:
        head = "version https://git-lfs.github.com/spec/v1\n"
        return f"{head}oid sha256:{self.sha256}\nsize {len(self.data)}\n".encode()

    @property
    def blob_id(self) -> str:
        blob = self.pointer if self.lfs else self.data
        return hashlib.sha1(b"blob %d\0" % len(blob) + blob).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.blob_id


@dataclass(frozen=True)
class Commit:
    """One state of a repository; ``files`` by path."""

    oid: str
    title: str
    author: str
    date: datetime
    files: Mapping[str, File]


@dataclass
class SpaceState:
    """What runs in a Space. ``stages`` come one after the other, the last one stays."""

    variables: dict[str, str] = field(default_factory=dict)
    hardware: str | None = None
    stages: list[dict[str, Any]] = field(default_factory=lambda: [{"stage": "RUNNING"}])
    logs: dict[str, list[str]] = field(default_factory=dict)  # of "build" and "run"
    volumes: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Repo:
    """A repository; ``commits`` oldest first. ``allowed`` may read it although it is gated."""

    kind: str
    repo_id: str
    private: bool
    commits: list[Commit]
    gated: bool = False
    likes: int = 0
    allowed: set[str] = field(default_factory=set)
    space: SpaceState = field(default_factory=SpaceState)

    @property
    def owner(self) -> str:
        return self.repo_id.split("/")[0]

    @property
    def head(self) -> Commit:
        return self.commits[-1]

    def at(self, revision: str) -> Commit | None:
        """The commit that a branch or a full hash names."""
        if revision == "main":
            return self.head
        return next((commit for commit in self.commits if commit.oid == revision), None)

    def card(self, commit: Commit) -> dict[str, Any]:
        """The front matter of its README.md."""
        readme = commit.files.get("README.md")
        return front_matter(readme.data.decode()) if readme else {}

    def tags(self, commit: Commit) -> list[str]:
        """What a list can be filtered by."""
        card = self.card(commit)
        base = card.get("base_model")
        return [
            *card.get("tags", []),
            *([card["library_name"]] if "library_name" in card else []),
            *([f"base_model:{base}", f"base_model:adapter:{base}"] if base else []),
        ]


class Store:
    """Everything the stand-in knows. Used from many threads: changes take the lock."""

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.large_files: dict[str, bytes] = {}
        self.buckets: dict[str, bool] = {}  # whether each is private
        self.person = "nobody"  # who sits at the browser that signs in
        self._grants: dict[str, tuple[str, str, str]] = {}
        self._logins: dict[str, Login] = {}
        self._members: dict[str, set[str]] = {}
        self._days = count()
        self._lock = threading.Lock()

    def add_login(self, user: str, role: str = "write") -> str:
        """A token of ``user``, who is made if new."""
        token = f"hf_{user}_{role}_{len(self._logins)}_secret"
        self._logins[token] = Login(user, role)
        return token

    def add_organisation(self, name: str, *members: str) -> None:
        """A namespace that several may write to."""
        self._members[name] = set(members)

    def login(self, token: str) -> Login | None:
        """Whose token this is."""
        return self._logins.get(token)

    def grant(self, person: str, client: str, nonce: str) -> str:
        """A code by which an app gets a token of this person, once."""
        code = f"code-{len(self._grants)}-{person}"
        self._grants[code] = (person, client, nonce)
        return code

    def redeem(self, code: str) -> tuple[str, str, str]:
        """The person, client and nonce that a code was granted for."""
        return self._grants.pop(code)

    def organisations(self, user: str) -> list[str]:
        """The organisations that ``user`` is in."""
        return [name for name, members in self._members.items() if user in members]

    def owns(self, login: Login | None, namespace: str) -> bool:
        """Whether a namespace is the login's own or its organisation's."""
        return login is not None and (
            login.user == namespace or login.user in self._members.get(namespace, ())
        )

    def may_write(self, login: Login | None, namespace: str) -> bool:
        """Whether the login may change what is in a namespace."""
        return self.owns(login, namespace) and login is not None and login.role == "write"

    def create(self, kind: str, repo_id: str, private: bool, author: str = "") -> Repo:
        """A new repository with its first commit, as the Hub makes it."""
        with self._lock:
            repo = Repo(kind, repo_id, private, [])
            first = {".gitattributes": File(ATTRIBUTES)}
            repo.commits.append(self._commit("initial commit", author, first))
            self.repos[kind, repo_id] = repo
            return repo

    def commit(
        self, repo: Repo, title: str, author: str, changes: Mapping[str, File | None], parent: str
    ) -> Commit | None:
        """Add a commit (None deletes a file); None if ``parent``, where given, is not the head."""
        with self._lock:
            if parent and parent != repo.head.oid:
                return None
            files = {**repo.head.files, **changes}
            kept = {path: file for path, file in files.items() if file is not None}
            repo.commits.append(self._commit(title, author, kept))
            return repo.head

    def listed(self, kind: str) -> Iterator[Repo]:
        """All repositories of a kind."""
        return (repo for (its_kind, _), repo in sorted(self.repos.items()) if its_kind == kind)

    def _commit(self, title: str, author: str, files: Mapping[str, File]) -> Commit:
        date = FIRST_DAY + timedelta(days=next(self._days))
        names = "".join(f"{path} {file.blob_id}\n" for path, file in sorted(files.items()))
        oid = hashlib.sha1(f"{date}\n{title}\n{names}".encode()).hexdigest()
        return Commit(oid, title, author, date, dict(files))


def front_matter(readme: str) -> dict[str, Any]:
    """The YAML between the first two ``---`` lines. Raises yaml.YAMLError."""
    if not readme.startswith("---\n") or "\n---\n" not in readme:
        return {}
    return yaml.safe_load(readme[4 : readme.index("\n---\n") + 1]) or {}
