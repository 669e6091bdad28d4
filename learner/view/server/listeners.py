"""Whoever asked for something and listens no more is done with: their events end, their state goes.

Gradio works on for a client that never opened a stream or has stopped reading it, and keeps what it
would have sent; and of each client, a program's single call included, it keeps the state of every
component for as long as there is room. Here a client that has no stream open is let go after a
while, and nobody is painted for who has not read what was painted before.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

from gradio.blocks import Blocks
from gradio.context import LocalContext
from gradio.queueing import Queue
from gradio.utils import LRUCache, cancel_tasks

from learner.model.memory import trim
from learner.view.server.link_preview import Application, Message, Receive, Send

SECONDS = 60.0  # a client may take to open a stream, or to come back to it
PAGE_SECONDS = 600.0  # that the state of a page is kept for a browser that sleeps
LOOK_SECONDS = 5.0
MOST_UNREAD = 4  # messages; more are made once these have been sent
READ_SECONDS = 0.2
A_FLOOD = 100  # clients: what they took is given back to the machine
MOST_CLIENTS = 100_000  # more than can come within SECONDS: those who listen are never pushed out

API = "/gradio_api"


class Messages(LRUCache[str, "asyncio.Queue[Any]"]):
    """What clients have not been sent yet, by client; what is said to one who has gone is lost.

    Gradio keeps room for 2,000, has the newest push the oldest out though they listen, and where it
    tells all who wait how long they will, lets somebody else's call fail for one who has gone.
    """

    def __init__(self, known: "Mapping[str, asyncio.Queue[Any]]") -> None:
        super().__init__(MOST_CLIENTS)
        self.update(known)

    def __missing__(self, client: str) -> "asyncio.Queue[Any]":
        return asyncio.Queue()


class Listeners:
    """The application, and who listens to it; ``clock`` gives seconds."""

    def __init__(self, app: Application, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._clock = clock
        self._open: Counter[str] = Counter()  # streams, by client
        self._pages: set[str] = set()  # those with a page, or a program that keeps one open
        self._alone_since: dict[str, float] = {}
        self._looking: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        client = ""
        if scope["type"] == "http":
            blocks = scope["app"].get_blocks()
            if self._looking is None:
                queue = blocks._queue
                queue.pending_messages_per_session = Messages(queue.pending_messages_per_session)
                self._looking = asyncio.create_task(self._look(blocks))
            client = _client(scope, blocks._queue) if scope["method"] == "GET" else ""
        if not client:
            await self._app(scope, receive, send)
            return
        if scope["path"].startswith(f"{API}/heartbeat/"):
            self._pages.add(client)
        self._open[client] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open[client] -= 1
            if not self._open[client]:
                del self._open[client]

    async def _look(self, blocks: Blocks) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self.let_go(blocks) >= A_FLOOD:
                await asyncio.to_thread(trim)

    def let_go(self, blocks: Blocks) -> int:
        """End what nobody has listened to for so long, and forget clients that have gone: so many.

        Only a page's state may stay, for a browser that sleeps.
        """
        queue, states = blocks._queue, blocks.state_holder
        messages = queue.pending_messages_per_session
        now = self._clock()
        known = {*messages, *queue.pending_event_ids_session, *states.session_data}
        known -= {*self._open}
        self._alone_since = {client: self._alone_since.get(client, now) for client in known}
        gone = {one for one, since in self._alone_since.items() if now - since >= SECONDS}
        for event in [*queue.event_ids_to_events.values()]:
            if event.session_hash in gone:
                self._end(event.session_hash, event.fn._id, queue)
        for client in gone:
            messages.pop(client, None)
            queue.pending_event_ids_session.pop(client, None)
            if client not in self._pages or now - self._alone_since[client] >= PAGE_SECONDS:
                states.session_data.pop(client, None)
                states.time_last_used.pop(client, None)
                self._pages.discard(client)
        return len(gone)

    def _end(self, client: str, function: int, queue: Queue) -> None:
        for ending in (
            queue.clean_events(session_hash=client),
            cancel_tasks({f"{client}_{function}"}),
        ):
            task = asyncio.ensure_future(ending)
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)


async def all_read() -> None:
    """Return once the client of this event has been sent all but a few of its messages."""
    request, blocks = LocalContext.request.get(None), LocalContext.blocks.get(None)
    while request is not None and blocks is not None:
        unread = blocks._queue.pending_messages_per_session.get(str(request.session_hash))
        if unread is None or unread.qsize() <= MOST_UNREAD:
            return
        await asyncio.sleep(READ_SECONDS)


def _client(scope: Message, queue: Queue) -> str:
    """Whose stream this opens; "" if it opens none."""
    path = str(scope["path"])
    if path.startswith(f"{API}/heartbeat/"):
        return path.removeprefix(f"{API}/heartbeat/")
    if path == f"{API}/queue/data":
        query = parse_qs(bytes(scope.get("query_string", b"")).decode("latin-1"))
        return query.get("session_hash", [""])[0]
    if path.startswith(f"{API}/call/"):
        event_id = path.rsplit("/", 1)[-1]
        if event_id in queue.event_ids_to_events:
            return queue.event_ids_to_events[event_id].session_hash
        waiting = queue.pending_event_ids_session.items()
        return next((client for client, events in waiting if event_id in events), event_id)
    return ""
