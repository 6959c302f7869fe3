"""A web server on this machine that has files with ETags and ranges, and can fail as networks do.

WebServer({"a.jsonl": b"..."}) ──url("a.jsonl")──▶ http://127.0.0.1:<port>/a.jsonl
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


class WebServer:
    """Serves bytes; every GET is noted as (name, first byte, number of bytes sent)."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.sent: list[tuple[str, int, int]] = []
        self.has_ranges = True
        #: Answers of the next GETs: a status, or how many bytes to send before the connection is cut.
        self.faults: list[tuple[str, int]] = []
        #: Is told of every GET before it is answered.
        self.on_get: Callable[[str, int], object] = lambda _name, _start: None
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                server.answer(self, body=False)

            def do_GET(self) -> None:
                server.answer(self, body=True)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the library's name)
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/{name}"

    def num_sent(self, name: str) -> int:
        """Return how many bytes of a file were sent, again and again."""
        return sum(count for other, _, count in self.sent if other == name)

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def answer(self, request: BaseHTTPRequestHandler, *, body: bool) -> None:
        name = request.path.lstrip("/")
        data = self.files.get(name)
        fault = self.faults.pop(0) if body and self.faults else ("", 0)
        if data is None or fault[0] == "status":
            self._head(request, 404 if data is None else fault[1], {}, 0)
            return
        tag = hashlib.sha256(data).hexdigest()[:16]
        found = _RANGE.fullmatch(request.headers.get("Range") or "")
        start, headers, status = 0, {"ETag": f'"{tag}"'}, 200
        if found and self.has_ranges:
            start, stop = int(found[1]), min(int(found[2]) + 1, len(data))
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
            data, status = data[start:stop], 206
        if body:
            self.on_get(name, start)
        self._head(request, status, headers, len(data))
        if body:
            part = data[: fault[1]] if fault[0] == "cut" else data
            self.sent.append((name, start, len(part)))
            request.wfile.write(part)
            if fault[0] == "cut":
                request.close_connection = True

    def _head(
        self, request: BaseHTTPRequestHandler, status: int, headers: dict[str, str], size: int
    ) -> None:
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(size)}.items():
            request.send_header(name, value)
        request.end_headers()


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[WebServer]:
    server = WebServer(files)
    try:
        yield server
    finally:
        server.stop()
