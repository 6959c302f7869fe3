"""Documents -> the pieces of their pages: which text is in a legacy font, and of which family as far as names tell.

    text, fonts of its runs     ──pieces_by_font──┐
    text whose fonts nobody knows ──pieces_by_look──┴▶ pieces ──split_pages──▶ pieces of each page

Where fonts are named (PDF), they say what is legacy; text of a font whose name says nothing is legacy if it looks so. Without
fonts, lines that look so are (`text.legacy_fonts`), but for the English and Khmer ones among them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tonsai_pipeline.text.legacy.font_tables import FontTable, family_of_font
from tonsai_pipeline.text.legacy_fonts import Damage, find_damage, legacy_font_batch
from tonsai_pipeline.text.utf8 import batch_of_arrow

#: The family of a piece that no font name tells.
UNKNOWN = "?"
#: A line with this share of frequent English words is English.
_MIN_ENGLISH_FRAC = 0.3
#: Characters of a font whose look is judged.
_LOOK_CHARS = 4000
_SYMBOL = re.compile("[\uf020-\uf0ff]")
_FIRST_OF_SYMBOL = 0xEF


class Layout(NamedTuple):
    """How a document was set, as a reader of PDFs found it.

    Args:
        fonts: Names of its fonts.
        font_runs: Where runs of one font begin and their font, flat: (start, font, start, font, ...); characters.
        page_starts: Where its pages begin, in characters.
    """

    fonts: Sequence[str] = ()
    font_runs: Sequence[int] = ()
    page_starts: Sequence[int] = (0,)


class Piece(NamedTuple):
    """A stretch of a document; `family` is None where it stays as it is."""

    text: str
    family: str | None


def looks_legacy(text: str) -> bool:
    """Tell whether what is set in a font looks like codes of a legacy one."""
    sample = _undo_symbols(text[:_LOOK_CHARS])
    return legacy_font_batch(pa.array([sample], pa.large_string()))[0].as_py() is not None


def split_pages(pieces: Sequence[Piece], page_starts: Sequence[int]) -> list[list[Piece]]:
    """Cut pieces where pages begin; a page may have none."""
    pages: list[list[Piece]] = [[] for _ in page_starts]
    page, start = 0, 0
    for text, family in pieces:
        at, end = start, start + len(text)
        while at < end:
            while page + 1 < len(pages) and page_starts[page + 1] <= at:
                page += 1
            stop = min(end, page_starts[page + 1]) if page + 1 < len(pages) else end
            pages[page].append(Piece(text[at - start : stop - start], family))
            at = stop
        start = end
    return pages


# --- by name ------------------------------------------------------------------------------------


def pieces_by_font(text: str, layout: Layout, tables: Sequence[FontTable] = ()) -> list[Piece]:
    """Cut a text where the family of its fonts changes; spaces of another font between two runs are of both."""
    starts, fonts = layout.font_runs[::2], layout.font_runs[1::2]
    ends = [*starts[1:], len(text)]
    families = _families(text, layout, tables)
    spans: list[tuple[int, str | None]] = [(0, None)] if starts[0] else []
    for start, end, font in zip(starts, ends, fonts, strict=True):
        family = families[font]
        if not spans or (spans[-1][1] != family and text[start:end].strip()):
            spans.append((start, family))
    borders = [*(start for start, _ in spans), len(text)]
    return [
        Piece(text[start:end], family)
        for (start, end), (_, family) in zip(pairwise(borders), spans, strict=True)
        if end > start
    ]


def _families(text: str, layout: Layout, tables: Sequence[FontTable]) -> list[str | None]:
    """Return the family of each font by its name, else by the look of what is set in it."""
    families = [family_of_font(name, tables) for name in layout.fonts]
    samples = ["" for _ in families]
    starts = layout.font_runs[::2]
    for start, end, font in zip(
        starts, [*starts[1:], len(text)], layout.font_runs[1::2], strict=True
    ):
        if families[font] is None and len(samples[font]) < _LOOK_CHARS:
            samples[font] += text[start : min(end, start + _LOOK_CHARS)]
    return [
        family or (UNKNOWN if sample and looks_legacy(sample) else None)
        for family, sample in zip(families, samples, strict=True)
    ]


# --- by look ------------------------------------------------------------------------------------


def pieces_by_look(texts: Sequence[str]) -> list[list[Piece]]:
    """Cut texts whose fonts nobody knows into lines that look legacy and others."""
    array = pa.array(texts, pa.large_string())
    # No symbol font without the first byte of U+F000.
    if _FIRST_OF_SYMBOL in batch_of_arrow(array).data:
        array = pa.array([_undo_symbols(text) for text in texts], pa.large_string())
    found = find_damage(array)
    lines, is_lost = found.lines, found.rejected > 0
    is_legacy = (found.is_cut | is_lost[lines.text_of()]) & ~_is_spoken(found)
    is_legacy = _with_blank_lines(found, is_legacy)
    is_new = np.append(True, is_legacy[1:] != is_legacy[:-1])[: len(is_legacy)]
    is_new[lines.firsts[:-1]] = True
    # A line feed between two pieces belongs to the second one.
    begins = np.flatnonzero(is_new)
    borders = lines.starts[begins] - ~np.isin(begins, lines.firsts[:-1])
    kinds = [UNKNOWN if is_one else None for is_one in is_legacy[begins].tolist()]
    pieces = [[Piece(text, None)] for text in texts]
    spans = np.searchsorted(begins, lines.firsts)
    for number in np.flatnonzero(is_lost | (lines.sums(found.is_cut) > 0)).tolist():
        first, last = spans[number : number + 2].tolist()
        cuts = [*borders[first:last].tolist(), int(lines.ends[lines.firsts[number + 1] - 1])]
        pieces[found.rows[number]] = [
            Piece(lines.data[start:end].tobytes().decode(), kind)
            for (start, end), kind in zip(pairwise(cuts), kinds[first:last], strict=True)
        ]
    return pieces


def _is_spoken(found: Damage) -> npt.NDArray[np.bool_]:
    """Tell the lines that are English or Khmer."""
    signs = found.signs
    is_english = (signs.english >= _MIN_ENGLISH_FRAC * signs.words) & (signs.english > 0)
    return (signs.clusters > signs.letters) | (signs.english_odds > 0) | is_english


def _with_blank_lines(found: Damage, is_legacy: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Make blank lines of the kind above."""
    lines = found.lines
    is_blank = (found.signs.words == 0) & (found.signs.clusters == 0)
    for row in np.flatnonzero(is_blank & (lines.ends > lines.starts)).tolist():
        is_blank[row] = (
            not lines.data[lines.starts[row] : lines.ends[row]].tobytes().decode().strip()
        )
    is_blank[lines.firsts[:-1]] = False
    rows = np.where(is_blank, 0, np.arange(len(is_blank)))
    return is_legacy[np.maximum.accumulate(rows)]


def _undo_symbols(text: str) -> str:
    """Write the codes of a symbol font as the Latin letters that they are elsewhere."""
    return text.translate(_symbols()) if _SYMBOL.search(text) else text


@cache
def _symbols() -> dict[int, str]:
    return {
        0xF000 + code: bytes([code]).decode("cp1252", "ignore") or " "
        for code in range(0x20, 0x100)
    }
