"""A PDF -> its pages as lines of text, in content order, with the font of each run and the place on the page.

    PDF ──pdfium──▶ Page(lines: Line(text, fonts, left, right, top, size))

Content order is the order in which a program wrote the text. Sorting by place, as for people who look at a page, tears the
overlapping glyphs of legacy fonts apart: it damages half of such pages.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any, NamedTuple

#: A gap of so many font sizes inside a line stands between two cells of a table.
_CELL_GAP = 2.0
#: pdfium's marks of a hyphen at a line's end.
_HYPHENS = (0x02, 0xFFFE)
#: More characters on a page are no text.
MAX_PAGE_CHARS = 1_000_000


class Line(NamedTuple):
    """A printed line.

    Args:
        text: Its characters; cells of a table are apart by a tab.
        fonts: (first character, font) of each run; fonts are numbered over the whole file.
        left: Place on the page, in points from its left, as `right`.
        right: See `left`.
        top: In points from the page's bottom, as `bottom`.
        bottom: See `top`.
        size: Of the font, in points.
    """

    text: str
    fonts: list[tuple[int, int]]
    left: float
    right: float
    top: float
    bottom: float
    size: float


class Page(NamedTuple):
    """A page's lines, and its size in points; `has_images` tells a scanned page from an empty one, `is_damaged` one that cannot be read."""

    lines: list[Line]
    width: float
    height: float
    has_images: bool
    is_damaged: bool = False


def read_pages(document: Any, fonts: dict[str, int]) -> Iterator[Page]:
    """Read an opened `pypdfium2.PdfDocument` page by page.

    Args:
        document: The file.
        fonts: Gets the names of the fonts met, numbered.
    """
    from pypdfium2 import PdfiumError

    for index in range(len(document)):
        try:
            page = document[index]
        except PdfiumError:
            yield Page([], 0.0, 0.0, has_images=False, is_damaged=True)
            continue
        try:
            yield _read_page(page, fonts)
        except PdfiumError:
            yield Page([], 0.0, 0.0, has_images=False, is_damaged=True)
        finally:
            page.close()


def _read_page(page: Any, fonts: dict[str, int]) -> Page:
    import pypdfium2.raw as pdfium

    text_page = page.get_textpage()
    try:
        num_chars = min(text_page.count_chars(), MAX_PAGE_CHARS)
        lines = list(_lines(text_page.raw, num_chars, fonts))
        has_images = not lines and any(True for _ in page.get_objects([pdfium.FPDF_PAGEOBJ_IMAGE]))
        return Page(lines, page.get_width(), page.get_height(), has_images)
    finally:
        text_page.close()


def _lines(text_page: Any, num_chars: int, fonts: dict[str, int]) -> Iterator[Line]:
    import pypdfium2.raw as pdfium

    names: dict[int, int] = {}  # pdfium's font -> our number
    first = 0
    for at in range(num_chars + 1):
        code = 0x0A if at == num_chars else pdfium.FPDFText_GetUnicode(text_page, at)
        if code in (0x0A, 0x0D):
            line = _line(text_page, first, at, fonts, names)
            if line is not None:
                yield line
            first = at + 1


def _line(
    text_page: Any, first: int, last: int, fonts: dict[str, int], names: dict[int, int]
) -> Line | None:
    """Make a line of the characters from `first` to before `last`; None if it is blank."""
    import pypdfium2.raw as pdfium

    pieces: list[str] = []
    runs: list[tuple[int, int]] = []
    box = _Box()
    right_before = size = 0.0
    num_chars = 0
    for at in range(first, last):
        code = pdfium.FPDFText_GetUnicode(text_page, at)
        is_blank = code in (0x20, 0xA0, 0x09)
        if not is_blank:
            left, right, bottom, top = _char_box(text_page, at)
            size = size or pdfium.FPDFText_GetFontSize(text_page, at) or 1.0
            size = max(size, top - bottom) if num_chars == 0 else size
            if right_before and left - right_before > _CELL_GAP * size and num_chars:
                num_chars -= len(pieces[-1]) if pieces[-1].isspace() else 0
                pieces = pieces[:-1] if pieces[-1].isspace() else pieces
                pieces.append("\t")
                num_chars += 1
            right_before = right
            box.add(left, right, bottom, top)
            font = _font(text_page, at, fonts, names)
            if font is not None and (not runs or runs[-1][1] != font):
                runs.append((num_chars if runs else 0, font))
        char = "-" if code in _HYPHENS else chr(code) if code <= 0x10FFFF else "\ufffd"
        pieces.append(char)
        num_chars += 1
    text = "".join(pieces)
    if not text.strip():
        return None
    return Line(text, runs, box.left, box.right, box.top, box.bottom, size)


class _Box:
    """The smallest rectangle around what was added."""

    def __init__(self) -> None:
        self.left, self.right, self.bottom, self.top = 1e9, -1e9, 1e9, -1e9

    def add(self, left: float, right: float, bottom: float, top: float) -> None:
        self.left, self.right = min(self.left, left), max(self.right, right)
        self.bottom, self.top = min(self.bottom, bottom), max(self.top, top)


def _char_box(text_page: Any, at: int) -> tuple[float, float, float, float]:
    import pypdfium2.raw as pdfium

    box = pdfium.FS_RECTF()
    pdfium.FPDFText_GetLooseCharBox(text_page, at, box)
    return box.left, box.right, box.bottom, box.top


def _font(text_page: Any, at: int, fonts: dict[str, int], names: dict[int, int]) -> int | None:
    import pypdfium2.raw as pdfium

    text_object = pdfium.FPDFText_GetTextObject(text_page, at)
    font = pdfium.FPDFTextObj_GetFont(text_object) if text_object else None
    if not font:
        return None
    key = ctypes.addressof(font.contents)
    if key not in names:
        buffer = ctypes.create_string_buffer(256)
        pdfium.FPDFFont_GetBaseFontName(font, buffer, len(buffer))
        name = buffer.value.decode("utf-8", "replace")
        names[key] = fonts.setdefault(name, len(fonts))
    return names[key]
