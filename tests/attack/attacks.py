"""The attacks: each is sent at an app's address, and says how many requests it made of it.

They run in a process of their own, so that what they cost is not counted as what they do.
"""

import asyncio
import json
import random
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx

from tests.attack.victim import API, PATIENCE, Caller, arrivals
from tests.coroutines import finished

Attack = Callable[[str], "Counter[str]"]
"""What an attack gives: how its requests were answered, by status."""

AT_ONCE = 50  # requests that an attacker has under way
FULL = "é中🙂" * 200  # a question of 600 characters and many more tokens


def followers(url: str, number: int = 300) -> "Counter[str]":
    """One long run, and so many requests that wait for its end, with no stream opened."""
    with Caller(url) as caller:
        session = str(caller.call("new_session"))
        caller.call("start_training", session, 2000, False, "answer")
        page, inputs = arrivals(url)[0]
        asked = [
            (f"{API}/call/learner", {"data": [session]}),
            (f"{API}/call/ask", {"data": [session, "Is it?", "yes"]}),
            (
                f"{API}/queue/join",
                {
                    "data": [session, *[None] * (inputs - 1)],
                    "fn_index": page,
                    "session_hash": "follower",
                },
            ),
        ]
        answers = _posted(url, [asked[i % len(asked)] for i in range(number)])
        caller.call("stop", session)
    return answers


def fresh_sessions(url: str, number: int = 1000) -> "Counter[str]":
    """So many newcomers from one address."""
    return _posted(url, [(f"{API}/call/new_session", {"data": []})] * number)


def uploads(url: str, number: int = 20) -> "Counter[str]":
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


def broken_uploads(url: str, number: int = 200) -> "Counter[str]":
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


def experiments(url: str, number: int = 8) -> "Counter[str]":
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


def long_prompts(url: str, number: int = 40) -> "Counter[str]":
    """Questions as long as they may be, all at once."""
    with Caller(url) as caller:
        sessions = [str(caller.call("new_session")) for _ in range(number)]
    calls = [(f"{API}/call/ask", {"data": [session, FULL, "no"]}) for session in sessions]
    return _posted(url, calls)


def slow_readers(url: str, number: int = 60) -> "Counter[str]":
    """Pages that ask to be shown a long run and read nothing of what comes."""
    host = urlsplit(url)
    page, inputs = arrivals(url)[0]
    with Caller(url) as caller, ExitStack() as open_ones:
        session = str(caller.call("new_session"))
        caller.call("start_training", session, 400, False, "answer")
        calls = [
            (
                f"{API}/queue/join",
                {
                    "data": [session, *[None] * (inputs - 1)],
                    "fn_index": page,
                    "session_hash": f"slow {i}",
                },
            )
            for i in range(number)
        ]
        answers = _posted(url, calls)
        for i in range(number):
            connection = socket.create_connection((host.hostname, host.port), PATIENCE)
            open_ones.enter_context(connection)
            asked = f"GET {API}/queue/data?session_hash=slow%20{i} HTTP/1.1\r\n"
            connection.sendall(f"{asked}Host: {host.netloc}\r\n\r\n".encode())
        caller.click(str(caller.call("new_session")))
        caller.call("stop", session)
    return answers


def event_streams(url: str, number: int = 1000) -> "Counter[str]":
    """So many streams that nobody has a use for."""
    host = urlsplit(url)
    with ExitStack() as open_ones:
        for i in range(number):
            connection = socket.create_connection((host.hostname, host.port), PATIENCE)
            open_ones.enter_context(connection)
            asked = f"GET {API}/heartbeat/stream{i} HTTP/1.1\r\nHost: {host.netloc}\r\n\r\n"
            connection.sendall(asked.encode())
        with Caller(url) as caller:
            for _ in range(5):
                caller.click(str(caller.call("new_session")))
    return Counter({"opened": number})


def many_sessions(url: str, number: int = 60) -> "Counter[str]":
    """One browser that opens the page in a new session again and again, and trains in each."""
    with Caller(url) as caller:
        sessions = [str(caller.call("new_session")) for _ in range(number)]
        answers = _posted(
            url,
            [
                (f"{API}/call/start_training", {"data": [one, 40, False, "answer"]})
                for one in sessions
            ],
        )
        for one in sessions:
            answers[_outcome(caller, "stop", one)] += 1
    return answers


def fuzz(url: str, number: int = 12_000, seed: int = 0) -> "Counter[str]":
    """Every endpoint, with typed and untyped garbage."""
    rng = random.Random(seed)
    info = httpx.get(f"{url}gradio_api/info", timeout=PATIENCE).json()["named_endpoints"]
    numbers = [one["id"] for one in httpx.get(f"{url}config", timeout=60).json()["dependencies"]]
    with Caller(url) as caller:
        sessions = [str(caller.call("new_session")) for _ in range(4)]
    calls = [_garbage(rng, info, numbers, sessions) for _ in range(number)]
    return _posted(url, calls)


ALL: tuple[tuple[str, Attack], ...] = (
    ("300 followers of one run", followers),
    ("a thousand fresh sessions", fresh_sessions),
    ("uploads of 31 MB", uploads),
    ("uploads that break off", broken_uploads),
    ("experiments at their largest", experiments),
    ("questions as long as may be", long_prompts),
    ("readers that do not read", slow_readers),
    ("a thousand streams", event_streams),
    ("many sessions of one browser", many_sessions),
    ("12,000 fuzzed calls", fuzz),
)

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
        limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
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
