"""The attacks: each is sent at an app's address, and says how many requests it made of it.

They run in a process of their own, so that what they cost is not counted as what they do. No
connection is used twice: the server closes one after five seconds, a request on it or not.
"""

import asyncio
import json
import random
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx

from tests.attack.phones import phones
from tests.attack.victim import API, PATIENCE, Caller, event
from tests.coroutines import finished

Attack = Callable[[str, str], "Counter[str]"]
"""An attack takes the app's address and a session, and says how its requests were answered."""

AT_ONCE = 50  # requests that an attacker has under way
COME_IN_SECONDS = 5.0  # until a page shows something
HOLD = 10.0  # seconds that connections are kept open
FULL = "é中🙂" * 200  # a question of 600 characters and many more tokens


def followers(url: str, session: str, number: int = 300) -> "Counter[str]":
    """So many requests that wait for the end of the session's run, with no stream opened."""
    page = event(url, "load")
    asked = [
        (f"{API}/call/learner", {"data": [session]}),
        (f"{API}/call/ask", {"data": [session, "Is it?", "yes"]}),
        (f"{API}/queue/join", page.body("follower", session)),
    ]
    return _posted(url, [asked[i % len(asked)] for i in range(number)])


def fresh_sessions(url: str, _: str, number: int = 1000) -> "Counter[str]":
    """So many newcomers from one address."""
    return _posted(url, [(f"{API}/call/new_session", {"data": []})] * number)


def uploads(url: str, _: str, number: int = 20) -> "Counter[str]":
    """Files of 31 MB, one without a name, and calls as long."""
    file = b"x" * (31 << 20)
    long_call = json.dumps({"data": ["A" * (40 << 20)], "fn_index": 0, "session_hash": "x"})
    answers: Counter[str] = Counter()
    with httpx.Client(base_url=url, timeout=PATIENCE) as http:
        for sent in range(number):
            try:
                if sent % 3 == 0:
                    answer = http.post(f"{API}/upload", files={"files": ("a.zip", file)})
                elif sent % 3 == 1:
                    answer = http.post(f"{API}/upload", files={"files": ("", b"x")})
                else:
                    answer = http.post(f"{API}/queue/join", content=long_call)
                answers[str(answer.status_code)] += 1
            except httpx.TransportError:  # the app hangs up on who goes on sending
                answers["hung up"] += 1
    return answers


def broken_uploads(url: str, _: str, number: int = 200) -> "Counter[str]":
    """Long calls that break off in the middle."""
    host = urlsplit(url)
    head = (
        f"POST {API}/call/load HTTP/1.1\r\nHost: {host.netloc}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {20 << 20}\r\n\r\n"
    ).encode()
    for _ in range(number):
        with socket.create_connection((host.hostname, host.port), PATIENCE) as connection:
            connection.sendall(head + b'{"data": ["' + b"A" * (1 << 16))
    return Counter({"broken off": number})


def experiments(url: str, _: str, number: int = 8) -> "Counter[str]":
    """As many experiments at their largest; stopped in the end."""
    answers: Counter[str] = Counter()
    with Caller(url) as caller:
        sessions = [str(caller.call("new_session")) for _ in range(number)]
        for session in sessions:
            asked = "", "best", False, 400, 5, 500, "any"
            answers[_outcome(caller, "start_experiment", session, *asked)] += 1
        for _ in range(20):
            answers[_outcome(caller, "experiments", sessions[0])] += 1
        for session in sessions:
            answers[_outcome(caller, "stop_experiment", session)] += 1
    return answers


def long_prompts(url: str, _: str, number: int = 40) -> "Counter[str]":
    """Questions as long as they may be, all at once."""
    with Caller(url) as caller:
        sessions = [str(caller.call("new_session")) for _ in range(number)]
    calls = [(f"{API}/call/ask", {"data": [session, FULL, "no"]}) for session in sessions]
    return _posted(url, calls)


def slow_readers(url: str, session: str, number: int = 60) -> "Counter[str]":
    """Pages that ask to be shown the session's run and read nothing of what comes."""
    host, page = urlsplit(url), event(url, "load")
    calls = [(f"{API}/queue/join", page.body(f"slow {i}", session)) for i in range(number)]
    with ExitStack() as open_ones:
        answers = _posted(url, calls)
        for i in range(number):
            connection = socket.create_connection((host.hostname, host.port), PATIENCE)
            open_ones.enter_context(connection)
            asked = f"GET {API}/queue/data?session_hash=slow%20{i} HTTP/1.1\r\n"
            connection.sendall(f"{asked}Host: {host.netloc}\r\n\r\n".encode())
        time.sleep(HOLD)
    return answers


def event_streams(url: str, _: str, number: int = 1000) -> "Counter[str]":
    """So many streams that nobody has a use for."""
    host = urlsplit(url)
    with ExitStack() as open_ones:
        for i in range(number):
            connection = socket.create_connection((host.hostname, host.port), PATIENCE)
            open_ones.enter_context(connection)
            asked = f"GET {API}/heartbeat/stream{i} HTTP/1.1\r\nHost: {host.netloc}\r\n\r\n"
            connection.sendall(asked.encode())
        time.sleep(HOLD)
    return Counter({"opened": number})


def many_sessions(url: str, _: str, number: int = 60) -> "Counter[str]":
    """One browser that opens so many sessions, and trains and clicks in each."""
    with Caller(url) as caller:
        sessions = [str(caller.call("new_session")) for _ in range(number)]
        training = [
            (f"{API}/call/start_training", {"data": [one, 40, False, "answer"]}) for one in sessions
        ]
        clicks = [(f"{API}/call/new_problem", {"data": [one, "any", 0]}) for one in sessions]
        answers = _posted(url, [*training, *clicks, *clicks])
        for one in sessions:
            answers[_outcome(caller, "stop", one)] += 1
    return answers


def hall(url: str, _: str, number: int = 300, seconds: float = 10.0) -> "Counter[str]":
    """No attack: so many people of one address, who open the page within so many seconds."""
    page, rng = event(url, "load"), random.Random(0)

    async def all_come() -> "Counter[str]":
        answers: Counter[str] = Counter()
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE, limits=limits) as http:

            async def come(person: int) -> None:
                await asyncio.sleep(rng.uniform(0.0, seconds))
                began = time.perf_counter()
                client = f"person {person}"
                answers[f"page {(await http.get('')).status_code}"] += 1
                asked = await http.post(f"{API}/queue/join", json=page.body(client))
                answers[str(asked.status_code)] += 1
                told = http.stream("GET", f"{API}/queue/data", params={"session_hash": client})
                async with told as lines:
                    async for line in lines.aiter_lines():
                        if "process_generating" in line:
                            soon = time.perf_counter() - began <= COME_IN_SECONDS
                            answers["in soon" if soon else "in late"] += 1
                            return

            await asyncio.gather(*map(come, range(number)))
        return answers

    return finished(all_come())


def fuzz(url: str, _: str, number: int = 12_000, seed: int = 0) -> "Counter[str]":
    """Every endpoint, with typed and untyped garbage."""
    rng = random.Random(seed)
    info = httpx.get(f"{url}gradio_api/info", timeout=PATIENCE).json()["named_endpoints"]
    numbers = [one["id"] for one in httpx.get(f"{url}config", timeout=60).json()["dependencies"]]
    with Caller(url) as caller:
        sessions = [str(caller.call("new_session")) for _ in range(4)]
    calls = [_garbage(rng, info, numbers, sessions) for _ in range(number)]
    return _posted(url, calls)


def page_functions(url: str, session: str) -> "Counter[str]":
    """Everything that a button or slider calls, in a visitor's own name, with the same garbage."""
    page = httpx.get(f"{url}config", timeout=PATIENCE).json()["dependencies"]
    calls: list[tuple[str, object]] = []
    for one in page:
        for junk in (None, "x", 1e308, {"a": 1}):
            data = [session, *[junk] * len(one["inputs"])][: len(one["inputs"])]
            body = {"fn_index": one["id"], "data": data, "session_hash": "page"}
            calls += [(f"{API}/queue/join", body)] * bool(one["backend_fn"])
    return _posted(url, calls)


ALL: tuple[tuple[str, Attack, int], ...] = (
    ("300 followers of one run", followers, 2000),
    ("a thousand fresh sessions", fresh_sessions, 0),
    ("uploads of 31 MB", uploads, 0),
    ("uploads that break off", broken_uploads, 0),
    ("experiments at their largest", experiments, 0),
    ("questions as long as may be", long_prompts, 0),
    ("readers that do not read", slow_readers, 2000),
    ("a thousand streams", event_streams, 0),
    ("many sessions of one browser", many_sessions, 0),
    ("300 people come in from one address", hall, 0),
    ("300 phones in a room", phones, 2000),
    ("12,000 fuzzed calls", fuzz, 0),
)
"""Each with the episodes that somebody is trained for meanwhile."""

JUNK = (
    *(None, True, -1, 0, 1e308, 10**30, "", "\0", "x" * 5000, "any", "../../etc/passwd", "<b>"),
    *([], {}, [[]], {"a": 1}, [None] * 50, {"path": "/etc/passwd"}, "NaN", "é中🙂", [1, -1, 2]),
    {"path": "http://127.0.0.1:9/x", "meta": {"_type": "gradio.FileData"}},
)


def _garbage(
    rng: random.Random, info: dict[str, dict], numbers: list[int], sessions: list[str]
) -> tuple[str, object]:
    """A call that is wrong in one way or another, and now and then right."""
    name = rng.choice([*info])
    values = {"str": "text", "int": 7, "bool": False}
    data = []
    for parameter in info[name]["parameters"]:
        kind = parameter["python_type"]["type"]
        if parameter["parameter_name"] == "session" and rng.random() < 0.8:
            data.append(rng.choice(sessions))
        else:
            data.append(values.get(kind, []) if rng.random() < 0.3 else rng.choice(JUNK))
    if name in ("/train", "/start_training", "/start_experiment", "/inspect_prompt", "/evaluate"):
        data[1:] = ["x", *data[2:]]  # not what takes minutes
    if rng.random() < 0.2:
        data = data[: rng.randrange(len(data) + 1)] + [rng.choice(JUNK)] * rng.randrange(3)
    way = rng.randrange(5)
    if way == 0:
        junk = rng.choice(JUNK)
        body = {
            "fn_index": rng.choice([*numbers, -1, 9999, junk]),
            "data": rng.choice([data, junk]),
        }
        return f"{API}/queue/join", {**body, "session_hash": rng.choice(["fuzz", junk])}
    if way == 1:
        return f"{API}/{rng.choice(['run', 'call', 'api', 'call/v2'])}{name}", rng.choice(JUNK)
    if way == 2:
        named = zip((one["parameter_name"] for one in info[name]["parameters"]), data, strict=False)
        return f"{API}/call/v2{name}", dict(named)
    return f"{API}/call{name}", {"data": data}


def _posted(url: str, calls: list[tuple[str, object]]) -> "Counter[str]":
    """Make all calls, many at a time, without waiting for what comes of them."""

    async def post_all() -> "Counter[str]":
        limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=0)
        answers: Counter[str] = Counter()
        left = iter(calls)
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE, limits=limits) as http:

            async def post_some() -> None:
                for path, body in left:
                    answer = await http.post(
                        path,
                        content=json.dumps(body),
                        headers={"Content-Type": "application/json"},
                    )
                    answers[str(answer.status_code)] += 1

            posting: list[Awaitable[None]] = [post_some() for _ in range(AT_ONCE)]
            await asyncio.gather(*posting)
        return answers

    return finished(post_all())


def _outcome(caller: Caller, name: str, *data: object) -> str:
    try:
        caller.call(name, *data)
    except (ValueError, httpx.HTTPStatusError):
        return "refused"
    return "done"
