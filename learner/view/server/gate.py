"""What every request passes first: the names the app answers to, its owner's secret, its policy.

A web page can have its own name point to this machine (DNS rebinding) and then read whatever
answers there; an app that only this machine reaches therefore answers to this machine's names only.
The policy keeps the page from fetching anything from anywhere else, whatever gets into it.
"""

from collections.abc import Collection, Mapping, Sequence
from urllib.parse import parse_qsl, urlencode

from learner.view.server.link_preview import Application, Message, Receive, Send, respond
from learner.view.server.login import KEY, Login, host_name, is_loopback, on_loopback

ANY = "*"
# Whoever wants to may show the page in a frame, as the Hub does: the secret does not come along.
# Gradio's page brings its own scripts in its text, and makes functions of what we hand it.
POLICY = (
    "default-src 'self'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; "
    "font-src 'self' data:; "
    "media-src 'self' data: blob:; "
    "connect-src 'self' data: blob:; "
    "object-src 'none'; "
    "base-uri 'self'; "
    "form-action 'self'"
)
_HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
]


def answered_names(
    host: str | None, allowed: Sequence[str], environment: Mapping[str, str]
) -> Sequence[str]:
    """The names that an app on this host answers to beside this machine's own."""
    shared = environment.get("GRADIO_SHARE", "").lower() == "true"
    others = shared or environment.get("SPACE_ID") or not on_loopback(host)
    return [ANY] if others else [name.lower() for name in allowed]


class Gate:
    """The application behind its gate.

    ``names`` are those it answers to beside this machine's; `ANY` among them is every name.
    """

    def __init__(self, app: Application, login: Login, names: Collection[str]) -> None:
        self._app = app
        self._login = login
        self._names = names

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ())]
                named = {key.lower() for key, _ in headers}
                ours = [(key, value) for key, value in _HEADERS if key not in named]
                message = {**message, "headers": [*headers, *ours]}
            await send(message)

        name = host_name(dict(scope["headers"]).get(b"host", b"").decode("latin-1"))
        if not (ANY in self._names or name in self._names or is_loopback(name)):
            await respond(send_on, 403, [(b"content-type", b"text/plain; charset=utf-8")], _REFUSAL)
            return
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if scope["method"] == "GET" and scope["path"] == "/" and KEY in dict(query):
            await respond(send_on, 303, self._let_in(query), b"")
            return
        await self._app(scope, receive, send_on)

    def _let_in(self, query: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
        """Have a browser keep the secret if it is right, and take it out of the address."""
        rest = urlencode([(key, value) for key, value in query if key != KEY])
        headers = [
            (b"location", f"./?{rest}".rstrip("?").encode()),
            (b"cache-control", b"no-store"),
        ]
        if self._login.is_secret(dict(query)[KEY]):
            cookie = f"{self._login.cookie}={self._login.secret}; Path=/; HttpOnly; SameSite=Strict"
            headers.append((b"set-cookie", cookie.encode()))
        return headers


_REFUSAL = (
    b"This app runs for one machine and answers only to that machine's own names, such as "
    b"http://127.0.0.1; its owner can let others be used with --allow-host.\n"
)
