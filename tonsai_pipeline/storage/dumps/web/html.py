"""A fetched page -> its main text: encoding, then extraction without navigation and footers.

    bytes + HTTP charset ──decode_page──▶ HTML ──extract_text──▶ (text, title)

`trafilatura` extracts; FineWeb and FineWeb-2 chose it too (Penedo et al., 2024, arXiv:2406.17557, section
3.2: text so extracted trains better models than the text of WET files).
"""

from __future__ import annotations

import codecs
import re
from typing import Any

from tonsai_pipeline.errors import DumpError

#: Where a declared encoding is looked for, in bytes from the start: HTML asks for it in the first 1024 (WHATWG,
#: section 4.2.5.4), and pages have it behind long scripts and comments.
_DECLARATION_BYTES = 256 << 10
_META_CHARSET = re.compile(
    rb"""(?:<meta[^>]{0,500}?charset|<\?xml[^>]{0,200}?encoding)\s*=\s*["']?\s*([a-z0-9_:.-]+)""",
    re.IGNORECASE,
)
#: Browsers read these names as Windows-1252 (WHATWG Encoding, section 4.2).
_AS_WINDOWS_1252 = {"iso-8859-1", "latin-1", "latin1", "us-ascii", "ascii", "iso8859-1"}


def decode_page(data: bytes, charset: str | None) -> str:
    r"""Decode a page by byte order mark, then UTF-8, then what HTTP and the page itself declare.

    UTF-8 comes before the declarations: other encodings practically never form valid UTF-8 by chance, while
    wrong declarations are common.

    Raises:
        ValueError: No encoding that is declared fits; bytes are never dropped or guessed.

    Example:
        >>> decode_page(b"caf\xe9", "iso-8859-1"), decode_page("caf\u00e9".encode(), "iso-8859-1")
        ('café', 'café')
    """
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem: Exception = error
    declared = _META_CHARSET.search(data[:_DECLARATION_BYTES])
    for name in (charset, declared and declared.group(1).decode("ascii")):
        if not name:
            continue
        encoding = "windows-1252" if name.lower() in _AS_WINDOWS_1252 else name
        try:
            return data.decode(encoding)
        except (LookupError, UnicodeDecodeError, ValueError) as error:
            problem = error
    raise ValueError(f"no declared encoding fits: {problem}")


def extract_text(html: str) -> tuple[str, str | None]:
    """Return the main text of a page, "" if it has none, and its title.

    Raises:
        DumpError: The library that extracts is not installed.
    """
    trafilatura = load_extractor()
    tree = trafilatura.load_html(html)
    if tree is None:
        return "", None
    title = (tree.findtext(".//title") or "").strip() or None
    text = trafilatura.extract(tree, include_comments=False, include_tables=False)
    return text or "", title


def load_extractor() -> Any:
    """Import the extraction library; heavy, so only where a WARC file is read.

    Raises:
        DumpError: It is not installed.
    """
    try:
        import trafilatura
    except ImportError as error:
        raise DumpError(
            "reading WARC needs trafilatura: uv pip install trafilatura (or take the WET files)"
        ) from error
    return trafilatura
