"""What the asset page hides behind links -> one HTML page an artifact: pictures, tables, samples, checks at once.

    metadata, checks ──write_page──▶ pages/<asset>/<partition>/<key>.html ──/tonsai/pages/...──▶ the browser

Dagster shows Markdown of an event only after a click for each, and a browser opens no file:// link from a web page. So the
page is a file of the data root, and the guard of the web server (`web_guard.py`) hands it out. Text of dumps stands on
it: everything is escaped, and the page may load and run nothing.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from markdown_it import MarkdownIt

from tonsai_pipeline.storage.data_root import default_root
from tonsai_pipeline.storage.files import write_bytes
from tonsai_pipeline.storage.layout import WHOLE
from tonsai_pipeline.storage.origin import open_origin
from tonsai_pipeline.storage.space import say_bytes

PREFIX = "/tonsai/pages/"
#: What a browser may do with a page: show its own pictures.
SECURITY_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src 'self'"
#: A font with Khmer for machines that have none; handed out by the guard as well.
FONT_PATH = "/tonsai/khmer.woff2"
_TAG = re.compile(r"(<[^>]*>)")
#: Where a name may go on in the next line: what tables have most of are names of documents and columns.
_BREAKS = re.compile(r"(?<=\w)[_/@](?=\w)")
_PLACE = re.compile(r"[a-z0-9_]+/(?:all|[a-z0-9][a-z0-9_.-]*@[0-9]{8})/[0-9a-f]{16}\.html")
_STYLE = (
    f"@font-face {{ font-family: Khmer; src: url({FONT_PATH}); unicode-range: U+1780-19FF }}"
    """
body { font: 15px/1.5 system-ui, Khmer, sans-serif; color: #1b2733; margin: 2rem auto; max-width: 96rem; padding: 0 1.5rem }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.05rem; margin: 1.6rem 0 .4rem }
.where { color: #5b6b7a; margin: .2rem 0 1.2rem } img { max-width: 100%; display: block }
table { border-collapse: collapse; font-size: .9rem } th { text-align: left; color: #5b6b7a; font-weight: 600 }
td, th { padding: .2rem .9rem .2rem 0; border-bottom: 1px solid #e6ebf0; vertical-align: top; max-width: 40rem; overflow-wrap: break-word }
th { vertical-align: bottom } td[style] { white-space: nowrap; font-variant-numeric: tabular-nums }
.numbers td:nth-child(2) { text-align: right; font-variant-numeric: tabular-nums }
.grid { display: flex; flex-wrap: wrap; gap: 0 3rem } .wide { overflow-x: auto }
.ok { color: #23744a } .bad { color: #a8321f } .warn { color: #8a6100 } pre { white-space: pre-wrap; font-size: .85rem }
"""
)


def page_url(place: str) -> str:
    """Return where the web server hands the page of a result out, by its `Artifact.place`."""
    return f"{PREFIX}{place}.html"


def write_page(
    root: Path,
    place: str,
    metadata: Mapping[str, Any],
    checks: Sequence[dg.AssetCheckResult] = (),
    *,
    refresh_s: int = 0,
) -> None:
    """Write the page of a result.

    Args:
        root: The data root.
        place: `<asset>/<dump or "all">/<key>`, as `Artifact.place`.
        metadata: What Dagster is told; pictures and tables as Markdown.
        checks: Results of its checks.
        refresh_s: Seconds after which the browser loads the page again; 0 for a result that is finished.
    """
    asset, partition, key = place.split("/")
    blocks = {
        n: str(v.value) for n, v in metadata.items() if isinstance(v, dg.MarkdownMetadataValue)
    }
    numbers = {n: v for n, v in metadata.items() if isinstance(v, bool | int | float)}
    pictures = {name: text for name, text in blocks.items() if text.startswith("![")}
    where = "whole corpus" if partition == WHOLE else partition
    body = [
        f"<h1>{html.escape(asset)}</h1>",
        f'<p class="where">{html.escape(where)}, {key}</p>',
        f"<p>Still running: this page loads anew every {refresh_s} s.</p>" if refresh_s else "",
        _checks(checks),
        '<div class="grid">',
        *(f"<div>{render(text)}</div>" for text in pictures.values()),
        "</div>",
        _numbers(numbers),
        *(
            f'<h2>{_title(name)}</h2><div class="wide">{render(text)}</div>'
            for name, text in blocks.items()
            if name not in pictures
        ),
    ]
    path, page = _file(root, f"{place}.html"), as_html(asset, "".join(body), refresh_s=refresh_s)
    origin = open_origin(root)
    if origin is None or refresh_s:  # a page that changes every few seconds is for this machine
        write_bytes(path, page)
    else:
        origin.push(path, page)


def as_html(title: str, body: str, *, refresh_s: int = 0) -> bytes:
    """Return a page in the dress of all pages."""
    refresh = f'<meta http-equiv="refresh" content="{refresh_s}">' if refresh_s else ""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8">{refresh}<title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style><body>{body}</body></html>\n"
    ).encode()


def render(markdown: str) -> str:
    """Return Markdown as HTML; HTML in it stays text, and names may break at their marks."""
    page = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    pieces = _TAG.split(page)
    pieces[::2] = [_BREAKS.sub(r"\g<0><wbr>", text) for text in pieces[::2]]
    return "".join(pieces)


def read_page(place: str, root: Path | None = None) -> bytes | None:
    """Return a page by what follows `/tonsai/pages/`; None if there is none of that name."""
    if not _PLACE.fullmatch(place):
        return None
    root = root or default_root()
    path, origin = _file(root, place), open_origin(root)
    if path.is_file() or origin is None:
        return path.read_bytes() if path.is_file() else None
    return origin.read(path)


def _file(root: Path, place: str) -> Path:
    return root / "pages" / place


def _title(name: str) -> str:
    return html.escape(name.replace("_", " "))


def _checks(checks: Sequence[dg.AssetCheckResult]) -> str:
    if not checks:
        return ""
    rows = []
    for check in checks:
        is_warning = check.severity == dg.AssetCheckSeverity.WARN
        failed = ("warn", "warns") if is_warning else ("bad", "failed")
        mark, word = ("ok", "passed") if check.passed else failed
        rows.append(
            f'<tr><td>{_title(check.check_name or "")}</td><td class="{mark}">{word}</td>'
            f"<td>{html.escape(check.description or '')}</td></tr>"
        )
    return f"<h2>Checks</h2><table>{''.join(rows)}</table>"


def _numbers(numbers: Mapping[str, float]) -> str:
    cells = [
        f"<tr><td>{_title(name)}</td><td>{say_number(name, value)}</td></tr>"
        for name, value in numbers.items()
        if "/" not in name
    ]
    return f'<h2>Numbers</h2><table class="numbers">{"".join(cells)}</table>' if cells else ""


def say_number(name: str, value: float) -> str:
    """Return a number with the unit that its name ends in, rounded for reading.

    Example:
        >>> (
        ...     say_number("size_bytes", 12_345_678),
        ...     say_number("dropped_frac", 0.0213),
        ...     say_number("elapsed_s", 75.31),
        ... )
        ('12.3 MB', '2.13 %', '75.3 s')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.endswith("_bytes"):
        return say_bytes(value)
    if name.endswith("_frac"):
        return f"{100 * value:.3g} %"
    unit = " s" if name.endswith("_s") and not name.endswith("per_s") else ""
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}{unit}"
    return f"{value:.3g}{unit}"
