"""The stand-in as a server on loopback, with faults that can be put in its way.

with HubServer() as hub:
    token = hub.store.add_login("ada")
    hub.fail("POST", "/commit/", LOSE_ANSWER)
    HfApi(endpoint=hub.endpoint, token=token).create_commit(...)
"""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import tests.hub.reading
import tests.hub.sign_in
import tests.hub.spaces
import tests.hub.writing  # noqa: F401, their routes
from tests.hub.protocol import Refusal, Request, Response, answer, reply
from tests.hub.store import Store

DROP, LOSE_ANSWER, STALL, TRUNCATE = "drop", "lose answer", "stall", "truncate"
ENDLESS, DRIP = "endless", "drip"


@dataclass
class Fault:
    """What happens to the next ``times`` requests of this method to a path that matches.

    ``kind``: DROP closes the connection before anything is done, LOSE_ANSWER after it was done;
    STALL says nothing at all; TRUNCATE sends half the body; ENDLESS sends zeros for as long as they
    are taken, and DRIP a few a second. Or ``response`` is sent instead.
    """

    method: str
    path: re.Pattern[str]
    kind: str
    response: Response | None
    times: int


@dataclass(frozen=True)
class Seen:
    """A request that came in."""

    method: str
    path: str
    authorization: str | None


class HubServer:
    """A running stand-in: its ``store``, its ``endpoint``, and the requests it has ``seen``."""

    def __init__(self) -> None:
        self.store = Store()
        self.seen: list[Seen] = []
        self.poured = 0  # bytes of endless bodies
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.hub = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def storage(self) -> str:
        """Where large files are: another host, as on the real Hub."""
        return f"http://localhost:{self._http.server_port}"

    def __enter__(self) -> "HubServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()

    def fail(self, method: str, path: str, kind: str, times: int = 1) -> None:
        """Break the next ``times`` requests of ``method`` whose path matches, in this way."""
        self._faults.append(Fault(method, re.compile(path), kind, None, times))

    def refuse(
        self, method: str, path: str, status: int, message: str = "", times: int = 1, **headers: str
    ) -> None:
        """Answer the next ``times`` requests of ``method`` whose path matches with an error."""
        refusal = Refusal(status, message or f"injected {status}").response
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        self.say(method, path, Response(status, refusal.body, {**refusal.headers, **named}), times)

    def say(self, method: str, path: str, response: Response, times: int = 1) -> None:
        """Answer the next ``times`` requests of ``method`` whose path matches with just this."""
        self._faults.append(Fault(method, re.compile(path), "", response, times))

    @contextmanager
    def watching(self) -> Iterator[list[Seen]]:
        """The requests that come in meanwhile."""
        start, news = len(self.seen), []
        yield news
        news.extend(self.seen[start:])

    def fault_for(self, request: Request) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if (
                    fault.times
                    and fault.method == request.method
                    and fault.path.search(request.path)
                ):
                    fault.times -= 1
                    return fault
        return None

    def hold(self) -> None:
        """Keep a connection waiting until the server goes."""
        self._closing.wait()

    def wait(self, seconds: float) -> bool:
        """Let some time pass; whether the server goes."""
        return self._closing.wait(seconds)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # an answer is sent in two parts: 40 ms, if they wait

    def handle_any(self) -> None:
        hub: HubServer = self.server.hub  # type: ignore[attr-defined]
        request, known = self._request(hub)
        hub.seen.append(Seen(request.method, request.path, request.headers.get("authorization")))
        fault = hub.fault_for(request)
        if fault is not None and fault.kind in (DROP, STALL):
            if fault.kind == STALL:
                hub.hold()
            self._hang_up()
            return
        if fault is not None and fault.kind in (ENDLESS, DRIP):
            self._pour(hub, fault.kind == DRIP)
            return
        if fault is not None and fault.response is not None:
            response = fault.response
        elif not known:
            message = "Invalid credentials in Authorization header"
            response = reply({"error": message}, 401, X_Error_Message=message)
        else:
            response = answer(hub.store, request)
        if fault is not None and fault.kind == LOSE_ANSWER:
            self._hang_up()
            return
        self._send(response, cut=fault is not None and fault.kind == TRUNCATE)

    do_GET = do_HEAD = do_POST = do_PUT = handle_any

    def _request(self, hub: HubServer) -> tuple[Request, bool]:
        """The request, and whether the Hub knows the token it carries, if any."""
        address = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        kind, _, token = headers.get("authorization", "").partition(" ")
        login = hub.store.login(token)
        request = Request(
            self.command,
            address.path,
            parse_qs(address.query),
            headers,
            self._body(),
            login,
            hub.endpoint,
            hub.storage,
        )
        return request, login is not None or kind != "Bearer"

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _send(self, response: Response, cut: bool) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body[: len(response.body) // 2] if cut else response.body)
        if cut:
            self._hang_up()

    def _pour(self, hub: HubServer, slowly: bool) -> None:
        """Send zeros until they are not taken any more; how many is in ``hub.poured``."""
        self.send_response(200)
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("ETag", '"zeros"')
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        data = b"0" if slowly else bytes(1 << 16)
        try:
            while not hub.wait(0.05 if slowly else 0.0):
                self.wfile.write(data)
                hub.poured += len(data)
        except OSError:
            pass  # it hung up, as it should

    def _hang_up(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing: the tests look at what was seen."""
