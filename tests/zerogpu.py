"""The package ``spaces`` as on ZeroGPU, on a machine without a GPU.

Forks, pickling, streaming, death and concurrency are real; the GPU's initialisation and the moving
of weights are left out, and what schedules calls is a server on loopback. It changes torch for
good: for processes of their own only.
"""

import json
import multiprocessing
import os
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import torch


class Scheduler:
    """What ZeroGPU asks before each call. ``asked`` are the queries so far.

    While ``left`` is set, calls are refused: so many seconds are left.
    """

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.left: int | None = None
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.scheduler = self  # type: ignore[attr-defined]
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def answer(self, path: str) -> tuple[int, object]:
        address = urlsplit(path)
        if address.path != "/schedule":
            return 200, {}
        query = {key: values[0] for key, values in parse_qs(address.query).items()}
        self.asked.append(query)
        if self.left is not None:
            return 429, {"left": self.left, "wait": 3600}
        return 200, {"idle": True, "nvidiaIndex": 0, "nvidiaUUID": "GPU-0", "allowToken": "yes"}


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        status, value = self.server.scheduler.answer(self.path)  # type: ignore[attr-defined]
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: the tests look at what was asked."""


def never() -> bool:
    """Whether CUDA is broken by a fork: asked of another process, hence by a name."""
    return False


def no_cuda() -> None:
    """What there is in place of CUDA's initialisation."""
    raise RuntimeError("There is no CUDA here.")


def emulate() -> Scheduler:
    """Make this process one of a ZeroGPU Space."""
    scheduler = Scheduler()
    with tempfile.NamedTemporaryFile("w", suffix="-cgroup", delete=False) as file:
        file.write("0::/space\n")
    os.environ.update(
        SPACES_ZERO_GPU="true",
        SPACES_ZERO_DEVICE_API_URL=scheduler.url,
        ZEROGPU_PROC_SELF_CGROUP_PATH=file.name,
    )

    torch.version.cuda = "13.0"
    torch.cuda._is_in_bad_fork = never
    if not hasattr(torch._C, "_cuda_init"):
        torch._C._cuda_init = no_cuda  # type: ignore[attr-defined]
    import spaces.zero.torch
    from spaces.zero import client

    spaces.zero.torch.init = lambda uuid: None
    spaces.zero.torch.move = lambda callback=None: None
    client.utils.self_cgroup_device_path = lambda: "space"
    return scheduler


def end_workers() -> None:
    """Forked workers would outlive a process that ends the hard way."""
    for child in multiprocessing.active_children():
        child.kill()
        child.join()


if __name__ == "__main__":
    import sys

    emulate()
    import app

    try:
        status = app.main(sys.argv[1:])
    finally:
        end_workers()
    sys.exit(status)
