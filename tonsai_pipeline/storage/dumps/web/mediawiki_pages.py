"""Bytes of a MediaWiki export -> its pages, each with the fields that are kept.

    bytes ──PageParser.feed──▶ Page(title, ns, text, ...), in file order        Site: what <siteinfo> says

Source: the export schemas 0.3 to 0.11. `<ns>` came with 0.5 and `<redirect>` with 0.4: before, a title's prefix
and the text itself say the same.
"""

from __future__ import annotations

import re
import xml.parsers.expat
from dataclasses import dataclass, field

from tonsai_pipeline.storage.dumps.records import EXCERPT_CHARS

_ARTICLE, _FILE, _CATEGORY = "0", "6", "14"
#: What MediaWiki calls its namespaces in every language, beside the names in <siteinfo>.
_CANONICAL = {
    "media": "-2",
    "special": "-1",
    "talk": "1",
    "user": "2",
    "user talk": "3",
    "project": "4",
    "project talk": "5",
    "file": "6",
    "image": "6",
    "file talk": "7",
    "image talk": "7",
    "mediawiki": "8",
    "mediawiki talk": "9",
    "template": "10",
    "template talk": "11",
    "help": "12",
    "help talk": "13",
    "category": "14",
    "category talk": "15",
    "wikipedia": "4",
    "wikipedia talk": "5",
    "portal": "100",
    "portal talk": "101",
    "module": "828",
    "module talk": "829",
}
#: A page that is nothing but a redirect, whatever its language calls it.
_REDIRECT = re.compile(
    r"\s*#(?:redirect\b|\S+\s*:?\s*\[\[[^\]\n]+\]\]\s*(?:\[\[[^\]\n]+\]\]\s*)*\Z)", re.IGNORECASE
)
_INSIDE = b"<mediawiki>"


class BrokenXmlError(Exception):
    """The XML is broken, or ended too early.

    Args:
        message: What is wrong, and where.
        offset: Byte of the file at which parsing may go on.
        code: Expat's number of the error; 0 for ours.
    """

    def __init__(self, message: str, offset: int, code: int) -> None:
        super().__init__(message)
        self.offset = offset
        self.code = code


@dataclass
class Site:
    """What `<siteinfo>` says: where the wiki is, and what it calls its namespaces."""

    base: str = ""
    namespaces: dict[str, str] = field(default_factory=lambda: dict(_CANONICAL))
    link_prefixes: set[str] = field(default_factory=lambda: {"file", "image", "category", "media"})


@dataclass
class Page:
    """One page, with the last of its revisions.

    Attributes:
        offset: Where it begins, in decompressed bytes.
        num_bytes: Length of its text.
        is_redirect: It says that it is one.
        fields: Path below `<page>` -> text.
    """

    offset: int
    num_bytes: int = 0
    is_redirect: bool = False
    fields: dict[str, str] = field(default_factory=dict)

    def skip_reason(self, site: Site) -> str | None:
        """Return why the page is no article; None if it is one."""
        namespace = self.fields.get("ns")
        if namespace is None:
            prefix = self.fields.get("title", "").partition(":")
            name = prefix[0].strip().replace("_", " ").lower() if prefix[1] else ""
            namespace = site.namespaces.get(name, _ARTICLE)
        if namespace.strip() != _ARTICLE:
            return "namespace"
        if self.is_redirect or _REDIRECT.match(self.fields.get("revision/text", "")):
            return "redirect"
        model = self.fields.get("revision/model", "wikitext")
        return None if model == "wikitext" else "not_wikitext"


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


class PageParser:
    """Collects the pages of a dump; of a text above the limit only its beginning and its length.

    Args:
        site: Is filled with what `<siteinfo>` says.
        max_bytes: Longest text that is kept whole.
        offset: Byte of the file at which feeding begins.
        is_inside: Feeding begins inside a dump, at a page.
    """

    def __init__(self, site: Site, max_bytes: int, offset: int, *, is_inside: bool = False) -> None:
        self._site = site
        self._max_bytes = max_bytes
        self._pages: list[Page] = []
        self._page: Page | None = None
        self._path: list[str] = []
        self._texts: list[str] = []
        self._text_bytes = 0
        self._namespace_key = ""
        self._base = offset - (len(_INSIDE) if is_inside else 0)
        self._parser = xml.parsers.expat.ParserCreate("UTF-8")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        if is_inside:
            self.feed(_INSIDE)

    @property
    def position(self) -> int:
        """Byte at which the current page begins, or the parser stands."""
        here = self._base + max(0, self._parser.CurrentByteIndex)
        return self._page.offset if self._page else here

    @property
    def fragment(self) -> bytes:
        """What is known of a page that did not end."""
        return repr(self._page.fields).encode() if self._page else b""

    @property
    def is_ended(self) -> bool:
        """Tell whether the root element is closed."""
        return not self._path

    def feed(self, chunk: bytes) -> None:
        """Parse the next bytes; no bytes mean the end.

        Raises:
            BrokenXmlError: The XML is broken, or ended too early.
        """
        try:
            self._parser.Parse(chunk, not chunk)
        except xml.parsers.expat.ExpatError as error:
            message = f"{xml.parsers.expat.ErrorString(error.code)}, line {error.lineno:,}"
            offset = self._base + max(0, self._parser.ErrorByteIndex)
            raise BrokenXmlError(message, offset, error.code) from error

    def take_pages(self) -> list[Page]:
        """Return the pages that ended since the last call."""
        pages, self._pages = self._pages, []
        return pages

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "page":
            offset = self._base + self._parser.CurrentByteIndex
            if self._page is not None:
                raise BrokenXmlError("a page begins inside another one", offset, 0)
            self._page = Page(offset)
        self._path.append(name)
        self._texts, self._text_bytes = [], 0
        if name == "redirect" and self._page:
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
            self._site.base = text
        elif name == "namespace" and text.strip():
            self._site.namespaces[text.strip().lower()] = self._namespace_key
            if self._namespace_key in (_FILE, _CATEGORY):
                self._site.link_prefixes.add(text.strip().lower())
