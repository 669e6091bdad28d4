"""The way from this process to the replicas: a process between, which alone knows Ray.

Ray ends or hangs whatever process is part of a cluster that dies. So none of it is loaded here: a
child process joins the cluster, and bytes go to and fro between the two. When the cluster is gone,
the child goes too; its calls end in `ReplicaGone`, and another child is started until one finds a
cluster again. When this process is gone, the child reads that and leaves.
"""

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import count
from json import dumps
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from learner.service.replica import BEAT
from learner.service.replicas import ReplicaGone

ROOT = Path(__file__).parents[2]
SILENCE = 30.0  # seconds without even a beat, after which a replica is taken to be gone
LONGEST_PAUSE = 15.0  # seconds between two tries to find the cluster
PATIENCE = 15.0  # seconds that a child has to go by itself

VALUE, END, GONE, FAULT = "value", "end", "gone", "fault"  # what is told of a call
READY, REFUSED, TROUBLE = "ready", "refused", "trouble"  # what is told of all

# Values go from a replica to the child directly, not as objects of the cluster, and the child calls
# on one loop: at a few milliseconds a value, half of a small machine would be busy with that.
_RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
}

_CHILD = "from learner.service.ray_serve import main; main()"
_STARTING = "The machines that compute are starting."
_OUT_OF_REACH = (
    "The machines that compute are out of reach; what you have learnt is kept. Looking for them …"
)


@dataclass(frozen=True)
class Deployment:
    """What is to be run where. As the flags of ``app.py``.

    ``address`` is that of a cluster, "" for one of its own on this machine. Of each model, by name
    and revision, between ``least`` and ``most`` replicas run, by how much they have to do.
    """

    models: tuple[tuple[str, str | None], ...]
    device: str
    dtype: str
    least: int
    most: int
    address: str


class Bridge:
    """Calls to the replicas of a deployment; returns when they are there.

    Raises ValueError, in a sentence, if they cannot be.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._arguments = dumps(asdict(deployment))
        self._changed = threading.Condition()  # guards everything below
        self._numbers = count()
        self._calls: dict[int, _Call] = {}
        self._child: tuple[subprocess.Popen[bytes], Connection] | None = None
        self._trouble = _STARTING
        self._refused = ""
        self._closed = False
        self._keeper = threading.Thread(target=self._keep, name="bridge", daemon=True)
        self._keeper.start()
        with self._changed:
            self._changed.wait_for(lambda: not self._trouble or self._refused)
        if self._refused:
            self.close()
            raise ValueError(self._refused)

    def __enter__(self) -> "Bridge":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def trouble(self) -> str:
        """Why no replica can be called now, in a sentence; "" if they can."""
        with self._changed:
            return self._trouble

    def call(self, data: bytes, key: str = "", model: int = 0) -> "_Call":
        """Have work done by a ``model``, by preference where that of the same ``key`` was.

        Raises ReplicaGone if there is nobody to ask.
        """
        with self._changed:
            if self._trouble:
                raise ReplicaGone(self._trouble)
            call = _Call(self, next(self._numbers))
            self._calls[call.number] = call
            self._send(call.number, model, key, data)
        return call

    def over(self, number: int) -> None:
        """Nobody waits for this call any more."""
        with self._changed:
            if self._calls.pop(number, None) is not None:
                self._send(number)

    def close(self) -> None:
        """End all calls and the child; a cluster of its own ends with it."""
        with self._changed:
            self._closed = True
            self._send(None)
            child = self._child
            self._changed.notify_all()
        self._keeper.join(PATIENCE)
        if child is not None and self._keeper.is_alive():
            child[0].kill()
            self._keeper.join()

    def _send(
        self, number: int | None, model: int = 0, key: str = "", data: bytes | None = None
    ) -> None:
        """Tell the child of a call, or of its end, or (None) to go; under the lock."""
        if self._child is not None:
            with suppress(OSError):  # the keeper finds out that the child is gone
                self._child[1].send((number, model, key, data))

    # What follows runs on the keeper's thread.

    def _keep(self) -> None:
        pause = 1.0
        while not (self._closed or self._refused):
            with _child_of(self._arguments) as child:
                with self._changed:
                    self._child = child
                    if self._closed:
                        self._send(None)
                found = self._listen(child[1])
                self._lose(found)
            pause = 1.0 if found else min(2 * pause, LONGEST_PAUSE)
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._refused, pause)

    def _listen(self, connection: Connection) -> bool:
        """Hand on what the child says until it is gone; whether it has found the replicas."""
        found = False
        with suppress(EOFError, OSError):
            while True:
                number, kind, value = connection.recv()
                with self._changed:
                    if number is not None:
                        if number in self._calls:
                            self._calls[number].told.put((kind, value))
                    elif kind == REFUSED and self._trouble == _STARTING:
                        self._refused = value
                    else:
                        found = found or kind == READY
                        self._trouble = "" if kind == READY else value
                    self._changed.notify_all()
        return found

    def _lose(self, found: bool) -> None:
        """The child is gone, and its calls with it."""
        with self._changed:
            self._child = None
            if self._trouble == _STARTING and not found:
                self._refused = self._refused or "Ray did not start; its own words are above."
            else:
                self._trouble = self._trouble or _OUT_OF_REACH
            calls, self._calls = self._calls, {}
            self._changed.notify_all()
        for call in calls.values():
            call.told.put((GONE, _OUT_OF_REACH))


class _Call:
    """Work that a replica is doing: an iterator of pickled values."""

    def __init__(self, bridge: Bridge, number: int) -> None:
        self.number = number
        self.told: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._bridge = bridge

    def __iter__(self) -> "_Call":
        return self

    def __next__(self) -> bytes:
        while True:
            try:
                kind, value = self.told.get(timeout=SILENCE)
            except queue.Empty:
                raise ReplicaGone(f"Nothing was heard for {SILENCE:.0f} seconds.") from None
            if kind == END:
                raise StopIteration
            if kind == GONE:
                raise ReplicaGone(value)
            if kind == FAULT:
                raise RuntimeError(value)
            if value != BEAT:
                data: bytes = value
                return data

    def close(self) -> None:
        """Say that nobody waits any more."""
        self._bridge.over(self.number)


@contextmanager
def _child_of(arguments: str) -> "Iterator[tuple[subprocess.Popen[bytes], Connection]]":
    """A child and the way to it; in the end, the end of it and of all that it has started."""
    ours, theirs = socket.socketpair()
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with theirs:
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, arguments, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for this process; the child is told to go
            env=os.environ | _RAY | {"PYTHONPATH": path},
        )
    connection = Connection(ours.detach())
    try:
        yield child, connection
    finally:
        connection.close()
        with suppress(subprocess.TimeoutExpired):
            child.wait(PATIENCE)
        _end_session(child.pid)
        child.wait()


def _end_session(leader: int) -> None:
    """Kill what is left of a session. A cluster on this machine outlives a child that is killed."""
    for name in os.listdir("/proc") if os.path.isdir("/proc") else [str(leader)]:
        with suppress(ValueError, OSError):  # no process, or one that has just ended
            if os.getsid(int(name)) == leader:
                os.kill(int(name), signal.SIGKILL)
