"""Names of soft prompts on the Hub: what a person types or pastes, read strictly."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote, urlsplit

from huggingface_hub import constants
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from learner.hub.client import HubError
from learner.model.source import ModelSource

_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")
_OTHER_KINDS = {"datasets": "dataset", "spaces": "Space"}
_REVISION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,98}[A-Za-z0-9._-])?")
_MAX_LENGTH = 500
_MAX_NAMED = 3  # families in a name that says what it is for
_MAX_NAME = 96  # characters of user/name together, the Hub's own limit
_FORM = "write user/name, user/name@revision, or paste the address of its page on the Hub"


@dataclass(frozen=True)
class Reference:
    """A model repository on the Hub; ``revision`` is a branch, tag or commit, None for the head."""

    repo_id: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.repo_id}@{self.revision}" if self.revision else self.repo_id

    @property
    def query(self) -> str:
        """``?prompt=user/name@revision``: added to the app's address, it opens with this prompt."""
        return f"?prompt={quote(str(self), safe='/@')}"


def parse_reference(text: object, endpoint: str | None = None) -> Reference:
    """The repository that ``text`` names: an id, id@revision, page address, or this app's link.

    ``endpoint`` is another Hub's address. Raises HubError if it is anything else.
    """
    if not isinstance(text, str) or len(text) > _MAX_LENGTH:
        raise HubError(f"That is not the name of a soft prompt; {_FORM}.")
    typed = text.strip()
    if not typed:
        raise HubError(f"Which soft prompt? To name one, {_FORM}.")
    if typed.split("/")[0] in _HOSTS:
        typed = f"https://{typed}"
    if "://" in typed:
        return _from_address(typed, endpoint)
    repo_id, at, revision = typed.partition("@")
    return _checked(typed, repo_id, revision if at else None)


def checked_repo_id(text: object) -> str:
    """``text`` as user/name. Raises HubError if it is not."""
    reference = parse_reference(text)
    if reference.revision is not None:
        raise HubError("A push makes its own revision; leave out what follows the @.")
    return reference.repo_id


def default_repo_id(account: str, source: ModelSource, families: Sequence[str] = ()) -> str:
    """``<account>/soft-prompt-<base model>-<families>``: "mixed" if unknown or more than a few."""
    what = "-".join(sorted(families)) if 1 <= len(families) <= _MAX_NAMED else "mixed"
    name = re.sub(r"[^A-Za-z0-9.]+", "-", f"soft-prompt-{source.short_name}-{what}")
    name = re.sub(r"[.-]{2,}", "-", name)[: _MAX_NAME - len(account) - 1]
    return f"{account}/{name.removesuffix('.git').strip('.-')}"


def _from_address(address: str, endpoint: str | None) -> Reference:
    parts = urlsplit(address)
    linked = parse_qs(parts.query).get("prompt")
    if linked and parts.scheme in ("http", "https"):  # a link that this app gave
        if "://" in linked[0]:
            raise HubError(f"The link {_shown(address)} holds another address; {_FORM}.")
        return parse_reference(linked[0])
    hosts = (*_HOSTS, urlsplit(endpoint or constants.ENDPOINT).netloc)
    if parts.scheme not in ("http", "https") or parts.netloc not in hosts:
        raise HubError(f"{_shown(address)} is not a page of the Hub; {_FORM}.")
    owner, *path = [step for step in parts.path.split("/") if step] or [""]
    if owner in _OTHER_KINDS:
        raise HubError(
            f"{_shown(address)} is a {_OTHER_KINDS[owner]}; soft prompts are in model repositories."
        )
    if len(path) == 1:
        return _checked(address, f"{owner}/{path[0]}", None)
    if len(path) > 2 and path[1] in ("tree", "blob", "resolve", "commit"):
        return _checked(address, f"{owner}/{path[0]}", unquote(path[2]))
    raise HubError(f"{_shown(address)} is not the page of a model; {_FORM}.")


def _checked(typed: str, repo_id: str, revision: str | None) -> Reference:
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise HubError(f"{_shown(typed)} is not the name of a soft prompt; {_FORM}.") from error
    if repo_id.count("/") != 1:
        raise HubError(f"{_shown(typed)} has no owner; {_FORM}.")
    if revision is not None and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise HubError(f"{_shown(typed)} has no revision that could exist after the @; {_FORM}.")
    return Reference(repo_id, revision)


def _shown(text: str) -> str:
    quoted = ascii(text)[1:-1]
    return quoted if len(quoted) <= 80 else f"{quoted[:79]}…"
