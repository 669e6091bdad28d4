"""Objects that are written once: in a folder, or in whatever storage obstore knows.

All that is asked of storage is to make an object only if there is none of that name, whole; no
locks, renames, changes or time stamps. Object storage can do that, and so can the folder at which
a bucket is mounted, where a database cannot be kept.
"""

import os
import secrets
from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

from learner.visitors.stores.store import StoreError

SCHEMES = ("file", "s3", "gs", "az", "memory")
_ATTEMPTS = 3
_TIMEOUT = "5s"  # of a request, which a visitor may be waiting for


class Objects(Protocol):
    """Objects by path, as ``rows/a/1``. Thread-safe; every method may raise StoreError."""

    def create(self, path: str, data: bytes) -> bool:
        """Make an object if there is none of that path; whether it was made."""

    def read(self, path: str) -> bytes | None:
        """A whole object, or None if there is none."""

    def below(self, prefix: str) -> dict[str, int]:
        """The sizes in bytes of all objects below a path, by their own."""

    def delete(self, paths: Collection[str]) -> None:
        """Remove objects; those that are not there are gone already."""


def open_objects(url: str) -> Objects:
    """The objects at an address such as ``file:///data`` or ``s3://bucket/folder``.

    Credentials are looked for in the environment, where each kind of storage has names of its own.
    Raises ValueError if that cannot be an address, or if obstore is needed and not installed.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise ValueError(f"Sessions can be kept at {', '.join(SCHEMES)}, not at {parts.scheme}.")
    if parts.scheme == "file":
        path = Path(url2pathname(parts.path))
        if parts.netloc or not path.is_absolute():
            raise ValueError("A folder is named as file:///where/it/is, with three slashes.")
        return FolderObjects(path)
    if find_spec("obstore") is None:
        raise ValueError(
            f"Sessions in {parts.scheme} storage need a package more; run: pip install obstore"
        )
    return RemoteObjects(url)


class FolderObjects:
    """Objects as files below ``folder``.

    Where files can have two names, an object appears whole. Elsewhere, as on a mounted bucket, a
    writer that is killed can leave a torn one: whoever reads must be able to tell.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._links = True

    def create(self, path: str, data: bytes) -> bool:
        for attempt in range(_ATTEMPTS):
            try:
                return self._create(self._folder / path, data)
            except FileNotFoundError as error:  # somebody removed the folder when it was empty
                if attempt == _ATTEMPTS - 1:
                    raise _failure(error) from error
            except OSError as error:
                raise _failure(error) from error
        raise AssertionError("the last attempt returns or raises")

    def read(self, path: str) -> bytes | None:
        try:
            return (self._folder / path).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _failure(error) from error

    def below(self, prefix: str) -> dict[str, int]:
        found = {}
        for folder, _, names in os.walk(self._folder / prefix):
            for name in names:
                with suppress(FileNotFoundError):  # it has just been removed
                    path = Path(folder, name)
                    if not name.startswith("."):
                        found[path.relative_to(self._folder).as_posix()] = path.stat().st_size
        return found

    def delete(self, paths: Collection[str]) -> None:
        for path in paths:
            try:
                (self._folder / path).unlink(missing_ok=True)
            except OSError as error:
                raise _failure(error) from error
            with suppress(OSError):  # it holds something else
                (self._folder / path).parent.rmdir()

    def _create(self, path: Path, data: bytes) -> bool:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._links:
            unnamed = path.with_name(f".{secrets.token_hex(8)}")
            try:
                _write_new(unnamed, data)
                os.link(unnamed, path)
                return True
            except FileExistsError:
                return False
            except OSError:
                if not unnamed.exists():
                    raise
                self._links = False
            finally:
                with suppress(OSError):
                    unnamed.unlink()
        try:
            _write_new(path, data)
        except FileExistsError:
            return False
        return True


class RemoteObjects:
    """Objects in storage that obstore knows, at ``url``."""

    def __init__(self, url: str) -> None:
        import obstore
        from obstore.exceptions import BaseError
        from obstore.store import MemoryStore, from_url

        self._obstore = obstore
        self._error = BaseError
        limits: dict[str, Any] = {
            # Plain HTTP where the environment names such an endpoint, as on one's own network.
            "client_options": {
                "timeout": _TIMEOUT,
                "connect_timeout": _TIMEOUT,
                "allow_http": True,
            },
            "retry_config": {"max_retries": 2, "retry_timeout": timedelta(seconds=10)},
        }
        try:
            in_memory = url.startswith("memory:")
            self._store: Any = MemoryStore() if in_memory else from_url(url, **limits)
        except (BaseError, ValueError) as error:
            kind = urlsplit(url).scheme
            raise ValueError(f"That is not an address of {kind} storage; see --help.") from error

    def create(self, path: str, data: bytes) -> bool:
        try:
            self._obstore.put(self._store, path, data, mode="create", use_multipart=False)
        except self._obstore.exceptions.AlreadyExistsError:
            return False
        except (self._error, OSError) as error:
            raise _failure(error) from error
        return True

    def read(self, path: str) -> bytes | None:
        try:
            return bytes(self._obstore.get(self._store, path).bytes())
        except FileNotFoundError:
            return None
        except (self._error, OSError) as error:
            raise _failure(error) from error

    def below(self, prefix: str) -> dict[str, int]:
        try:
            listed = self._obstore.list(self._store, prefix)
            return {found["path"]: found["size"] for some in listed for found in some}
        except (self._error, OSError) as error:
            raise _failure(error) from error

    def delete(self, paths: Collection[str]) -> None:
        try:
            if paths:
                self._obstore.delete(self._store, [*paths])
        except FileNotFoundError:
            if len(paths) > 1:
                for path in paths:
                    self.delete([path])
        except (self._error, OSError) as error:
            raise _failure(error) from error


def _write_new(path: Path, data: bytes) -> None:
    """Write a file that must not be there yet; none is left if that fails."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    except OSError:
        with suppress(OSError):
            path.unlink()
        raise


def _failure(error: Exception) -> StoreError:
    """Why, in words that mean something to a visitor; never where, nor anything secret."""
    if isinstance(error, OSError) and error.strerror:
        return StoreError(error.strerror)
    return StoreError("its storage is out of reach, or does not let this app in")
