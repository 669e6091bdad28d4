"""A room of phones: lean, since each real one has a processor of its own and this machine does not.

A phone does what its browser does: it opens the page, joins, keeps one connection on which it hears
what is asked and another on which it votes, and votes at most once a second.
"""

import asyncio
import json
import random
import re
import time
from collections import Counter
from urllib.parse import urlsplit

import httpx

from tests.attack.victim import API, PATIENCE, event
from tests.coroutines import finished

AT_ONCE_SECONDS = 0.3  # that a vote takes, to the one who votes
COME_SECONDS = 3.0  # within which all come in
_KNOWN = re.compile(r'code\\": \\"(\w+)\\", \\"key\\": \\"([\w-]+)')  # of a room, to its stage
_BROWSER = (
    "User-Agent: Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Mobile Safari/537.36\r\nAccept: */*\r\nAccept-Language: en-GB,en;q=0.9\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\nSec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\nConnection: keep-alive\r\n"
)


def phones(url: str, session: str, number: int = 300, seconds: float = 10.0) -> "Counter[str]":
    """A room of the session's whose phones all vote once a second; no attack, but as many people.

    Beside how the votes were answered it says in how many milliseconds half and 19 of 20 were.
    """
    code, key = _room(url, session)
    rng = random.Random(0)

    async def be_there() -> "Counter[str]":
        answers: Counter[str] = Counter()
        took: list[float] = []

        async def hold(starts: float) -> None:
            await asyncio.sleep(starts)
            async with (
                _Browser(url, f"room/{code}") as says,
                _Browser(url, f"room/{code}") as hears,
            ):
                assert (await says.ask("GET", ""))[0] == 200
                phone = json.loads((await says.ask("POST", "/join"))[1])["phone"]
                await hears.listen(f"/asks?phone={phone}")
                for _ in range(int(seconds)):
                    vote = {"phone": phone, "round": 1, "name": "guess"}
                    sent = json.dumps({**vote, "value": rng.randrange(200)}).encode()
                    began = time.perf_counter()
                    status, _ = await says.ask("POST", "/vote", sent)
                    took.append(time.perf_counter() - began)
                    soon = "soon" if took[-1] <= AT_ONCE_SECONDS else "late"
                    answers[f"{status} {soon}"] += 1
                    await asyncio.sleep(max(0.0, 1.0 - took[-1]))

        async with _Browser(url, f"room/{code}") as stage:
            voting = asyncio.gather(*(hold(rng.uniform(0.0, COME_SECONDS)) for _ in range(number)))
            told = await stage.listen(f"/counted?key={key}")
            while told["asks"][0]["voters"] < number:
                told = await stage.heard()
            await voting
        took.sort()
        answers["in the tally"] = told["asks"][0]["voters"]
        answers["ms at the median"] = round(1000 * took[len(took) // 2])
        answers["ms at p95"] = round(1000 * took[int(0.95 * len(took))])
        return answers

    return finished(be_there())


class _Browser:
    """One connection of a phone's browser to a room."""

    def __init__(self, url: str, path: str) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._path = parts.hostname, parts.port, f"/{path}"
        self._origin = f"{parts.scheme}://{parts.netloc}"

    async def __aenter__(self) -> "_Browser":
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """The answer's status and body."""
        status, length = await self._send(method, path, body)
        return status, await self._reader.readexactly(length)

    async def listen(self, path: str) -> dict:
        """Open a stream of events; the first one."""
        status, _ = await self._send("GET", path, b"")
        assert status == 200
        return await self.heard()

    async def heard(self) -> dict:
        """The next event of the stream, each a chunk of its own."""
        size = int(await self._reader.readline(), 16)
        event = await self._reader.readexactly(size + 2)
        return json.loads(event.removeprefix(b"data: "))

    async def _send(self, method: str, path: str, body: bytes) -> tuple[int, int]:
        sent = f"Origin: {self._origin}\r\nContent-Type: text/plain;charset=UTF-8\r\n"
        head = (
            f"{method} {self._path}{path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            f"{_BROWSER}Referer: {self._origin}{self._path}\r\n"
            f"{sent if method == 'POST' else ''}Content-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        found = re.search(rb"content-length: (\d+)", answer, re.IGNORECASE)
        return int(answer.split(b" ", 2)[1]), int(found[1]) if found else 0


def _room(url: str, session: str) -> tuple[str, str]:
    """The code and the key of a room that asks its phones to predict."""
    wanted = event(url, "click", "spa-room-do")
    with httpx.Client(base_url=url, timeout=PATIENCE) as http:
        for wish in ({"do": "open", "address": url}, {"do": "predict"}):
            stage = f"stage {wish['do']}"
            asked = wanted.body(stage, session, json.dumps(wish))
            http.post(f"{API}/queue/join", json=asked).raise_for_status()
            with http.stream("GET", f"{API}/queue/data", params={"session_hash": stage}) as told:
                known = next(found for line in told.iter_lines() if (found := _KNOWN.search(line)))
    return known[1], known[2]
