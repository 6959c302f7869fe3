"""Documents with text in a legacy font -> the same in Unicode, page by page, and what was refused and why.

    (text, fonts of its runs, pages) ──what is legacy, of which family──▶ pieces ──convert, score, gate──▶ Conversion

A document without pages is one page. What is no legacy text stays as it is; nothing of a refused page is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tonsai_pipeline.text.legacy.convert import RULES_VERSION
from tonsai_pipeline.text.legacy.font_tables import FontTable, shipped_tables
from tonsai_pipeline.text.legacy.pages import Sheet, all_tables, convert_sheets
from tonsai_pipeline.text.legacy.pieces import (
    Layout,
    Piece,
    pieces_by_font,
    pieces_by_look,
    split_pages,
)
from tonsai_pipeline.text.legacy.reflow import reflow
from tonsai_pipeline.text.legacy.score import DEFAULT_GATE, Gate, Scores


@dataclass(frozen=True)
class Page:
    """One page with legacy text.

    Args:
        number: From 1.
        before: Its text as it came.
        after: Its text with what was converted; "" if it was refused.
        reason: One of `score.REFUSALS`, None if it was converted.
        scores: Of the family that fits best.
    """

    number: int
    before: str
    after: str
    reason: str | None
    scores: Scores


@dataclass(frozen=True)
class Conversion:
    """What became of a document with legacy text.

    Args:
        text: What may stay: pages without legacy text and converted ones.
        pages: Its pages with legacy text.
        counts: Codes, unknown codes, gaps closed and strokes read together, of the converted pages.
    """

    text: str
    pages: Sequence[Page]
    counts: Sequence[int]

    @property
    def families(self) -> dict[str, int]:
        """Converted pages by family."""
        return dict(Counter(page.scores.family for page in self.pages if page.reason is None))

    @property
    def refused(self) -> dict[str, int]:
        """Refused pages by reason."""
        return dict(Counter(page.reason for page in self.pages if page.reason is not None))


def convert_documents(
    texts: Sequence[str],
    layouts: Sequence[Layout | None] | None = None,
    *,
    tables: Sequence[FontTable] = (),
    gate: Gate = DEFAULT_GATE,
    keep_lines: bool = False,
) -> list[Conversion | None]:
    """Convert what of each document is in a legacy font.

    Args:
        texts: As they were extracted, before any cleaning.
        layouts: Fonts and pages, where they are known.
        tables: Tables of the user, beside the shipped ones.
        gate: What a page must be to stay.
        keep_lines: Leave lines as they are where no layout told the paragraphs; else they are put together.

    Returns:
        For each document what became of it, None if it holds no legacy text.
    """
    layouts = layouts or [None] * len(texts)
    named = [layout if layout is not None and layout.font_runs else None for layout in layouts]
    plain = [i for i, layout in enumerate(named) if layout is None]
    pieces = [
        [] if layout is None else pieces_by_font(text, layout, tables)
        for text, layout in zip(texts, named, strict=True)
    ]
    for i, found in zip(plain, pieces_by_look([texts[i] for i in plain]), strict=True):
        pieces[i] = found
    sheets = {
        i: [
            Sheet(i, number, page)
            for number, page in enumerate(split_pages(own, (layouts[i] or Layout()).page_starts), 1)
        ]
        for i, own in enumerate(pieces)
        if any(piece.family for piece in own)
    }
    convert_sheets([sheet for own in sheets.values() for sheet in own], all_tables(tables), gate)
    return [
        _conversion(sheets[i], is_reflowed=named[i] is None and not keep_lines)
        if i in sheets
        else None
        for i in range(len(texts))
    ]


def legacy_meta(found: Conversion, tables: Sequence[FontTable] = ()) -> dict[str, Any]:
    """Return what is kept with a converted document: families, tables, rules, pages and counts."""
    ids = {table.family: table.id for table in (*shipped_tables(), *tables)}
    return {
        "families": found.families,
        "tables": {family: ids[family] for family in found.families},
        "rules": RULES_VERSION,
        "num_pages_refused": sum(found.refused.values()),
        **dict(
            zip(("num_codes", "num_unknown", "num_gaps", "num_reread"), found.counts, strict=True)
        ),
    }


def _conversion(sheets: Sequence[Sheet], *, is_reflowed: bool) -> Conversion:
    """Put a document together again; lines that were no paragraphs are joined where no layout told them."""
    texts: list[str] = []
    pages: list[Page] = []
    totals = [0, 0, 0, 0]
    for sheet in sheets:
        before = "".join(piece.text for piece in sheet.pieces)
        if sheet.scores is None:
            texts.append(before)
            continue
        after = ""
        if sheet.reason is None:
            parts = {family: iter(own) for family, own in sheet.converted.items()}
            after = "".join(_after(piece, parts, is_reflowed) for piece in sheet.pieces)
            totals = [total + count for total, count in zip(totals, sheet.counts, strict=True)]
        texts.append(after)
        pages.append(Page(sheet.number, before, after, sheet.reason, sheet.scores))
    return Conversion("".join(texts), pages, totals)


def _after(piece: Piece, converted: Mapping[str, Iterator[str]], is_reflowed: bool) -> str:
    if piece.family is None:
        return piece.text
    if piece.family not in converted:
        return ""
    text = next(converted[piece.family])
    return reflow(text) if is_reflowed else text
