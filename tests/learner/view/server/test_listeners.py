"""Who listens no more is let go, with all that was kept for them; who listens is not."""

import asyncio
import itertools
import threading
from collections import OrderedDict
from types import SimpleNamespace

from gradio.context import LocalContext

from learner.view.server import listeners as server
from learner.view.server.listeners import (
    A_FLOOD,
    API,
    MOST_UNREAD,
    PAGE_SECONDS,
    SECONDS,
    Listeners,
    Messages,
    all_read,
)
from tests.coroutines import finished


class Blocks:
    """What of Gradio's is let go, and the events that were ended."""

    def __init__(self):
        self.ended = []
        self.state_holder = SimpleNamespace(session_data=OrderedDict(), time_last_used={})
        self._queue = SimpleNamespace(
            pending_messages_per_session={},
            pending_event_ids_session={},
            event_ids_to_events={},
            clean_events=self.clean_events,
        )

    async def clean_events(self, session_hash):
        self.ended.append(session_hash)
        self._queue.event_ids_to_events.clear()

    def get_blocks(self):
        return self

    def asks(self, client):
        """As if the client had posted a call."""
        event = SimpleNamespace(session_hash=client, fn=SimpleNamespace(_id=0))
        self._queue.event_ids_to_events[f"event of {client}"] = event
        self._queue.pending_event_ids_session[client] = {f"event of {client}"}
        self._queue.pending_messages_per_session[client] = asyncio.Queue()
        self.state_holder.session_data[client] = object()

    def knows(self, client):
        queue = self._queue
        return [
            client in kept
            for kept in (
                queue.pending_messages_per_session,
                queue.pending_event_ids_session,
                self.state_holder.session_data,
            )
        ]


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def opened(listeners, blocks, path, query=b""):
    """A stream that stays open until it is cancelled."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": API + path,
        "query_string": query,
        "app": blocks,
    }
    return asyncio.ensure_future(listeners(scope, None, None))


async def forever(scope, receive, send):
    await asyncio.Event().wait()


def let_go_of(check):
    async def run():
        blocks, clock = Blocks(), Clock()
        await check(blocks, clock, Listeners(forever, clock))

    finished(run())


def test_a_call_that_nobody_listens_to_ends_and_is_forgotten():
    async def check(blocks, clock, listeners):
        blocks.asks("program")
        listeners.let_go(blocks)
        clock.now = SECONDS - 1
        listeners.let_go(blocks)
        assert all(blocks.knows("program")) and not blocks.ended
        clock.now = SECONDS
        listeners.let_go(blocks)
        await asyncio.sleep(0)
        assert not any(blocks.knows("program")) and blocks.ended == ["program"]

    let_go_of(check)


def test_what_a_flood_of_clients_took_is_given_back_once_they_are_let_go(monkeypatch):
    given = threading.Event()
    monkeypatch.setattr(server, "trim", given.set)
    monkeypatch.setattr(server, "LOOK_SECONDS", 0.01)

    async def check(blocks, _, __):
        for number in range(A_FLOOD):
            blocks.asks(f"program {number}")
        listeners = Listeners(forever, itertools.count(0, SECONDS).__next__)
        stream = opened(listeners, blocks, "/queue/data", b"session_hash=page")
        assert await asyncio.to_thread(given.wait, 30)
        assert not any(blocks.knows("program 0"))
        stream.cancel()

    let_go_of(check)


def test_whoever_listens_is_kept_however_long_it_takes_and_then_not():
    async def check(blocks, clock, listeners):
        for client in ("page", "program"):
            blocks.asks(client)
        streams = [
            opened(listeners, blocks, "/queue/data", b"session_hash=page"),
            opened(listeners, blocks, "/call/learner/event of program"),
        ]
        await asyncio.sleep(0)
        clock.now = 100 * SECONDS
        listeners.let_go(blocks)
        assert all(blocks.knows("page") + blocks.knows("program")) and not blocks.ended
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
        listeners.let_go(blocks)
        clock.now += SECONDS
        listeners.let_go(blocks)
        assert not any(blocks.knows("page") + blocks.knows("program"))

    let_go_of(check)


def test_the_state_of_a_page_waits_longer_for_a_browser_that_sleeps():
    async def check(blocks, clock, listeners):
        blocks.asks("page")
        beating = opened(listeners, blocks, "/heartbeat/page")
        await asyncio.sleep(0)
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        listeners.let_go(blocks)
        clock.now = SECONDS
        listeners.let_go(blocks)
        assert blocks.knows("page") == [False, False, True]
        clock.now = PAGE_SECONDS
        listeners.let_go(blocks)
        assert not any(blocks.knows("page"))

    let_go_of(check)


def test_nothing_more_is_made_for_who_has_not_read_what_there_is():
    async def check():
        blocks = Blocks()
        blocks.asks("page")
        unread = blocks._queue.pending_messages_per_session["page"]
        LocalContext.blocks.set(blocks)
        LocalContext.request.set(SimpleNamespace(session_hash="page"))
        for number in range(MOST_UNREAD):
            unread.put_nowait(number)
        await all_read()
        unread.put_nowait("one more")
        waiting = asyncio.ensure_future(all_read())
        await asyncio.sleep(0)
        assert not waiting.done()
        unread.get_nowait()
        await waiting

    finished(check())


def test_thousands_who_come_push_nobody_out_and_what_is_said_to_who_has_gone_is_lost():
    async def check(blocks, clock, listeners):
        blocks.asks("page")
        stream = opened(listeners, blocks, "/queue/data", b"session_hash=page")
        await asyncio.sleep(0)
        messages = blocks._queue.pending_messages_per_session
        assert isinstance(messages, Messages)
        for number in range(5000):
            messages[str(number)] = asyncio.Queue()
        assert "page" in messages
        messages["gone"].put_nowait("an estimate of how long it takes")
        assert "gone" not in messages
        stream.cancel()

    let_go_of(check)


def test_outside_of_an_event_there_is_nobody_to_wait_for():
    finished(all_read())
