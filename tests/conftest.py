"""What every test runs in: no network but loopback, no login, and a Hub cache of its own.

Set before anything imports the Hub client, which reads these once. Tests with a Hub of their own on
loopback go online; the address that is used where none is given is a port nobody listens on.
"""

import os
import tempfile
from collections.abc import Iterator

_HUB_HOME = tempfile.TemporaryDirectory(prefix="hub-home-")  # removed when the tests end
os.environ.update(
    HF_ENDPOINT="http://127.0.0.1:9",
    HF_HOME=_HUB_HOME.name,
    HF_HUB_DISABLE_PROGRESS_BARS="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_DISABLE_XET="1",  # large files go by LFS, which needs nothing but HTTP
    HF_HUB_DOWNLOAD_TIMEOUT="3",
    HF_HUB_OFFLINE="1",
)
for _secret in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE", "SPACE_ID"):
    os.environ.pop(_secret, None)

import pytest  # noqa: E402
from huggingface_hub import constants  # noqa: E402

from tests.hub.server import HubServer  # noqa: E402


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Hub client may use the network, as without HF_HUB_OFFLINE."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def hub(online: None) -> Iterator[HubServer]:
    """A Hub of its own for each test, on loopback."""
    with HubServer() as server:
        yield server
