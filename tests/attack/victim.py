"""The app under attack, in a process of its own, and what can be seen of it from outside."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import httpx

from tests.browser.running_app import app_process

API = "/gradio_api"
PATIENCE = 300.0  # seconds; nothing takes so long unless it never comes


@dataclass(frozen=True)
class Seen:
    """What an app holds: threads, memory in MB, and files in MB."""

    threads: int
    memory: float
    disk: float


@dataclass(frozen=True)
class Victim:
    """A running app: its address, its process, its folder."""

    url: str
    process: int
    folder: Path

    def seen(self) -> Seen:
        status = Path(f"/proc/{self.process}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines())
        files = sum(path.lstat().st_size for path in self.folder.rglob("*") if path.is_file())
        memory = int(fields["VmRSS"].split()[0]) / 1024
        return Seen(int(fields["Threads"]), memory, files / 1e6)


@contextmanager
def victim(folder: Path) -> Iterator[Victim]:
    """Start the app; it must end without a traceback in its log."""
    with app_process(folder) as (url, process):
        yield Victim(url, process.pid, folder)
        process.terminate()
        process.wait(PATIENCE)
    said = (folder / "log.txt").read_text()
    assert "Traceback" not in said, said


class Caller:
    """A program that uses the app, one call after the other, as the API's description says."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=PATIENCE)

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def post(self, name: str, *data: object) -> str:
        """Ask for something without waiting for it; the event's id."""
        answer = self.http.post(f"{API}/call/{name}", json={"data": data})
        answer.raise_for_status()
        return str(answer.json()["event_id"])

    def call(self, name: str, *data: object) -> object:
        """What an endpoint gives. Raises ValueError with its sentence where it gives none."""
        event = self.post(name, *data)
        kind = ""
        with self.http.stream("GET", f"{API}/call/{name}/{event}") as stream:
            for line in stream.iter_lines():
                key, _, value = line.partition(": ")
                if key == "event":
                    kind = value
                elif key == "data" and kind == "complete":
                    return json.loads(value)[0]
                elif key == "data" and kind == "error":
                    raise ValueError(value)
        raise ValueError(f"{name} ended without an answer")

    def click(self, session: str) -> float:
        """Draw a new problem and wait for its four answers: how many seconds that took."""
        began = perf_counter()
        self.call("new_problem", session, "any", 0)
        return perf_counter() - began


def arrivals(url: str) -> list[tuple[int, int]]:
    """What a browser asks for when the page opens: each event's number and how many inputs."""
    config = httpx.get(f"{url}config", timeout=PATIENCE).json()
    return [
        (one["id"], len(one["inputs"]))
        for one in config["dependencies"]
        if any(event == "load" for _, event in one["targets"]) and one["backend_fn"]
    ]
