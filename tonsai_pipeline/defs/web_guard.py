"""Requests to the web UI -> only those that its own pages, or programs of this machine, make.

    Host: evil.example (a name that was turned to 127.0.0.1)      ──▶ 403
    Origin: https://evil.example, Sec-Fetch-Site: cross-site      ──▶ 403
    GET /graphql?query=mutation{...} (<img>, a link)              ──▶ 405
    GET /tonsai/pages/..., /tonsai/docs/...                       ──▶ a result's page, a page of docs/ (`handed_out.py`)
    the UI's own pages, curl, the GraphQL client                  ──▶ Dagster

Dagster's web server looks at none of these and has no login, so any page that a person has open could start runs.
`dagster.yaml` is all of ours that the web server of `dagster dev` reads: it names `GuardedStorage`, and with that this
module stands before every request. TONSAI_UI_HOSTS names further hosts, those of a proxy that asks who comes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from dagster._core.storage.root import LocalArtifactStorage
from dagster._serdes import ConfigurableClassData

from tonsai_pipeline.defs.code_server import keep_code_servers
from tonsai_pipeline.defs.handed_out import PREFIX, hand_out

_OWN_HOSTS = {"localhost", "127.0.0.1", "::1"}
_WEB_SERVER = "dagster_webserver.webserver"
#: What a browser says of a request that the page itself, or a person in the address bar, made.
_OWN_SITES = {"same-origin", "none"}


class GuardedStorage(LocalArtifactStorage):
    """Where Dagster keeps files, as without it; loading it puts the guard before the web server of this process."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Any
    ) -> LocalArtifactStorage:
        """Open the storage; Dagster calls this in every process that reads `dagster.yaml`."""
        if _WEB_SERVER in sys.modules:
            guard_web_server(sys.modules[_WEB_SERVER])
        return super().from_config_value(inst_data, config_value)


def guard_web_server(module: Any) -> None:
    """Put the guard before every request of Dagster's web server, and have it watch its code servers; once."""
    from starlette.middleware import Middleware

    server = module.DagsterWebserver
    build = server.build_middleware
    if getattr(build, "guarded", False):
        return

    def build_middleware(self: Any) -> list[Middleware]:
        keep_code_servers(self._process_context)
        return [Middleware(WebGuard, hosts=allowed_hosts(os.environ)), *build(self)]

    build_middleware.guarded = True  # pyright: ignore[reportFunctionMemberAccess]
    server.build_middleware = build_middleware


def allowed_hosts(environment: Mapping[str, str]) -> set[str]:
    """Return the names by which the UI may be called: this machine's, and those of TONSAI_UI_HOSTS.

    Example:
        >>> sorted(allowed_hosts({"TONSAI_UI_HOSTS": "tonsai.example.org"}) - {"127.0.0.1", "::1"})
        ['localhost', 'tonsai.example.org']
    """
    named = environment.get("TONSAI_UI_HOSTS", "").split(",")
    return _OWN_HOSTS | {name.strip().lower() for name in named if name.strip()}


class WebGuard:
    """ASGI middleware that refuses what a page of another site made a browser send.

    Args:
        app: What it stands before.
        hosts: Names by which the UI may be called, without ports.
    """

    def __init__(self, app: Any, hosts: set[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Refuse a request, or pass it on."""
        refusal = None
        if scope["type"] in ("http", "websocket"):
            headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
            refusal = self.refusal(scope, headers)
        if refusal is None and scope["type"] == "http" and scope["path"].startswith(PREFIX):
            await hand_out(scope["path"])(scope, receive, send)
        elif refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal[1]})
        else:
            from starlette.responses import PlainTextResponse

            status, reason = refusal
            await PlainTextResponse(f"{reason}\n", status_code=status)(scope, receive, send)

    def refusal(
        self, scope: Mapping[str, Any], headers: Mapping[str, str]
    ) -> tuple[int, str] | None:
        """Say why a request is refused, with the status; None if it is not.

        Args:
            scope: The ASGI scope.
            headers: Its headers, with names in lower case.
        """
        host = headers.get("host", "")
        if _host_of(f"//{host}") not in self._hosts:
            return 403, f"'{host}' is no name of this server; TONSAI_UI_HOSTS can name it"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return 403, "a page of another site asked for this"
        is_graphql = scope["path"].rstrip("/").endswith("/graphql")
        is_page = scope["type"] == "http" and headers.get("sec-fetch-mode") == "navigate"
        if headers.get("sec-fetch-site", "none") not in _OWN_SITES and (is_graphql or not is_page):
            return 403, "a page of another site asked for this"
        if is_graphql and scope.get("method") == "GET" and scope.get("query_string"):
            return 405, "send GraphQL as a POST"
        return None


def _host_of(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""
