"""What the web server of Dagster hands out of ours: pages of results, the documentation, a Khmer font.

/tonsai/pages/<asset>/<dump>/<key>.html ──▶ `report_page.py`        /tonsai/docs/<page>.md ──▶ docs/ of the project, as HTML

The documentation comes from beside the package, so that links of the UI work without any other host; in an
installation without it they say where it is.
"""

from __future__ import annotations

import importlib.resources
import re
from pathlib import Path
from typing import Any

from tonsai_pipeline.defs import report_page
from tonsai_pipeline.defs.report_page import FONT_PATH, as_html, read_page, render

PREFIX = "/tonsai/"
_DOCS = "/tonsai/docs/"
_DOCS_FOLDER = Path(__file__).parents[2] / "docs"
_DOC = re.compile(r"[a-z0-9_]+\.md")
_IMAGE = re.compile(r"images/[a-z0-9_]+\.png")
_DOCS_POLICY = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; font-src 'self'"


def doc_url(page: str) -> str:
    """Return where a page of docs/ is handed out.

    Example:
        >>> doc_url("dedup.md")
        '/tonsai/docs/dedup.md'
    """
    return f"{_DOCS}{page}"


def hand_out(path: str) -> Any:
    """Return the answer to a request for something of ours."""
    from starlette.responses import HTMLResponse, PlainTextResponse, Response

    if path == FONT_PATH:
        font = (
            importlib.resources.files("tonsai_pipeline.text") / "fonts/NotoSansKhmer-Regular.woff2"
        )
        return Response(font.read_bytes(), media_type="font/woff2")
    if path.startswith(report_page.PREFIX):
        page = read_page(path.removeprefix(report_page.PREFIX))
        if page is not None:
            return HTMLResponse(
                page, headers={"content-security-policy": report_page.SECURITY_POLICY}
            )
        return PlainTextResponse("no such page in the data root (TONSAI_HOME)\n", status_code=404)
    return _read_doc(path.removeprefix(_DOCS))


def _read_doc(name: str) -> Any:
    """Answer with a page of docs/ or one of its pictures."""
    from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse

    path = _DOCS_FOLDER / name
    if _IMAGE.fullmatch(name) and path.is_file():
        return FileResponse(path)
    if _DOC.fullmatch(name) and path.is_file():
        page = as_html(name, render(path.read_text("utf-8")))
        return HTMLResponse(page, headers={"content-security-policy": _DOCS_POLICY})
    return PlainTextResponse("docs/ of the project is not on this machine\n", status_code=404)
