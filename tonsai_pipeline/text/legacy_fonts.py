r"""Texts -> the same without lines that are Khmer only in a font that is gone, or what a failed OCR left.

    text ──lines that look strange──▶ legacy | garbage | clean | unsure ──neighbours decide──▶ cut, or a reason to reject

Before Unicode, Khmer fonts (Limon, ABC) drew Khmer letters at the places of Latin ones. Extracted
from a PDF, such a line is Latin garbage: capitals inside words, letters of Latin-1, no English
words. It must be converted or cut, never trained on.

Source: the signals and their first thresholds were measured on 840 pages of Cambodian law and seven English
    collections; docs/khmer.md has the counts for what is used here.
"""

# pyarrow.compute makes its functions when it is loaded; no checker sees them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tonsai_pipeline.text.lexicon import Lexicon
from tonsai_pipeline.text.lines import Lines, split_lines
from tonsai_pipeline.text.ngrams import log_odds_of
from tonsai_pipeline.text.stop_words import ENGLISH, STOP_WORDS
from tonsai_pipeline.text.tally import BLURRED, CLUSTERS, LATIN, LATIN_WORDS, STRANGE, Tally
from tonsai_pipeline.text.utf8 import Texts, arrow_of_batch, batch_of_arrow

LEGACY_KHMER_FONT = "legacy_khmer_font"
GARBAGE_OCR = "garbage_ocr"

# Legacy text splits into short pieces at its odd letters, and some look like "as" or "no".
_MIN_CHARS_OF_ENGLISH_WORD = 3
#: A text is looked at line by line from so many strange words on, and from this share of its Latin words.
_MIN_STRANGE_WORDS = 2
_MIN_STRANGE_FRAC = 0.05
#: A line is in a legacy font from these log-odds on; those of a line of fewer letters count in proportion.
_MIN_LEGACY_LOG_ODDS = 1.5
_SURE_LEGACY_LOG_ODDS = 7.0
_LETTERS_OF_FULL_WEIGHT = 25
_MAX_ENGLISH_FRAC = 0.25
#: Where fewer of its words are strange, the log-odds must be beyond doubt.
_MIN_STRANGE_FRAC_OF_LINE = 0.2
#: Damaged lines are cut where they have so many letters together: a name of a constant is no paragraph.
_MIN_LETTERS_TO_CUT = 40
#: A line is garbage if a quarter of its words are strange, it is no English, and it has enough of both.
_MIN_GARBAGE_FRAC = 0.25
_MIN_WORDS_OF_GARBAGE = 5
_MAX_ENGLISH_FRAC_OF_GARBAGE = 0.08
_MAX_ENGLISH_LOG_ODDS_OF_GARBAGE = -2.0
#: A blurred print leaves some words whole. So it is garbage too from fewer strange words on, in a longer line that is no
#: English by its letters nor by its words (good English, a document: log-odds p1 2.3 and more, strange words p99 0.06).
_MIN_BLURRED_FRAC = 0.1
_MIN_WORDS_OF_BLURRED = 8
_MAX_ENGLISH_FRAC_OF_BLURRED = 0.2
_MAX_ENGLISH_LOG_ODDS_OF_BLURRED = 1.0
#: Where so much of a page is garbage, a line that has blurred words is too.
_MIN_GARBAGE_FRAC_OF_PAGE = 0.4
#: Between so many lines in a legacy font, a Latin line is one too unless it is English.
_MIN_LEGACY_LINES = 3
#: A line of fewer Latin letters says nothing by itself: its neighbours do.
_MIN_LETTERS_TO_JUDGE = 10
#: A line with a Khmer cluster to so many Latin letters is Khmer with names in it.
_LETTERS_PER_CLUSTER = 4
#: A text that would keep fewer letters, or a smaller share of them, is rejected whole.
_MIN_KEPT_LETTERS = 60
_MIN_KEPT_FRAC = 0.1

#: What stands in program text and in no line of a legacy font.
_CODE_MARKS = r"\(\)|\(\"| = |=>|0x|://|</|/>|\};|==|&&"
#: The same where a line is called garbage; legacy fonts have letters at the places of some of these.
_CODE_BESIDE_GARBAGE = re.compile(r"\w_\w|::|->|\);|\$\{|\w\(\w|[;{]\s*$|^\s*(?:#|//|\*)")

_UNSURE, _CLEAN, _LEGACY, _GARBAGE = range(4)
_REASONS = {_LEGACY: LEGACY_KHMER_FONT, _GARBAGE: GARBAGE_OCR}


class Undamaged(NamedTuple):
    """What is left of a batch.

    Args:
        texts: The texts, without the lines that were cut; a rejected text is whole.
        reasons: `legacy_khmer_font` or `garbage_ocr` where a text is to be rejected, else null.
        cut_lines: By reason, how many lines were cut from each text that stays; int32.
        cut_bytes: Bytes that were cut from each text that stays, int64.
    """

    texts: pa.LargeStringArray
    reasons: pa.StringArray
    cut_lines: dict[str, npt.NDArray[np.int32]]
    cut_bytes: npt.NDArray[np.int64]


def legacy_font_batch(texts: Texts) -> pa.StringArray:
    """Return for each text `legacy_khmer_font`, `garbage_ocr`, or null where it is neither for the most part.

    >>> legacy_font_batch(pa.array(["RkmrdæbEvNI énRBHraCaNacRk km<úCaqñaM 2007 CamUlRKwH"]))[
    ...     0
    ... ].as_py()
    'legacy_khmer_font'
    """
    return cut_damage_batch(texts).reasons


def cut_damage_batch(texts: Texts) -> Undamaged:
    r"""Cut damaged lines out of each text; where little would be left, say why the text is to be rejected.

    >>> above = "The law of 1993 on the budget was printed in a font that nobody has any more."
    >>> below = "What stands here again is plain English."
    >>> page = "\n".join((above, "RkmrdæbEvNI énRBHraCaNacRk km<úCaqñaM CamUlRKwH", below))
    >>> cut_damage_batch(pa.array([page])).texts[0].as_py() == f"{above}\n{below}"
    True
    """
    return cut_damage(texts)


def cut_damage(texts: Texts, tally: Tally | None = None) -> Undamaged:
    """Do what `cut_damage_batch` does; `tally` is what was counted in the texts, if it is known."""
    kept = texts.cast(pa.large_string())
    cut_lines = {reason: np.zeros(len(texts), np.int32) for reason in _REASONS.values()}
    cut_bytes = np.zeros(len(texts), np.int64)
    found = find_damage(texts, tally)
    reasons = np.full(len(texts), None, dtype=object)
    for code, reason in _REASONS.items():
        reasons[found.rows[found.rejected == code]] = reason
        cut_lines[reason][found.rows] = found.lines.sums(found.is_cut & (found.verdicts == code))
    sizes = found.lines.ends - found.lines.starts
    cut_bytes[found.rows] = found.lines.sums(sizes * found.is_cut)
    if cut_bytes.any():
        body = kept.to_pylist()
        for row, mine in zip(
            found.rows.tolist(), pairwise(found.lines.firsts.tolist()), strict=True
        ):
            if cut_bytes[row]:
                marks = found.is_cut[slice(*mine)].tolist()
                left = zip(body[row].split("\n"), marks, strict=True)
                body[row] = "\n".join(line for line, is_cut in left if not is_cut)
        kept = pa.array(body, pa.large_string())
    return Undamaged(kept, pa.array(reasons, pa.string()), cut_lines, cut_bytes)


class LineSigns(NamedTuple):
    """What is measured of each line; one entry a line.

    Args:
        words: Words in Latin letters.
        strange: Those that no language writes (`strange_words`).
        letters: Latin letters.
        clusters: Khmer ones.
        blurred: Strange words as a failed OCR leaves them.
        english: Frequent English words.
        english_odds: Log-odds of English by its letters, 0 where they are too few.
        legacy_odds: Likewise of a legacy font.
    """

    words: npt.NDArray[np.int64]
    strange: npt.NDArray[np.int64]
    letters: npt.NDArray[np.int64]
    clusters: npt.NDArray[np.int64]
    blurred: npt.NDArray[np.int64]
    english: npt.NDArray[np.int32]
    english_odds: npt.NDArray[np.float64]
    legacy_odds: npt.NDArray[np.float64]


class Damage(NamedTuple):
    """Where texts are damaged.

    Args:
        rows: Texts that have damaged lines to be cut, or are rejected.
        lines: Their lines.
        signs: What was measured of these.
        verdicts: On each line, a code.
        is_cut: Lines to be cut, none of a rejected text.
        rejected: The verdict for which a text is rejected, else 0; shape (num_rows,).
    """

    rows: npt.NDArray[np.int64]
    lines: Lines
    signs: LineSigns
    verdicts: npt.NDArray[np.int64]
    is_cut: npt.NDArray[np.bool_]
    rejected: npt.NDArray[np.int64]


def find_damage(texts: Texts, tally: Tally | None = None) -> Damage:
    """Judge the lines of the texts that have strange words; `tally` is what was counted in the texts, if it is known."""
    rows, lines, by_line = _suspects(texts, tally)
    signs = _measure(lines, by_line)
    verdicts = _ask_pages(lines, signs, *_judge_lines(lines, signs))
    is_bad = verdicts >= _LEGACY
    size = signs.letters + signs.clusters
    all_of, bad_of = lines.sums(size), lines.sums(size * is_bad)
    legacy_of = lines.sums(size * (verdicts == _LEGACY))
    is_touched = (lines.sums(is_bad) > 0) & (bad_of >= np.minimum(_MIN_LETTERS_TO_CUT, all_of))
    is_lost = all_of - bad_of < np.maximum(_MIN_KEPT_LETTERS, _MIN_KEPT_FRAC * all_of)
    why = np.where(legacy_of >= bad_of - legacy_of, _LEGACY, _GARBAGE)
    rejected = np.where(is_touched & is_lost, why, 0)
    is_cut = is_bad & (is_touched & ~is_lost)[lines.text_of()]
    return Damage(rows, lines, signs, verdicts, is_cut, rejected)


# --- lines --------------------------------------------------------------------------------------


def _suspects(texts: Texts, tally: Tally | None) -> tuple[npt.NDArray[np.int64], Lines, Tally]:
    """Return the texts with strange words, their lines, and what was counted in each line.

    Where nothing was counted in the texts yet, it is the sum of their lines: no unit goes on behind a line feed.
    """
    if tally is not None:
        rows = _strange_rows(tally.of(LATIN_WORDS), tally.of(STRANGE))
        lines = split_lines(batch_of_arrow(texts.take(pa.array(rows))))
        return rows, lines, _lexicon().tally(lines.batch)
    lines = split_lines(batch_of_arrow(texts))
    by_line = _lexicon().tally(lines.batch)
    rows = _strange_rows(*(lines.sums(by_line.of(what)) for what in (LATIN_WORDS, STRANGE)))
    if len(rows) < len(texts):
        is_mine = np.isin(lines.text_of(), rows)
        by_line = Tally(by_line.counts[is_mine], by_line.listed[is_mine])
        lines = split_lines(batch_of_arrow(texts.take(pa.array(rows))))
    return rows, lines, by_line


def _strange_rows(
    words: npt.NDArray[np.int64], strange: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    return np.flatnonzero((strange >= _MIN_STRANGE_WORDS) & (strange >= _MIN_STRANGE_FRAC * words))


def _measure(lines: Lines, tally: Tally) -> LineSigns:
    is_long = tally.of(LATIN) >= _MIN_LETTERS_TO_JUDGE
    english_odds, legacy_odds = log_odds_of(("english", "legacy"), lines.batch, is_long)
    return LineSigns(
        words=tally.of(LATIN_WORDS),
        strange=tally.of(STRANGE),
        letters=tally.of(LATIN),
        clusters=tally.of(CLUSTERS),
        blurred=tally.of(BLURRED),
        english=tally.listed[:, 0],
        english_odds=english_odds,
        legacy_odds=legacy_odds,
    )


def _judge_lines(lines: Lines, signs: LineSigns) -> tuple[npt.NDArray[Any], ...]:
    """Return the verdict on each line by itself, whether it is English, Khmer or code, and whether it has blurred words."""
    words, strange, latin, khmer, blurred = signs[:5]
    judged = (latin >= _MIN_LETTERS_TO_JUDGE) & (latin > _LETTERS_PER_CLUSTER * khmer)
    english = signs.english / np.maximum(words, 1)
    legacy_odds = signs.legacy_odds * np.minimum(latin / _LETTERS_OF_FULL_WEIGHT, 1.0)
    english_odds = np.where(judged, signs.english_odds, 0.0)
    is_strange = strange >= np.maximum(1, _MIN_STRANGE_FRAC_OF_LINE * words)
    limit = np.where(is_strange, _MIN_LEGACY_LOG_ODDS, _SURE_LEGACY_LOG_ODDS)
    legacy = judged & (legacy_odds > limit) & (english < _MAX_ENGLISH_FRAC) & (english_odds < 0)
    garbage = judged & (words >= _MIN_WORDS_OF_GARBAGE) & (strange >= _MIN_GARBAGE_FRAC * words)
    garbage &= english < _MAX_ENGLISH_FRAC_OF_GARBAGE
    garbage &= english_odds < _MAX_ENGLISH_LOG_ODDS_OF_GARBAGE
    smudged = judged & (words >= _MIN_WORDS_OF_BLURRED) & (blurred >= _MIN_BLURRED_FRAC * words)
    smudged &= english < _MAX_ENGLISH_FRAC_OF_BLURRED
    smudged &= english_odds < _MAX_ENGLISH_LOG_ODDS_OF_BLURRED
    verdicts = np.where(judged | (khmer >= 2), _CLEAN, _UNSURE)
    verdicts[garbage | smudged] = _GARBAGE
    verdicts[legacy] = _LEGACY
    code = _code_lines(lines, verdicts)
    verdicts[code & (verdicts >= _LEGACY)] = _CLEAN
    spoken = code | (khmer > latin) | (english_odds > 0) | (english >= _MAX_ENGLISH_FRAC)
    doubtful = ~code & judged & (blurred >= np.maximum(1, _MIN_STRANGE_FRAC * words))
    return verdicts, spoken, doubtful


def _code_lines(lines: Lines, verdicts: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    texts = arrow_of_batch(lines.batch, pa.nulls(0))
    code = np.array(
        pc.match_substring_regex(texts, _CODE_MARKS).to_numpy(zero_copy_only=False), bool
    )
    for row in np.flatnonzero((verdicts == _GARBAGE) & ~code).tolist():
        code[row] = _CODE_BESIDE_GARBAGE.search(texts[row].as_py()) is not None
    return code


def _ask_pages(
    lines: Lines,
    signs: LineSigns,
    verdicts: npt.NDArray[np.int64],
    spoken: npt.NDArray[np.bool_],
    doubtful: npt.NDArray[np.bool_],
) -> npt.NDArray[np.int64]:
    """Let the other lines of its page decide about a line that by itself is clean or unsure."""
    page, size = lines.text_of(), signs.letters + signs.clusters
    is_legacy = (lines.sums(verdicts == _LEGACY) >= _MIN_LEGACY_LINES)[page]
    verdicts = np.where(is_legacy & (verdicts == _CLEAN) & ~spoken, _LEGACY, verdicts)
    num_garbage = lines.sums(size * (verdicts == _GARBAGE))
    is_garbage = (num_garbage >= _MIN_GARBAGE_FRAC_OF_PAGE * lines.sums(size))[page]
    verdicts = np.where(is_garbage & (verdicts == _CLEAN) & doubtful, _GARBAGE, verdicts)
    return _ask_neighbours(page, verdicts)


def _ask_neighbours(
    page: npt.NDArray[np.int64], verdicts: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Give each unsure line the verdict of the sure lines around it where both are damaged; else it is clean."""
    sure = np.flatnonzero(verdicts != _UNSURE)
    if not len(sure):
        return verdicts
    after = np.searchsorted(sure, np.arange(len(verdicts)))
    above, below = sure[np.maximum(after - 1, 0)], sure[np.minimum(after, len(sure) - 1)]
    # At the ends of a page the one sure neighbour speaks for both.
    has_above, has_below = page[above] == page, page[below] == page
    above, below = np.where(has_above, above, below), np.where(has_below, below, above)
    both = (verdicts[above] >= _LEGACY) & (verdicts[below] >= _LEGACY)
    between = np.where(both, verdicts[above], _CLEAN)
    return np.where((verdicts == _UNSURE) & (has_above | has_below), between, verdicts)


@cache
def _lexicon() -> Lexicon:
    words = [word for word in STOP_WORDS[ENGLISH] if len(word) >= _MIN_CHARS_OF_ENGLISH_WORD]
    return Lexicon({ENGLISH: words})
