"""What is let in: requests that the page and its API make, so many and so large from an address.

Gradio's other routes take files from anybody, keep what they are sent, or fetch what they are told
to; nothing here needs them. What is let in is read whole before Gradio sees it, so that a request
that breaks off or never ends costs what it has sent, and only for so long.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any

from anyio import move_on_after
from gradio.blocks import Blocks
from gradio.routes import App
from gradio_client.utils import construct_args

from learner.view.picked_file import MAX_TEXT
from learner.view.server.link_preview import Application, Message, Receive, Send, respond
from learner.view.server.origin import on_behalf, visitor_address
from learner.visitors.audience import MAX_PHONES

API = "/gradio_api"
_CALL = f"{API}/call/"
_RUN = f"{API}/run/"  # past the queue: for looks that take nothing, such as at the service
EVENTS = (f"{API}/queue/join", _CALL, _RUN)
AGENTS = f"{API}/mcp"
POSTS = (*EVENTS, f"{API}/cancel", f"{API}/reset", AGENTS, "/room/")
"""What can be posted to; nothing else can."""
FILES = (f"{API}/queue/join", f"{_CALL}load", f"{_CALL}v2/load", AGENTS)
"""Where a file may come in."""
SHUT = (f"{API}/deep_link", f"{API}/proxy=", f"{API}/upload_progress", f"{API}/vibe-code")
STREAMS = (f"{API}/heartbeat/", f"{API}/queue/data", _CALL, AGENTS)
PHONES = ("/room/",)

SMALL = 1 << 20  # bytes of a body; larger ones are files
LARGEST = MAX_TEXT + SMALL
LARGE_AT_ONCE, LARGE_IN_ALL = 2, 4  # such bodies being read, of one address and altogether
SECONDS = 60.0  # to send a small body in, and five times as many for a large one
# A lecture hall comes from one address: 300 browsers, each with two streams, and a click or two.
STREAMS_AT_ONCE = 700
PHONES_AT_ONCE = MAX_PHONES
EVENTS_AT_ONCE = 500
# Its calls come in at a pace that leaves time for others'. A page asks once in five seconds.
CALLS_AT_ONCE, CALLS_A_SECOND = 100, 150.0
SLOWEST = 50.0  # calls a second, where there is less time: a hall has opened the page in 10 s
LONGEST_WAIT = 20.0  # seconds
# There is less time where a call comes in later than it was told to, as all that goes on then does.
# The pace settles where a sixth of them do, for 0.95 x 1.01 ** 5 is 1.
LATE = 0.02  # seconds
SLOWER, FASTER = 0.95, 1.01
MOST_ADDRESSES = 10_000

VISITOR = "soft_prompt_visitor"
"""Where a request has the address that it counts for, so that it is looked up once."""

_BUSY = "Too much is going on from your address at once; wait until some of it is done."


class Refused(Exception):
    """A request is not let in: its status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Turns:
    """When an address may call again: so often at once, then so often a second. ``clock``: seconds.

    Who calls more often than that is not refused but waits; longer, if the server has less time.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pace = CALLS_A_SECOND
        self._due: dict[str, float] = {}  # when the next call of an address would be on time

    async def wait(self, address: str) -> None:
        """Return when a call that comes now is let in. Raises Refused if that is too long."""
        seconds = self.due(address)
        told = self._clock() + seconds
        await asyncio.sleep(seconds)  # if for none, until all else has been done that can be
        self.came(self._clock() - told)

    def due(self, address: str) -> float:
        """In how many seconds a call that comes now is on time. Raises Refused if it never is."""
        now = self._clock()
        full = now - CALLS_AT_ONCE / self._pace
        due = max(self._due.get(address, full), full)
        if due - now > LONGEST_WAIT:
            raise Refused(429, _BUSY)
        self._due[address] = due + 1 / self._pace
        if len(self._due) > MOST_ADDRESSES:
            self._due = {one: due for one, due in self._due.items() if due > full}
        return max(0.0, due - now)

    def came(self, late: float) -> None:
        """A call has come in so many seconds later than it was told to."""
        pace = self._pace * (SLOWER if late > LATE else FASTER)
        self._pace = min(max(pace, SLOWEST), CALLS_A_SECOND)


class Door:
    """The application behind its door."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._turns = Turns()
        self._large: Counter[str] = Counter()  # by address, as the next
        self._open: dict[tuple[str, ...], Counter[str]] = {STREAMS: Counter(), PHONES: Counter()}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        address = scope[VISITOR] = visitor_address(scope)
        method, path = scope["method"], scope["path"]
        try:
            if path.startswith(SHUT):
                raise Refused(404, "There is nothing here.")
            if method in ("GET", "HEAD", "OPTIONS"):
                with ExitStack() as held:
                    for streams, most in ((STREAMS, STREAMS_AT_ONCE), (PHONES, PHONES_AT_ONCE)):
                        if path.startswith(streams):
                            held.enter_context(_one_of(self._open[streams], address, most))
                    await self._app(scope, receive, send)
                return
            if not path.startswith(POSTS):
                await self._read(scope, receive, address)  # who is cut off hears no answer
                raise Refused(404, "Nothing can be sent here.")
            if path.startswith(EVENTS):
                await self._turns.wait(address)
            body = await self._read(scope, receive, address)
            if path.startswith(EVENTS):
                _check_event(scope["app"], address, path, body)
        except Refused as refused:
            await _tell(send, refused)
            return
        if path.startswith(AGENTS):
            scope = on_behalf(scope, address)
        await self._app(scope, _Again(body, receive), send)

    async def _read(self, scope: Message, receive: Receive, address: str) -> bytes:
        """The whole body, if it may be that large and comes soon enough."""
        size = _length(scope)
        if size <= SMALL:
            return await _body(receive, SECONDS)
        if self._large.total() >= LARGE_IN_ALL:
            raise Refused(429, "Too many files are being sent at once; try again in a minute.")
        with _one_of(self._large, address, LARGE_AT_ONCE):
            return await _body(receive, 5 * SECONDS)


class _Again:
    """Receives a body that has been read, then what comes after it: that the client has gone."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


@contextmanager
def _one_of(counted: "Counter[str]", address: str, most: int) -> Iterator[None]:
    if counted[address] >= most:
        raise Refused(429, _BUSY)
    counted[address] += 1
    try:
        yield
    finally:
        counted[address] -= 1
        if not counted[address]:
            del counted[address]


def _length(scope: Message) -> int:
    headers = dict(scope["headers"])
    most = LARGEST if scope["path"].startswith(FILES) else SMALL
    length = headers.get(b"content-length", b"")
    if not length.isdigit():
        if b"transfer-encoding" in headers:
            raise Refused(411, "Say how long this is: send a Content-Length.")
        return 0
    if int(length) > most:
        raise Refused(413, f"This is too long: at most {most >> 20} MB can be sent.")
    return int(length)


async def _body(receive: Receive, seconds: float) -> bytes:
    parts = []
    with move_on_after(seconds):  # without a task, which takes two turns of the loop more
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Refused(400, "This was broken off.")
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                return b"".join(parts)
    raise Refused(408, "This took too long to arrive.")


def _check_event(app: App, address: str, path: str, body: bytes) -> None:
    """Whether this is a call that there is, and may wait in the queue. Raises Refused."""
    blocks = app.get_blocks()
    events = blocks._queue.event_ids_to_events.values()
    if sum(event.request.scope.get(VISITOR) == address for event in events) >= EVENTS_AT_ONCE:
        raise Refused(429, _BUSY)
    try:
        call = json.loads(body)
        names_file = _names_file(call)
    except (ValueError, RecursionError):
        raise Refused(422, "This is not JSON.") from None
    if not isinstance(call, dict) or not isinstance(call.get("session_hash", ""), str | None):
        raise Refused(422, "A call is a JSON object.")
    if names_file:
        raise Refused(422, "Files are sent as text; see the description of load.")
    name = path.removeprefix(_CALL).removeprefix("v2/").rstrip("/")
    asked = name if path.startswith(_CALL) else call.get("fn_index")
    functions = (one for one in blocks.fns.values() if one.fn)  # others are the browser's alone
    known = (one for one in functions if asked in (one.api_name, one._id))
    function = None if isinstance(asked, bool) else next(known, None)
    if function is None or (path.startswith(_RUN) and (function.queue or function.inputs)):
        raise Refused(404, "There is no endpoint of that name.")
    if path.startswith(f"{_CALL}v2/"):
        try:
            construct_args(_endpoints(blocks).get(f"/{name}", {}).get("parameters"), (), call)
        except (TypeError, ValueError) as error:
            raise Refused(422, str(error)) from None
    else:
        # Who calls by name does not know of what the server keeps for them; a page sends a blank.
        by_name = path.startswith(_CALL)
        values = call.get("data")
        fewest = sum(not (by_name and one.skip_api) for one in function.inputs)
        if not isinstance(values, list) or len(values) < fewest:
            raise Refused(422, f"This takes {fewest} values, in a list named data.")


@lru_cache(maxsize=1)  # Gradio works it out anew, in milliseconds; it never changes
def _endpoints(blocks: Blocks) -> dict[str, Any]:
    return {**blocks.get_api_info()["named_endpoints"]}


def _names_file(value: Any) -> bool:
    """Whether Gradio would take a part of this for a file, and fetch it from wherever it is."""
    if isinstance(value, dict):
        return "_type" in value or any(map(_names_file, value.values()))
    return isinstance(value, list) and any(map(_names_file, value))


async def _tell(send: Send, refused: Refused) -> None:
    body = json.dumps({"detail": str(refused), "error": str(refused)}).encode()
    await respond(send, refused.status, [(b"content-type", b"application/json")], body)
