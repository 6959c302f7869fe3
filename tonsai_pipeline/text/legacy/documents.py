"""Documents with text in a legacy font -> the same in Unicode, page by page, and what was refused and why.

    (text, fonts of its runs, pages) ──what is legacy, of which family──▶ pieces ──convert, score, gate──▶ Conversion

Where fonts are named (PDF), they say what is legacy; text of a font whose name says nothing is legacy if it looks so. Without
fonts, lines that look so are (`text.legacy_fonts`), but for the English and Khmer ones among them. A document without pages is
one page. What is no legacy text stays as it is; nothing of a refused page is kept.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import pyarrow as pa

from tonsai_pipeline.text.legacy.convert import RULES_VERSION, convert_batch
from tonsai_pipeline.text.legacy.font_tables import FontTable, family_of_font, shipped_tables
from tonsai_pipeline.text.legacy.reflow import reflow
from tonsai_pipeline.text.legacy.score import DEFAULT_GATE, Gate, Scores, score_batch
from tonsai_pipeline.text.legacy_fonts import count_words, cut_damage_batch, legacy_font_batch
from tonsai_pipeline.text.lexicon import Lexicon
from tonsai_pipeline.text.ngrams import ngram_log_odds
from tonsai_pipeline.text.stop_words import ENGLISH, STOP_WORDS
from tonsai_pipeline.text.utf8 import batch_of_arrow

#: A line with this share of frequent English words is English.
_MIN_ENGLISH_FRAC = 0.3
#: A line of fewer letters has too few n-grams to be English by.
_MIN_LETTERS_TO_JUDGE = 10
#: Characters of a font whose look is judged.
_LOOK_CHARS = 4000
#: A page may hold so much text of a family without a table; that text is left out.
_MAX_STRAY_FRAC = 0.02
#: Stands between the pieces of a page while they are converted together; no text keeps it.
_BETWEEN = "\x1e"
#: The family of a piece that no font name tells.
_UNKNOWN = "?"
_SYMBOL = re.compile("[\uf020-\uf0ff]")


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
    known = (*tables, *(t for t in shipped_tables() if t.family not in {u.family for u in tables}))
    layouts = layouts or [None] * len(texts)
    marked: list[list[_Piece]] = [[] for _ in texts]
    plain = [i for i, layout in enumerate(layouts) if layout is None or not layout.font_runs]
    for i, pieces in zip(plain, _pieces_by_look([texts[i] for i in plain]), strict=True):
        marked[i] = pieces
    for i, layout in enumerate(layouts):
        if layout is not None and layout.font_runs:
            marked[i] = _pieces_by_font(texts[i], layout, tables)
    sheets = [
        _Sheet(i, number, pieces)
        for i, pieces in enumerate(marked)
        if any(piece.family for piece in pieces)
        for number, pieces in enumerate(_split_pages(pieces, layouts[i]), 1)
    ]
    _convert_sheets(sheets, known, gate)
    found: list[Conversion | None] = [None] * len(texts)
    by_document: dict[int, list[_Sheet]] = {}
    for sheet in sheets:
        by_document.setdefault(sheet.document, []).append(sheet)
    for i, mine in by_document.items():
        has_lines = layouts[i] is None or not layouts[i].font_runs  # pyright: ignore[reportOptionalMemberAccess]
        found[i] = _conversion(mine, has_lines and not keep_lines)
    return found


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


# --- what is legacy -----------------------------------------------------------------------------


class _Piece(NamedTuple):
    """A stretch of a document; `family` is None where it stays as it is."""

    text: str
    family: str | None


def _pieces_by_look(texts: Sequence[str]) -> list[list[_Piece]]:
    """Cut texts whose fonts nobody knows into lines that look legacy and others."""
    undone = [_undo_symbols(text) for text in texts]
    seen = cut_damage_batch(pa.array(undone, pa.large_string()))
    kept, reasons = seen.texts.to_pylist(), seen.reasons.to_pylist()
    suspects = [i for i, text in enumerate(undone) if reasons[i] or kept[i] != text]
    lines = [undone[i].split("\n") for i in suspects]
    stays = _stays([line for page in lines for line in page])
    at = 0
    pieces = [[_Piece(text, None)] for text in texts]
    for i, page in zip(suspects, lines, strict=True):
        mine, at = stays[at : at + len(page)], at + len(page)
        left = iter([]) if reasons[i] else iter(kept[i].split("\n"))
        following = next(left, None)
        marks = []
        for line, is_clean in zip(page, mine, strict=True):
            was_kept = following is not None and line == following
            following = next(left, None) if was_kept else following
            marks.append(None if was_kept or is_clean else _UNKNOWN)
        pieces[i] = _joined(list(zip(page, marks, strict=True)))
    return pieces


def _joined(lines: Sequence[tuple[str, str | None]]) -> list[_Piece]:
    """Put neighbours of one kind together; blank lines are of the kind above."""
    pieces: list[_Piece] = []
    for number, (line, family) in enumerate(lines):
        text = line if number == 0 else "\n" + line
        if pieces and (pieces[-1].family == family or not line.strip()):
            pieces[-1] = _Piece(pieces[-1].text + text, pieces[-1].family)
        else:
            pieces.append(_Piece(text, family))
    return pieces


def _stays(lines: Sequence[str]) -> list[bool]:
    """Tell the lines that are English, Khmer, or without letters."""
    batch = batch_of_arrow(pa.array(lines, pa.large_string()))
    words, _, letters, khmer = count_words(batch).T[:4]
    english = _english().count_in(batch)[:, 0]
    judged = letters >= _MIN_LETTERS_TO_JUDGE
    spoken = (ngram_log_odds("english", batch, judged) > 0) & judged
    spoken |= (english >= _MIN_ENGLISH_FRAC * words) & (english > 0)
    return ((khmer > letters) | spoken).tolist()


@cache
def _english() -> Lexicon:
    return Lexicon({ENGLISH: [word for word in STOP_WORDS[ENGLISH] if len(word) > 2]})


def _pieces_by_font(text: str, layout: Layout, tables: Sequence[FontTable]) -> list[_Piece]:
    starts, fonts = layout.font_runs[::2], layout.font_runs[1::2]
    runs = [
        (text[start:end], font)
        for start, end, font in zip(starts, [*starts[1:], len(text)], fonts, strict=True)
    ]
    families = [_family(number, name, runs, tables) for number, name in enumerate(layout.fonts)]
    pieces: list[_Piece] = [_Piece(text[: starts[0]], None)] if starts[0] else []
    for run, font in runs:
        family = families[font]
        # Spaces of another font between two runs are spaces of both.
        is_blank = not run.strip()
        if pieces and (is_blank or pieces[-1].family == family):
            pieces[-1] = _Piece(pieces[-1].text + run, pieces[-1].family)
        else:
            pieces.append(_Piece(run, family))
    return pieces


def _family(
    number: int, name: str, runs: Sequence[tuple[str, int]], tables: Sequence[FontTable]
) -> str | None:
    """Return a font's family by its name, else by the look of what is set in it."""
    if (family := family_of_font(name, tables)) is not None:
        return family
    return _UNKNOWN if looks_legacy("".join(run for run, font in runs if font == number)) else None


def score_families(text: str, tables: Sequence[FontTable] = ()) -> list[Scores]:
    """Convert a text with every table; return the scores, the best family first."""
    known = (*tables, *(t for t in shipped_tables() if t.family not in {u.family for u in tables}))
    texts = pa.array([text], pa.large_string())
    scores = [score_batch(*convert_batch(texts, table), table.family)[1][0] for table in known]
    return sorted(scores, key=lambda one: -one.total)


def looks_legacy(text: str) -> bool:
    """Tell whether what is set in a font looks like codes of a legacy one."""
    sample = _undo_symbols(text[:_LOOK_CHARS])
    return legacy_font_batch(pa.array([sample], pa.large_string()))[0].as_py() is not None


def _undo_symbols(text: str) -> str:
    """Write the codes of a symbol font as the Latin letters that they are elsewhere."""
    return text.translate(_symbols()) if _SYMBOL.search(text) else text


@cache
def _symbols() -> dict[int, str]:
    return {
        0xF000 + code: bytes([code]).decode("cp1252", "ignore") or " "
        for code in range(0x20, 0x100)
    }


# --- pages --------------------------------------------------------------------------------------


@dataclass
class _Sheet:
    """A page on its way: its pieces, and what they become by family."""

    document: int
    number: int
    pieces: list[_Piece]
    converted: dict[str, list[str]] | None = None
    reason: str | None = None
    scores: Scores | None = None
    counts: Sequence[int] = (0, 0, 0, 0)

    def codes(self, family: str) -> str:
        """Return what is to be converted together."""
        return _BETWEEN.join(
            piece.text.replace(_BETWEEN, " ") for piece in self.pieces if piece.family == family
        )

    @property
    def families(self) -> list[str]:
        return list(dict.fromkeys(piece.family for piece in self.pieces if piece.family))


def _split_pages(pieces: list[_Piece], layout: Layout | None) -> list[list[_Piece]]:
    borders = list(layout.page_starts[1:]) if layout else []
    pages: list[list[_Piece]] = [[]]
    at = 0
    for text, family in pieces:
        rest = text
        while borders and at + len(rest) >= borders[0]:
            cut = borders.pop(0) - at
            pages[-1].append(_Piece(rest[:cut], family))
            pages.append([])
            rest, at = rest[cut:], at + cut
        pages[-1].append(_Piece(rest, family))
        at += len(rest)
    return pages


def _convert_sheets(sheets: Sequence[_Sheet], tables: Sequence[FontTable], gate: Gate) -> None:
    """Convert every page by the table its fonts name, the others by the table that fits best."""
    named = {table.family: table for table in tables}
    jobs: dict[str, list[tuple[_Sheet, str]]] = {family: [] for family in named}
    for sheet in sheets:
        for family in sheet.families:
            for name in named if family == _UNKNOWN else {family} & named.keys():
                jobs[name].append((sheet, family))
    results: dict[tuple[int, str], list[_Result]] = {}
    for name, wanted in jobs.items():
        if not wanted:
            continue
        texts = pa.array([sheet.codes(family) for sheet, family in wanted], pa.large_string())
        raw, counts = convert_batch(texts, named[name])
        done, scores = score_batch(raw, counts, name)
        for (sheet, family), text, score, count in zip(
            wanted, done.to_pylist(), scores, counts.tolist(), strict=True
        ):
            results.setdefault((id(sheet), family), []).append(_Result(text, score, count))
    usual: dict[int, Counter[str]] = {}
    for is_second_try in (False, True):
        for sheet in sheets:
            if is_second_try and sheet.reason not in ("legacy_too_short", "legacy_family_unclear"):
                continue
            _judge(sheet, results, gate, usual.get(sheet.document) if is_second_try else None)
            if not is_second_try and sheet.reason is None and sheet.scores is not None:
                usual.setdefault(sheet.document, Counter())[sheet.scores.family] += 1


class _Result(NamedTuple):
    text: str
    scores: Scores
    counts: list[int]


def _judge(
    sheet: _Sheet,
    results: Mapping[tuple[int, str], list[_Result]],
    gate: Gate,
    usual: Counter[str] | None,
) -> None:
    """Choose each family's best conversion, and pass or refuse the page.

    Args:
        sheet: The page.
        results: What each family's pieces became with each table.
        gate: What a page must be.
        usual: Families of the document's other pages, for a page that is too short to tell its own.
    """
    sheet.converted, sheet.reason, sheet.scores = {}, None, None
    sizes = {family: len(sheet.codes(family)) for family in sheet.families}
    for family in sheet.families:
        tried = sorted(results.get((id(sheet), family), []), key=lambda one: -one.scores.total)
        if usual:
            tried = [one for one in tried if one.scores.family == usual.most_common(1)[0][0]]
        if not tried:
            if sizes[family] > _MAX_STRAY_FRAC * sum(sizes.values()):
                sheet.reason = sheet.reason or "legacy_no_table"
                sheet.scores = sheet.scores or Scores(family, 0, 0.0, 0.0, 0.0)
            continue
        best = tried[0]
        second = tried[1].scores if family == _UNKNOWN and len(tried) > 1 else None
        reason = gate.reason(best.scores, second) if best.scores.num_clusters else None
        sheet.reason = sheet.reason or reason
        if sheet.scores is None or best.scores.num_clusters > sheet.scores.num_clusters:
            sheet.scores, sheet.counts = best.scores, best.counts
        sheet.converted[family] = best.text.split(_BETWEEN)


def _conversion(sheets: Sequence[_Sheet], has_lines: bool) -> Conversion:
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
            converted = {family: iter(parts) for family, parts in (sheet.converted or {}).items()}
            after = "".join(_after(piece, converted, has_lines) for piece in sheet.pieces)
            totals = [total + count for total, count in zip(totals, sheet.counts, strict=True)]
        texts.append(after)
        pages.append(Page(sheet.number, before, after, sheet.reason, sheet.scores))
    return Conversion("".join(texts), pages, totals)


def _after(piece: _Piece, converted: Mapping[str, Any], has_lines: bool) -> str:
    if piece.family is None:
        return piece.text
    if piece.family not in converted:
        return ""
    text = next(converted[piece.family])
    return reflow(text) if has_lines else text
