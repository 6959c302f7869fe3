"""A MediaWiki XML dump -> articles as plain text.

    <page> ... </page> ──expat──▶ page of the article namespace, no redirect ──strip_markup──▶ RawRecord

`row` counts pages of every kind, so that it is the page's place in the dump. Of a page with many revisions
the last one in the file is read.

Source: the export schema, https://www.mediawiki.org/xml/export-0.11.xsd
"""

from __future__ import annotations

import xml.parsers.expat
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

from tonsai_pipeline.storage.dumps.records import (
    EXCERPT_CHARS,
    BadRow,
    RawRecord,
    ReadOptions,
    check_text,
    dump_meta,
    excerpt,
    too_long,
)
from tonsai_pipeline.storage.dumps.streams import ByteStream
from tonsai_pipeline.storage.dumps.wikitext import strip_markup

_CHUNK_BYTES = 64 << 10
_ARTICLE, _FILE, _CATEGORY = "0", "6", "14"


def read_mediawiki(stream: ByteStream, options: ReadOptions) -> Iterator[RawRecord | BadRow]:
    """Read the articles of a MediaWiki XML dump."""
    dump = _DumpParser(options.max_record_bytes)
    row = 0
    error: xml.parsers.expat.ExpatError | None = None
    chunk = b" "
    while chunk and error is None:
        chunk = stream.read(_CHUNK_BYTES)
        try:
            dump.feed(chunk)
        except xml.parsers.expat.ExpatError as caught:
            error = caught
        for page in dump.take_pages():
            if row >= options.start_row and page.is_article:
                yield _to_record(page, dump.site, row, options)
            row += 1
    if stream.damage is not None:
        yield from end_of(stream, row=row, byte_offset=dump.position, fragment=dump.fragment)
    elif error is not None:
        # An error at the end is that the end came too early; elsewhere the XML itself is wrong.
        reason = "broken_xml" if chunk else "truncated_file"
        detail = f"{xml.parsers.expat.ErrorString(error.code)}, line {error.lineno:,}"
        yield BadRow(row, dump.position, reason, detail, excerpt(dump.fragment))


@dataclass
class _Site:
    """What `<siteinfo>` says: where the wiki is, and what it calls its namespaces."""

    base: str = ""
    link_prefixes: set[str] = field(default_factory=lambda: {"file", "image", "category", "media"})


@dataclass
class _Page:
    offset: int
    num_bytes: int = 0
    is_redirect: bool = False
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def is_article(self) -> bool:
        model = self.fields.get("revision/model", "wikitext")
        return self.fields.get("ns") == _ARTICLE and not self.is_redirect and model == "wikitext"


#: Elements below <page> whose text is kept.
_KEPT = {
    "title",
    "ns",
    "id",
    "revision/id",
    "revision/timestamp",
    "revision/model",
    "revision/text",
}


class _DumpParser:
    """Collects the pages of a dump; of a text above the limit only its beginning and its length."""

    def __init__(self, max_bytes: int) -> None:
        self.site = _Site()
        self._max_bytes = max_bytes
        self._pages: list[_Page] = []
        self._page: _Page | None = None
        self._path: list[str] = []
        self._texts: list[str] = []
        self._text_bytes = 0
        self._namespace_key = ""
        self._parser = xml.parsers.expat.ParserCreate("UTF-8")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters

    @property
    def position(self) -> int:
        """Byte at which the current page begins, or the parser stands."""
        return self._page.offset if self._page else max(0, self._parser.CurrentByteIndex)

    @property
    def fragment(self) -> bytes:
        """What is known of a page that did not end."""
        page = self._page
        return repr(page.fields).encode() if page else b""

    def feed(self, chunk: bytes) -> None:
        """Parse the next bytes; no bytes mean the end.

        Raises:
            ExpatError: The XML is broken, or ended too early.
        """
        self._parser.Parse(chunk, not chunk)

    def take_pages(self) -> list[_Page]:
        """Return the pages that ended since the last call."""
        pages, self._pages = self._pages, []
        return pages

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name)
        self._texts, self._text_bytes = [], 0
        if name == "page":
            self._page = _Page(offset=self._parser.CurrentByteIndex)
        elif name == "redirect" and self._page:
            self._page.is_redirect = True
        elif name == "namespace":
            self._namespace_key = attributes.get("key", "")

    def _characters(self, data: str) -> None:
        self._text_bytes += len(data.encode())
        if self._text_bytes <= self._max_bytes or not self._texts:
            self._texts.append(data)
        elif len(self._texts) > 1:
            self._texts = ["".join(self._texts)[:EXCERPT_CHARS]]

    def _end(self, name: str) -> None:
        path = "/".join(self._path[2:])
        self._path.pop()
        if self._page is None:
            self._end_outside(name)
        elif name == "page":
            self._pages.append(self._page)
            self._page = None
        elif path in _KEPT:
            self._page.fields[path] = "".join(self._texts)
            if name == "text":
                self._page.num_bytes = self._text_bytes

    def _end_outside(self, name: str) -> None:
        text = "".join(self._texts)
        if name == "base":
            self.site.base = text
        elif name == "namespace" and self._namespace_key in (_FILE, _CATEGORY):
            self.site.link_prefixes.add(text.strip().lower())


def _to_record(page: _Page, site: _Site, row: int, options: ReadOptions) -> RawRecord | BadRow:
    markup = page.fields.get("revision/text", "")
    title = page.fields.get("title") or None
    byte_offset = page.offset
    if page.num_bytes > options.max_record_bytes:
        return too_long(page.num_bytes, markup, row=row, byte_offset=byte_offset, options=options)
    try:
        text = strip_markup(markup, frozenset(site.link_prefixes))
    except Exception as error:  # noqa: BLE001 (the parser of other people's markup must not end a dump)
        detail = f"{title}: {type(error).__name__}: {error}"
        return BadRow(row, byte_offset, "broken_markup", detail, excerpt(markup))
    if (bad := check_text(text, row=row, byte_offset=byte_offset, options=options)) is not None:
        return bad
    meta = {
        "page_id": page.fields.get("id"),
        "revision_id": page.fields.get("revision/id"),
        "timestamp": page.fields.get("revision/timestamp"),
    }
    return RawRecord(text, row, _page_url(site.base, title), title, dump_meta(meta))


def _page_url(base: str, title: str | None) -> str | None:
    """Build a page's address from that of the main page."""
    root, slash, _ = base.rpartition("/")
    return f"{root}/{quote(title.replace(' ', '_'), safe='/:')}" if slash and title else None
