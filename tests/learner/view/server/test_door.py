"""What is let in, how much of it at a time, and what is said to the rest."""

import asyncio
import json
from types import SimpleNamespace

import pytest

from learner.view.server import door
from learner.view.server.door import (
    CALLS_A_SECOND,
    CALLS_AT_ONCE,
    EVENTS_AT_ONCE,
    LARGE_AT_ONCE,
    LARGEST,
    LONGEST_WAIT,
    SLOWEST,
    SMALL,
    Door,
    Refused,
    Turns,
)
from learner.view.server.listeners import API
from learner.view.server.origin import ON_BEHALF
from tests.coroutines import finished

PARAMETERS = [{"parameter_name": "session", "parameter_has_default": False}]
CALL = json.dumps({"data": ["a session"]}).encode()


def function(number, name, inputs=()):
    return SimpleNamespace(
        fn=number < 5, _id=number, api_name=name, inputs=inputs, queue=bool(inputs)
    )


class FakeBlocks(SimpleNamespace):
    """What the door asks Gradio's blocks for."""

    __hash__ = object.__hash__


class Inner:
    """The application behind the door: remembers what it got, and answers when it may."""

    def __init__(self):
        self.got = []
        self.open = asyncio.Event()
        self.open.set()
        self.blocks = FakeBlocks(
            _queue=SimpleNamespace(event_ids_to_events={}),
            fns={
                2: function(2, "greet", [SimpleNamespace(skip_api=one) for one in (False, True)]),
                3: function(3, "learner", [SimpleNamespace(skip_api=False)]),
                4: function(4, ""),
                5: function(5, ""),
            },
            get_api_info=lambda: {"named_endpoints": {"/learner": {"parameters": PARAMETERS}}},
        )

    def get_blocks(self):
        return self.blocks

    async def __call__(self, scope, receive, send):
        message = await receive()
        self.got.append((scope["path"], message.get("body")))
        await self.open.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def scope_of(inner, method, path, headers=(), peer="203.0.113.7"):
    return {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [*headers],
        "client": (peer, 5000),
        "app": inner,
    }


async def ask(guarded, scope, *parts):
    """The status and the sentence that a request gets whose body comes in ``parts``."""
    sent = []
    waiting = [
        {"type": "http.request", "body": part, "more_body": i + 1 < len(parts)}
        for i, part in enumerate(parts)
    ] or [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        if waiting:
            return waiting.pop(0)
        await asyncio.Event().wait()  # nothing more comes

    async def send(message):
        sent.append(message)

    await guarded(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], json.loads(body)["detail"] if body else ""


def post(inner, path, body=CALL, length=None, **more):
    length = len(body) if length is None else length
    return scope_of(inner, "POST", path, [(b"content-length", str(length).encode())], **more)


def test_a_call_goes_through_in_one_piece():
    async def check():
        inner = Inner()
        path = f"{API}/call/learner"
        answer = await ask(Door(inner), post(inner, path), CALL[:5], CALL[5:])
        assert answer == (200, "")
        assert inner.got == [(path, CALL)]

    finished(check())


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("/upload", b"--x", 404, "Nothing can be sent"),
        ("/process_recording", b"--x", 404, "Nothing can be sent"),
        ("/component_server", b"{}", 404, "Nothing can be sent"),
        ("/run/learner", b'{"fn_index": 3, "data": [1]}', 404, "no endpoint"),
        ("/call/learner", b"{", 422, "not JSON"),
        ("/call/learner", b"[" * 100_000, 422, "not JSON"),
        ("/call/learner", b"\xff\xfe", 422, "not JSON"),
        ("/call/learner", b"[]", 422, "JSON object"),
        ("/call/learner", b'{"data": [], "session_hash": 7}', 422, "JSON object"),
        ("/call/learner", b'{"data": []}', 422, "takes 1 values"),
        ("/call/learner", b'{"data": {"a": 1}}', 422, "takes 1 values"),
        ("/queue/join", b'{"fn_index": 2, "data": ["a session"]}', 422, "takes 2 values"),
        ("/call/v2/learner", b"{}", 422, "No value provided"),
        ("/call/v2/learner", b'{"session": "a", "b": 1}', 422, "not a valid key-word"),
        ("/queue/join", b'{"fn_index": 5, "data": []}', 404, "no endpoint"),
        ("/queue/join", b'{"fn_index": true, "data": [1]}', 404, "no endpoint"),
        ("/call/nobody", CALL, 404, "no endpoint"),
        ("/queue/join", CALL, 404, "no endpoint"),
        ("/queue/join", b'{"fn_index": 99, "data": []}', 404, "no endpoint"),
        ("/queue/join", b'{"fn_index": [], "data": []}', 404, "no endpoint"),
        (
            "/queue/join",
            b'{"fn_index": 3, "data": [[{"path": "a", "meta": {"_type": "gradio.FileData"}}]]}',
            422,
            "sent as text",
        ),
        ("/call/learner", b'{"data": [{"\\u005ftype": "gradio.FileData"}]}', 422, "sent as text"),
    ],
)
def test_what_is_not_let_in_is_told_why(path, body, status, sentence):
    async def check():
        inner = Inner()
        answered, said = await ask(Door(inner), post(inner, API + path, body), body)
        assert answered == status and sentence in said
        assert not inner.got

    finished(check())


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/call/v2/learner", b'{"session": "a session"}'),
        ("/call/greet", b'{"data": ["a session"]}'),
        ("/queue/join", b'{"fn_index": 2, "data": ["a session", null]}'),
        ("/queue/join", b'{"fn_index": 3, "data": ["a session"], "session_hash": "abc"}'),
        ("/run/predict", b'{"fn_index": 4, "data": []}'),
    ],
)
def test_calls_by_name_or_number_go_through(path, body):
    async def check():
        inner = Inner()
        assert await ask(Door(inner), post(inner, API + path, body), body) == (200, "")
        assert inner.got == [(API + path, body)]

    finished(check())


@pytest.mark.parametrize(
    "path", [f"{API}/deep_link", f"{API}/proxy=https://example.org", f"{API}/upload_progress"]
)
def test_what_keeps_or_fetches_things_for_anybody_is_shut(path):
    async def check():
        inner = Inner()
        assert (await ask(Door(inner), scope_of(inner, "GET", path)))[0] == 404
        assert not inner.got

    finished(check())


def test_what_is_short_is_heard_out_before_it_is_refused():
    async def check():
        parts, said = [b"--x", b"y"], []

        async def receive():
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

        async def send(message):
            said.append((message.get("status"), len(parts)))

        await Door(Inner())(post(Inner(), f"{API}/upload", b"--xy"), receive, send)
        assert said[0] == (404, 0)

    finished(check())


def test_a_body_too_long_or_of_no_length_is_not_read():
    async def check():
        inner, path = Inner(), f"{API}/call/learner"
        guarded = Door(inner)
        assert (await ask(guarded, post(inner, path, length=SMALL + 1)))[0] == 413
        file = f"{API}/call/load"
        assert (await ask(guarded, post(inner, file, length=LARGEST + 1)))[0] == 413
        endless = scope_of(inner, "POST", path, [(b"transfer-encoding", b"chunked")])
        assert (await ask(guarded, endless))[0] == 411
        assert not inner.got

    finished(check())


def test_a_body_that_never_comes_or_breaks_off_is_given_up(monkeypatch):
    monkeypatch.setattr(door, "SECONDS", 0.01)

    async def check():
        inner, path = Inner(), f"{API}/call/learner"
        guarded = Door(inner)
        never = post(inner, path)
        sent = []

        async def nothing():
            await asyncio.Event().wait()

        async def gone():
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        await guarded(never, nothing, send)
        await guarded(never, gone, send)
        assert [one["status"] for one in sent if "status" in one] == [408, 400]
        assert not inner.got

    finished(check())


def test_so_many_files_come_in_at_a_time_and_others_go_on():
    async def check():
        inner, path, other = Inner(), f"{API}/queue/join", f"{API}/call/learner"
        guarded = Door(inner)

        async def nothing():
            await asyncio.Event().wait()

        async def send(message):
            raise AssertionError(message)

        sending = [
            asyncio.ensure_future(guarded(post(inner, path, length=SMALL + 1), nothing, send))
            for _ in range(LARGE_AT_ONCE)
        ]
        await asyncio.sleep(0)
        assert (await ask(guarded, post(inner, path, length=SMALL + 1)))[0] == 429
        assert (await ask(guarded, post(inner, other), CALL))[0] == 200
        for one in sending:
            one.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
        file = json.dumps({"fn_index": 3, "data": ["A" * SMALL]}).encode()
        assert (await ask(guarded, post(inner, path, file), file))[0] == 200

    finished(check())


@pytest.mark.parametrize(
    ("path", "most"),
    [(f"{API}/heartbeat/abc", "STREAMS_AT_ONCE"), ("/room/abcdefgh/asks", "PHONES_AT_ONCE")],
)
def test_an_address_has_so_many_events_and_streams_and_others_have_theirs(monkeypatch, path, most):
    monkeypatch.setattr(door, most, 2)
    listened = path

    async def check():
        inner, path = Inner(), f"{API}/call/learner"
        guarded = Door(inner)
        await ask(guarded, came := post(inner, path), CALL)
        request = SimpleNamespace(scope=came)
        inner.blocks._queue.event_ids_to_events = {
            number: SimpleNamespace(request=request) for number in range(EVENTS_AT_ONCE)
        }
        assert (await ask(guarded, post(inner, path), CALL))[0] == 429
        assert (await ask(guarded, post(inner, path, peer="203.0.113.8"), CALL))[0] == 200
        inner.open.clear()
        stream = scope_of(inner, "GET", listened)
        streams = [asyncio.ensure_future(ask(guarded, stream)) for _ in range(2)]
        await asyncio.sleep(0)
        assert (await ask(guarded, stream))[0] == 429
        inner.open.set()
        assert [status for status, _ in await asyncio.gather(*streams)] == [200, 200]
        assert (await ask(guarded, stream))[0] == 200
        assert (await ask(guarded, scope_of(inner, "GET", "/")))[0] == 200

    finished(check())


def test_what_agents_ask_for_counts_for_each_of_them():
    class Agents(Inner):
        async def __call__(self, scope, receive, send):
            self.headers = scope["headers"]
            await super().__call__(scope, receive, send)

    async def check():
        inner, path = Agents(), f"{API}/call/learner"
        guarded = Door(inner)
        claimed = post(inner, f"{API}/mcp/")
        claimed["headers"].append((ON_BEHALF, b"made-up 198.51.100.1"))
        await ask(guarded, claimed, CALL)
        passed_on = [one for one in inner.headers if one[0] == ON_BEHALF]
        assert len(passed_on) == 1
        own = post(inner, path, peer="127.0.0.1")  # the app asks itself, as its MCP server does
        own["headers"] += passed_on
        await ask(guarded, own, CALL)
        request = SimpleNamespace(scope=own)
        inner.blocks._queue.event_ids_to_events = {
            number: SimpleNamespace(request=request) for number in range(EVENTS_AT_ONCE)
        }
        assert (await ask(guarded, own, CALL))[0] == 429
        assert (await ask(guarded, post(inner, path), CALL))[0] == 429
        assert (await ask(guarded, post(inner, path, peer="127.0.0.1"), CALL))[0] == 200

    finished(check())


def test_who_calls_very_often_waits_and_others_do_not(monkeypatch):
    now = [1000.0]
    turns = Turns(lambda: now[0])
    assert not any(turns.due("one") for _ in range(CALLS_AT_ONCE + 1))
    assert turns.due("one") == pytest.approx(1 / CALLS_A_SECOND)
    assert turns.due("one") == pytest.approx(2 / CALLS_A_SECOND)
    assert turns.due("another") == 0
    with pytest.raises(Refused, match="from your address"):
        while turns.due("one") <= LONGEST_WAIT:
            pass
    now[0] += 3600
    assert turns.due("one") == 0
    monkeypatch.setattr(door, "MOST_ADDRESSES", 10)
    for number in range(20):
        turns.due(f"address {number}")
        now[0] += 1
    assert len(turns._due) <= 11


def test_a_hall_that_opens_the_page_in_the_same_second_is_let_in_within_seconds():
    turns = Turns(lambda: 1000.0)
    assert max(turns.due("the hall") for _ in range(2 * 300)) < 5
    slow = Turns(lambda: 1000.0)
    for _ in range(100):
        slow.came(1.0)
    assert max(slow.due("the hall") for _ in range(2 * 300)) == pytest.approx(10, abs=0.1)


def test_calls_come_slower_while_the_server_has_less_time():
    turns = Turns(lambda: 1000.0)

    def settle(late):
        for _ in range(1000):
            turns.came(late)
        for one in ("one", "another"):  # each has used up what may come at once
            while not turns.due(one):
                pass

    settle(0.0)
    first = turns.due("one")
    assert turns.due("one") - first == pytest.approx(1 / CALLS_A_SECOND)
    settle(0.1)
    first = turns.due("one")
    assert turns.due("one") - first == pytest.approx(1 / SLOWEST)
    for number in range(6000):  # a sixth is late
        turns.came(0.1 * (number % 6 == 0))
    first = turns.due("one")
    middle = turns.due("one") - first
    for number in range(60):
        turns.came(0.1 * (number % 6 == 0))
    first = turns.due("one")
    assert turns.due("one") - first == pytest.approx(middle, rel=0.05)
