"""A stand-in for object storage that speaks S3 over loopback, as much of it as a store needs."""

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

PAGE = 1000  # objects in one list, as there


class ObjectStorage:
    """Running inside ``with``: its ``environment`` for the client, and its ``objects`` by key.

    While ``status`` is set, every request is answered with that.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.lock = threading.Lock()
        self.status: int | None = None
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.storage = self  # type: ignore[attr-defined]

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT": f"http://127.0.0.1:{self._http.server_port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "here",
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "hush",
        }

    def __enter__(self) -> "ObjectStorage":
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # an answer is sent in two parts: 40 ms, if they wait

    def do_any(self) -> None:
        storage: ObjectStorage = self.server.storage  # type: ignore[attr-defined]
        address = urlsplit(self.path)
        query = parse_qs(address.query, keep_blank_values=True)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        key = unquote(address.path).strip("/").partition("/")[2]
        with storage.lock:
            if storage.status is not None:
                self._answer(storage.status, b"<Error><Code>Fault</Code></Error>")
            elif self.command == "PUT":
                self._put(storage.objects, key, body)
            elif "delete" in query:
                keys = [unescape(found) for found in re.findall("<Key>(.*?)</Key>", body.decode())]
                for one in keys:
                    storage.objects.pop(one, None)
                gone = "".join(f"<Deleted><Key>{escape(one)}</Key></Deleted>" for one in keys)
                self._answer(200, f"<DeleteResult>{gone}</DeleteResult>".encode())
            elif self.command == "DELETE":
                storage.objects.pop(key, None)
                self._answer(204, b"")
            elif key:
                self._get(storage.objects, key)
            else:
                self._list(storage.objects, query)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_any

    def _put(self, objects: dict[str, bytes], key: str, body: bytes) -> None:
        if self.headers.get("If-None-Match") == "*" and key in objects:
            self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            return
        objects[key] = body
        self._answer(200, b"", body)

    def _get(self, objects: dict[str, bytes], key: str) -> None:
        if key not in objects:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        self._answer(200, objects[key], objects[key])

    def _list(self, objects: dict[str, bytes], query: dict[str, list[str]]) -> None:
        prefix, after = query.get("prefix", [""])[0], query.get("continuation-token", [""])[0]
        found = sorted(key for key in objects if key.startswith(prefix) and key > after)
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(objects[key])}</Size>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>x</ETag></Contents>"
            for key in found[:PAGE]
        )
        more = ""
        if len(found) > PAGE:
            more = f"<NextContinuationToken>{escape(found[PAGE - 1])}</NextContinuationToken>"
        cut = str(len(found) > PAGE).lower()
        self._answer(
            200,
            f"<ListBucketResult><IsTruncated>{cut}</IsTruncated>{rows}{more}</ListBucketResult>".encode(),
        )

    def _answer(self, status: int, body: bytes, tagged: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hashlib.md5(tagged, usedforsecurity=False).hexdigest()}"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
