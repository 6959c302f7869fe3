"""A MediaWiki XML dump -> articles as plain text.

    <page> ... </page> ──expat──▶ page of the article namespace, no redirect ──strip_markup──▶ RawRecord
                                                                   └─ others: skipped, by reason

`row` counts pages of every kind, so that it is the page's place in the dump. Of a page with many revisions
the last one in the file is read. Behind a page that is not well-formed reading goes on at the next `<page>`.

Source: the export schemas 0.3 to 0.11, https://www.mediawiki.org/xml/export-0.11.xsd
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote
from xml.parsers.expat.errors import XML_ERROR_JUNK_AFTER_DOC_ELEMENT, codes

from tonsai_pipeline.storage.dumps.compression.decoded import Damage
from tonsai_pipeline.storage.dumps.compression.streams import ByteStream, bad_of
from tonsai_pipeline.storage.dumps.records import (
    BadRow,
    RawRecord,
    ReadOptions,
    check_text,
    dump_meta,
    excerpt,
    too_long,
)
from tonsai_pipeline.storage.dumps.web.mediawiki_pages import BrokenXmlError, Page, PageParser, Site
from tonsai_pipeline.storage.dumps.web.wikitext import strip_markup

_CHUNK_BYTES = 64 << 10
#: Where parsing can begin: a page, or a whole dump behind another one.
_START = re.compile(rb"<page>|<mediawiki[\s>]")
_START_BYTES = 12
_JUNK_AFTER_END = codes[XML_ERROR_JUNK_AFTER_DOC_ELEMENT]


def read_mediawiki(stream: ByteStream, options: ReadOptions) -> Iterator[RawRecord | BadRow]:
    """Read the articles of a MediaWiki XML dump."""
    for record in _Reader(stream, options).read():
        if record.row >= options.start_row:
            yield record


class _Reader:
    """Feeds a parser, and begins again with a new one behind what is broken."""

    def __init__(self, stream: ByteStream, options: ReadOptions) -> None:
        self._stream = stream
        self._options = options
        self._site = Site()
        self._offset = 0  # of the next byte to be fed
        self._row = 0
        self._parser: PageParser | None = PageParser(self._site, options.max_record_bytes, 0)
        self._tail = b""  # the last bytes that were fed
        self._held = b""  # without a parser: the last bytes in which nothing began
        self._broken: BadRow | None = None  # reported once it is known whether a page follows

    def read(self) -> Iterator[RawRecord | BadRow]:
        """Yield the articles, and a bad row for each stretch that is broken."""
        num_damages = 0
        while chunk := self._stream.read(_CHUNK_BYTES):
            for damage in self._stream.damages[num_damages:]:
                if damage.offset >= self._offset + len(chunk):
                    break
                num_before = damage.offset - self._offset
                yield from self._feed(chunk[:num_before])
                chunk = chunk[num_before:]
                yield from self._break(damage)
                num_damages += 1
            yield from self._feed(chunk)
        damages = self._stream.damages[num_damages:]
        for damage in damages:
            yield from self._break(damage)
        if not damages:
            yield from self._end()

    def _break(self, damage: Damage) -> Iterator[RawRecord | BadRow]:
        """Report a gap in the file; the page it is in is lost."""
        position, fragment = None, b""
        if damage.is_gap and self._parser is not None:
            position, fragment = self._parser.position, self._parser.fragment
            self._parser = None
        yield from self._take_broken()
        yield bad_of(damage, row=self._row, byte_offset=position, fragment=fragment)
        self._row += 1

    def _feed(self, data: bytes) -> Iterator[RawRecord | BadRow]:
        start, self._offset = self._offset, self._offset + len(data)
        while data:
            if self._parser is None:
                data, start = self._seek(self._held + data, start - len(self._held))
                if self._parser is None:
                    return
                yield from self._take_broken()
            data, start, pages = self._parse(data, start)
            yield from pages

    def _seek(self, data: bytes, start: int) -> tuple[bytes, int]:
        """Begin a parser where a page or dump begins; return the bytes from there."""
        found = _START.search(data)
        if found is None:
            self._held = data[-_START_BYTES:]
            return b"", 0
        self._held = b""
        offset = start + found.start()
        is_page = found.group() == b"<page>"
        self._parser = PageParser(
            self._site, self._options.max_record_bytes, offset, is_inside=is_page
        )
        return data[found.start() :], offset

    def _parse(self, data: bytes, start: int) -> tuple[bytes, int, Iterator[RawRecord | BadRow]]:
        """Parse bytes; return those behind an error, where they begin, and the records found before it."""
        parser = self._parser
        assert parser is not None
        try:
            parser.feed(data)
        except BrokenXmlError as error:
            records = list(self._records(parser.take_pages()))
            self._parser = None
            is_joined = error.code == _JUNK_AFTER_END and parser.is_ended
            if not (is_joined and _begins_dump(data[max(0, error.offset - start) :])):
                self._broken = BadRow(
                    self._row,
                    parser.position,
                    "broken_xml",
                    str(error),
                    excerpt(parser.fragment or data[max(0, error.offset - start) :]),
                )
                self._row += 1
            if error.offset < start:
                # What is wrong began in the bytes before: expat held them back.
                data, start = self._tail + data, start - len(self._tail)
            rest = max(0, error.offset - start)
            return data[rest:], start + rest, iter(records)
        self._tail = data[-_START_BYTES:]
        return b"", 0, self._records(parser.take_pages())

    def _end(self) -> Iterator[RawRecord | BadRow]:
        """Report how the file ended."""
        if self._broken is not None:
            lost = self._stream.stored_bytes(self._offset - (self._broken.byte_offset or 0))
            self._broken = self._broken._replace(lost_bytes=lost)
        yield from self._take_broken()
        if self._parser is None:
            return
        try:
            self._parser.feed(b"")
        except BrokenXmlError as error:
            bad = BadRow(
                self._row,
                self._parser.position,
                "truncated_file",
                str(error),
                excerpt(self._parser.fragment),
            )
            yield bad._replace(lost_bytes=None)
            self._row += 1

    def _take_broken(self) -> Iterator[BadRow]:
        if self._broken is not None:
            yield self._broken
            self._broken = None

    def _records(self, pages: list[Page]) -> Iterator[RawRecord | BadRow]:
        for page in pages:
            row, self._row = self._row, self._row + 1
            if row < self._options.start_row:
                continue
            reason = page.skip_reason(self._site)
            record = None if reason else _to_record(page, self._site, row, self._options)
            if record is None:
                self._options.tally.skip(reason or "empty")
            else:
                yield record


def _begins_dump(data: bytes) -> bool:
    return data.lstrip().startswith((b"<mediawiki", b"<?xml"))


def _to_record(page: Page, site: Site, row: int, options: ReadOptions) -> RawRecord | BadRow | None:
    """Return the page as text, why it is bad, or None if it has no text."""
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
    if not text:
        return None
    if (bad := check_text(text, row=row, byte_offset=byte_offset, options=options)) is not None:
        return bad
    meta = {
        "page_id": page.fields.get("id"),
        "revision_id": page.fields.get("revision/id"),
        "timestamp": page.fields.get("revision/timestamp"),
    }
    url = _page_url(site.base, title)
    return RawRecord(text, row, url, title, dump_meta(meta, options.tally))


def _page_url(base: str, title: str | None) -> str | None:
    """Build a page's address from that of the main page."""
    root, slash, _ = base.rpartition("/")
    return f"{root}/{quote(title.replace(' ', '_'), safe='/:')}" if slash and title else None
