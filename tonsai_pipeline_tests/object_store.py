"""A store that speaks S3 on this machine, and machines with caches of their own that share a data root in it.

ObjectStore() ──url("name")──▶ s3://tests-1/name-2        ──stop()──▶ nobody answers
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tonsai_pipeline.storage import data_root
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Store

_NUMBERS = itertools.count(1)


class ObjectStore:
    """Moto, one request at a time: so a conditional put is decided before the next one is looked at."""

    def __init__(self) -> None:
        # Seconds, which only tests that need a store should pay.
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        self._moto = DomainDispatcherApplication(create_backend_app)
        self.requests: list[tuple[str, str]] = []
        self.ignores_conditions = False
        self.port = 0
        # Moto keeps its objects as long as the process lives.
        self.bucket = f"tests-{next(_NUMBERS)}"
        self.start()
        self.env = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "tests",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "1",
        }

    def open(self) -> None:
        """Make the bucket; the environment must be set."""
        from s3fs import S3FileSystem

        S3FileSystem().mkdir(self.bucket)

    def url(self, name: str) -> str:
        """Return a data root that nobody used."""
        return f"s3://{self.bucket}/{name}-{next(_NUMBERS)}"

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
        from werkzeug.serving import make_server

        self._server = make_server("127.0.0.1", self.port, self._answer, threaded=False)
        self.port = self._server.port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def _answer(self, environ: dict[str, Any], start: Any) -> Any:
        self.requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        if self.ignores_conditions:
            environ.pop("HTTP_IF_NONE_MATCH", None)
        return self._moto(environ, start)


@contextmanager
def served() -> Iterator[ObjectStore]:
    """A store that this process and its children find by the environment."""
    from s3fs import S3FileSystem

    store = ObjectStore()
    before = {name: os.environ.get(name) for name in store.env}
    os.environ.update(store.env)
    # A file system is kept with the address it was opened at.
    S3FileSystem.clear_instance_cache()
    try:
        store.open()
        yield store
    finally:
        store.stop()
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
