"""The app under attack, in a process of its own, and what can be seen of it from outside."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.browser.running_app import app_process

API = "/gradio_api"
PATIENCE = 300.0  # seconds; nothing takes so long unless it never comes
IDLE = 0.05  # of a core


@dataclass(frozen=True)
class Seen:
    """What an app holds: threads, memory in MB, and files in MB."""

    threads: int
    memory: float
    disk: float

    def or_more(self, other: "Seen") -> "Seen":
        """Of each the larger."""
        return Seen(
            max(self.threads, other.threads),
            max(self.memory, other.memory),
            max(self.disk, other.disk),
        )


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

    def wait_until_idle(self) -> None:
        """Until it computes nothing in the background: what it measures for all, say."""
        ended = time.monotonic() + PATIENCE
        while self._computing() > IDLE and time.monotonic() < ended:
            pass

    def _computing(self) -> float:
        """Seconds of computing that it does in a second."""
        began = self.computed()
        time.sleep(1.0)
        return self.computed() - began

    def computed(self) -> float:
        """Seconds of a core that it has taken since it began."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
    """A program that uses the app, one call after the other, as the API's description says.

    It calls from this ``address`` of the machine's own.
    """

    def __init__(self, url: str, address: str = "127.0.0.1") -> None:
        calling = httpx.HTTPTransport(local_address=address)
        self.http = httpx.Client(base_url=url, timeout=PATIENCE, transport=calling)

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
        began = time.perf_counter()
        self.call("new_problem", session, "any", 0)
        return time.perf_counter() - began


@dataclass(frozen=True)
class PageEvent:
    """Something that the page asks for: its number, and how many inputs it has."""

    number: int
    inputs: int

    def body(self, client: str, *values: object) -> dict[str, object]:
        """What a page sends to have it done; inputs without a value are empty."""
        data = [*values, *[None] * (self.inputs - len(values))]
        return {"data": data, "fn_index": self.number, "session_hash": client}


def event(url: str, name: str, element_id: str = "") -> PageEvent:
    """What happens on the server at this event of the page, or of an element on it."""
    config = httpx.get(f"{url}config", timeout=PATIENCE).json()
    ids = {one["id"]: one["props"].get("elem_id") for one in config["components"]}
    return next(
        PageEvent(one["id"], len(one["inputs"]))
        for one in config["dependencies"]
        for target, event_name in one["targets"]
        if one["backend_fn"] and event_name == name and (ids.get(target) or "") == element_id
    )
