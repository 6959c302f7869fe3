r"""The lines of a file's pages -> its text, in paragraphs, without what repeats on every page.

    pages of lines ──without headers, footers, page numbers──▶ paragraphs, over lines and pages ──▶ Text(text, font_runs, page_starts)

A line goes on where it reaches the right edge of its page's text and the next one neither is indented nor begins an article or
a list item. Khmer lines, in Unicode or in a legacy font, join without a space; others with one. A line with cells of a table
stays a line.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from tonsai_pipeline.storage.dumps.pdf.pages import Line, Page
from tonsai_pipeline.text.legacy.reflow import STARTS

#: Lines from the top and from the bottom of a page that may be headers and footers.
_EDGE_LINES = 3
#: Such a line repeats if it stands on so many pages, and on this share of them, at the same height.
_MIN_REPEATS = 3
_MIN_REPEATED_FRAC = 0.3
_SAME_HEIGHT = 6.0
#: A line reaches the right edge if less than this share of the text's width is free.
_FREE_FRAC = 0.12
_MAX_LEADING = 1.7
_ENDS = "\u17d5\u17d6"
_SENTENCE_ENDS = "\u17d4\u17d5\u17d6.!?:"
#: As `STARTS`, article, chapter, section and title in the codes of Limon and ABC.
_LEGACY_STARTS = re.compile(r"\s*(?:maRta|CMBUk|Epñk|KnßI)")
_DIGITS = re.compile("[0-9\u17e0-\u17e9]+")


@dataclass
class Text:
    """The text of a file; `font_runs` and `page_starts` as in `text.legacy.Layout`, `kept_pages` the numbers (from 1) of its pages."""

    pieces: list[str] = field(default_factory=list)
    font_runs: list[int] = field(default_factory=list)
    page_starts: list[int] = field(default_factory=list)
    num_chars: int = 0

    def add(self, text: str, fonts: Sequence[tuple[int, int]] = ()) -> None:
        """Append text whose runs begin at the given characters."""
        for start, font in fonts:
            if not self.font_runs or self.font_runs[-1] != font:
                self.font_runs += (self.num_chars + start, font)
        self.pieces.append(text)
        self.num_chars += len(text)


def lay_out(pages: Sequence[Page], is_khmer: Callable[[str, int | None], bool]) -> Text:
    """Put the pages of a file together.

    Args:
        pages: In order; a page that was refused has no lines.
        is_khmer: Tells by a character and its font whether it is written without spaces between words.
    """
    out = Text()
    repeated = _repeated(pages)
    before: Line | None = None
    edges = (0.0, 0.0, 0.0)
    for page in pages:
        lines = [
            line for line in page.lines if _key(line) not in repeated or not _at_edge(line, page)
        ]
        out_start = out.num_chars
        page_edges = _edges(lines)
        for number, line in enumerate(lines):
            goes_on = before is not None and _goes_on(before, line, edges, number == 0)
            text, fonts = line.text.rstrip(), line.fonts
            if before is not None:
                joint = _joint(before, line, is_khmer) if goes_on else "\n"
                if joint is None:
                    _drop_hyphen(out)
                    joint = ""
                out.add(joint)
            if number == 0:
                out_start = out.num_chars
            out.add(text, fonts)
            before, edges = line, page_edges
        out.page_starts.append(out_start)
    return out


def _edges(lines: Sequence[Line]) -> tuple[float, float, float]:
    """Return left and right edge of a page's text, and the usual distance of its lines."""
    if not lines:
        return 0.0, 0.0, 0.0
    rights = sorted(line.right for line in lines)
    steps = [a.top - b.top for a, b in pairwise(lines) if a.top > b.top]
    return min(line.left for line in lines), rights[len(rights) * 9 // 10], median(steps or [0.0])


def _goes_on(
    line: Line, following: Line, edges: tuple[float, float, float], is_next_page: bool
) -> bool:
    """Tell whether two lines are of one paragraph; `edges` are those of the first one's page."""
    left, right, step = edges
    end = line.text.rstrip()[-1:]
    if "\t" in line.text or "\t" in following.text or end in _ENDS or _starts(following.text):
        return False
    if line.right < right - _FREE_FRAC * (right - left) or right - left < 10 * line.size:
        return False
    if abs(line.size - following.size) > 0.15 * line.size:
        return False
    if is_next_page:
        return end not in _SENTENCE_ENDS
    is_near = 0 < line.top - following.top <= _MAX_LEADING * max(step, line.size)
    return is_near and following.left <= line.left + 1.5 * line.size


def _starts(text: str) -> bool:
    return bool(STARTS.match(text) or _LEGACY_STARTS.match(text))


def _joint(line: Line, following: Line, is_khmer: Callable[[str, int | None], bool]) -> str | None:
    """Return what stands between two lines of a paragraph; None if a hyphen at the end goes, too."""
    text, after = line.text.rstrip(), following.text
    last = line.fonts[-1][1] if line.fonts else None
    first = following.fonts[0][1] if following.fonts else None
    if text[-1:] in "-\u00ad" and len(text) > 1 and after[:1].isalpha():
        joins = is_khmer(text[-2], last) and is_khmer(after[0], first)
        if text[-1] == "\u00ad" or joins or (text[-2].islower() and after[0].islower()):
            return None
    if is_khmer(text[-1], last) and is_khmer(after[0], first):
        return "" if text == line.text else " "
    return " "


def _drop_hyphen(out: Text) -> None:
    out.pieces[-1] = out.pieces[-1][:-1]
    out.num_chars -= 1


def _key(line: Line) -> str:
    return _DIGITS.sub("#", line.text.strip())


def _at_edge(line: Line, page: Page) -> bool:
    """Tell whether a line is one of the first or last ones of its page, by height."""
    tops = sorted({one.top for one in page.lines})
    return line.top in tops[:_EDGE_LINES] or line.top in tops[-_EDGE_LINES:]


def _repeated(pages: Sequence[Page]) -> set[str]:
    """Return headers, footers and page numbers: what stands at one height at the edge of many pages."""
    seen: Counter[tuple[str, int]] = Counter()
    for page in pages:
        edge = {
            (_key(line), round(line.top / _SAME_HEIGHT))
            for line in page.lines
            if _at_edge(line, page)
        }
        seen.update(edge)
    num_pages = sum(bool(page.lines) for page in pages)
    wanted = max(_MIN_REPEATS, _MIN_REPEATED_FRAC * num_pages)
    counts: Counter[str] = Counter()
    for (key, height), num in seen.items():
        counts[key] = max(counts[key], num + seen.get((key, height + 1), 0))
    return {key for key, num in counts.items() if num >= wanted}
