"""What a link to the page looks like where people post it: title, description, picture, address.

Gradio's page names itself there, and no address; a middleware puts ours in the place of that. The
page is the same for all who ask for it by the same address, so it is made once: Gradio takes a
tenth of a second for each, and a lecture hall opens it three hundred times.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, MutableMapping
from html import escape
from pathlib import Path
from typing import Any

TITLE = "Soft Prompt Arena"
DESCRIPTION = (
    "Watch a frozen language model learn to reason: eight vectors in front of its input change, "
    "and nothing else does."
)
PICTURE = Path(__file__).parents[3] / "assets" / "screenshot.png"
PICTURE_PATH = "/preview.png"

_TAG = re.compile(rb'<meta\s+(?:property="og:|name="(?:twitter:|description"))[^>]*>\s*')
_HEAD_END = b"</head>"

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]
Page = tuple[int, list[tuple[bytes, bytes]], bytes]
"""Its status, headers and body."""

MOST_PAGES = 8  # whoever makes up names for the app gets no more of its memory


class LinkPreview:
    """The application with our tags in its page, and the picture that they name."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._pages: OrderedDict[Hashable, Page] = OrderedDict()  # asked for last at the end
        self._making = asyncio.Lock()  # one page at a time: it takes as long as twenty clicks

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        path = scope.get("path")
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            await self._app(scope, receive, send)
        elif path == PICTURE_PATH:
            await respond(send, 200, [(b"content-type", b"image/png")], PICTURE.read_bytes())
        elif path == "/":
            await self._send_page(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _send_page(self, scope: Message, receive: Receive, send: Send) -> None:
        asked = _asked(scope)
        async with self._making:
            page = self._pages.pop(asked, None)
            if page is None:
                rewriting = _Rewriting(send, _tags(_address(scope)))
                whole = {**scope, "method": "GET", "query_string": b""}  # browsers read that
                await self._app(whole, receive, rewriting)
                page = rewriting.page
            if page and _is_for_all(page):
                self._pages[asked] = page
                while len(self._pages) > MOST_PAGES:
                    self._pages.popitem(last=False)
        if page:  # nobody waits for who reads slowly
            await respond(send, *page)


class _Rewriting:
    """Keeps a page when it is whole, with ``tags`` in its head; sends on anything else as it is."""

    def __init__(self, send: Send, tags: bytes) -> None:
        self._send = send
        self._tags = tags
        self._start: Message | None = None
        self._body = b""
        self.page: Page | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_page(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                page = _TAG.sub(b"", self._body).replace(_HEAD_END, self._tags + _HEAD_END, 1)
                headers = [
                    (key, value)
                    for key, value in self._start["headers"]
                    if key.lower() != b"content-length"
                ]
                self.page = self._start["status"], headers, page


def _is_for_all(page: Page) -> bool:
    status, headers, _ = page
    return status == 200 and all(key.lower() != b"set-cookie" for key, _ in headers)


def _asked(scope: Message) -> Hashable:
    """What makes a page another one: the address that it is asked for by."""
    named = (b"host", b"x-forwarded-host", b"x-forwarded-proto")
    told = [(key.lower(), value) for key, value in scope["headers"] if key.lower() in named]
    return scope["scheme"], scope.get("root_path", ""), *sorted(told)


def _is_page(message: Message) -> bool:
    headers = {key.lower(): value for key, value in message["headers"]}
    is_html = headers.get(b"content-type", b"").startswith(b"text/html")
    return is_html and b"content-encoding" not in headers


def _address(scope: Message) -> str:
    """The address that the page was asked for by, as whoever asked knows it."""
    headers = {key.lower(): value.decode("latin-1") for key, value in scope["headers"]}
    scheme = headers.get(b"x-forwarded-proto") or str(scope["scheme"])
    host = headers.get(b"x-forwarded-host") or headers.get(b"host", "")
    first = [value.split(",")[0].strip() for value in (scheme, host)]  # of a chain of proxies
    return f"{first[0]}://{first[1]}{scope.get('root_path', '')}"


def _tags(address: str) -> bytes:
    named = {
        "og:title": TITLE,
        "og:type": "website",
        "og:url": f"{address}/",
        "og:description": DESCRIPTION,
        "og:image": f"{address}{PICTURE_PATH}",
    }
    twitter = {
        "description": DESCRIPTION,
        "twitter:card": "summary_large_image",
        "twitter:title": TITLE,
        "twitter:description": DESCRIPTION,
        "twitter:image": f"{address}{PICTURE_PATH}",
    }
    lines = [f'<meta property="{key}" content="{escape(text)}" />' for key, text in named.items()]
    lines += [f'<meta name="{key}" content="{escape(text)}" />' for key, text in twitter.items()]
    return "\n".join([*lines, ""]).encode()


async def respond(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    """Send a whole answer."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
