"""Stores on this machine that speak S3, Google's and Azure's ways, and machines with caches that share a root in one.

served("gs") ──▶ ObjectStore ──url("name")──▶ gs://tests-1/name-2        ──stop()──▶ nobody answers
"""

from __future__ import annotations

import io
import itertools
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import fsspec

from tonsai_pipeline.storage import data_root
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Store
from tonsai_pipeline_tests.emulators import APPS, HEADERS, App, needs, say_object

_NUMBERS = itertools.count(1)
#: Azure's is a server of npm: its tests run where AZURITE is a connection string to one.
PROTOCOLS = ("s3", "gs", "az")


class ObjectStore:
    """An emulator behind a server that takes one request at a time: so a conditional put is decided before the next one
    is looked at.

    Args:
        protocol: One of `PROTOCOLS`.
    """

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol
        self.requests: list[tuple[str, str]] = []
        self.ignores_conditions = False
        self.port = 0
        # Emulators keep their objects as long as they live.
        self.bucket = f"tests-{os.getpid()}-{next(_NUMBERS)}"
        self._app: App | None = None
        self._running = ExitStack()
        self.start()
        self._app, self.env = self._running.enter_context(APPS[protocol](self.port))

    def open(self) -> None:
        """Make the bucket; the environment must be set."""
        fsspec.filesystem(self.protocol).mkdir(self.bucket)

    def close(self) -> None:
        """End it for good."""
        self.stop()
        self._running.close()

    def url(self, name: str) -> str:
        """Return a data root that nobody used."""
        return f"{self.protocol}://{self.bucket}/{name}-{next(_NUMBERS)}"

    def sent(self, part: str = "") -> list[str]:
        """Return the keys that were put and have `part` in them."""
        return [path for method, path in self.requests if method == "PUT" and part in path]

    def fetched(self, part: str = "") -> list[str]:
        """Return the keys that were asked for and have `part` in them."""
        return [path for method, path in self.requests if method == "GET" and part in path]

    def stop(self) -> None:
        """Let nobody answer, until `start`."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def start(self) -> None:
        """Answer, at the same address as before."""
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Handler(WSGIRequestHandler):
            def make_environ(self) -> dict[str, Any]:
                return {**super().make_environ(), HEADERS: self.headers.items()}

        self._server = make_server(
            "127.0.0.1", self.port, self._answer, threaded=False, request_handler=Handler
        )
        self.port = self._server.port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def _answer(self, environ: dict[str, Any], start: Any) -> Any:
        from werkzeug.wsgi import get_input_stream

        body = get_input_stream(environ).read()
        environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        self.requests.append(say_object(environ, body))
        if self.ignores_conditions:
            environ.pop("HTTP_IF_NONE_MATCH", None)
            for name in ("QUERY_STRING", "REQUEST_URI"):
                environ[name] = environ[name].replace("ifGenerationMatch=0", "")
        assert self._app is not None
        return self._app(environ, start)


@contextmanager
def served(protocol: str = "s3") -> Iterator[ObjectStore]:
    """A store that this process and its children find by the environment; skips where its emulator is not here."""
    needs(protocol)
    store = ObjectStore(protocol)
    before = {name: os.environ.get(name) for name in store.env}
    os.environ.update(store.env)
    # A file system is kept with the address it was opened at.
    fsspec.get_filesystem_class(protocol).clear_instance_cache()
    try:
        store.open()
        yield store
    finally:
        store.close()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def on_machine(cache: Path, url: str, recipe: str = "test") -> Store:
    """Return a data root in a store as a machine sees it that has this cache."""
    before = os.environ.get("TONSAI_CACHE")
    os.environ["TONSAI_CACHE"] = str(cache)
    try:
        return Store(Layout(data_root.open_root(url), recipe))
    finally:
        os.environ.pop("TONSAI_CACHE") if before is None else os.environ.update(TONSAI_CACHE=before)
