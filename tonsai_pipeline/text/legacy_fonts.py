r"""Texts -> the same without lines that are Khmer only in a font that is gone, or what a failed OCR left.

    text ──lines that look strange──▶ legacy | garbage | clean | unsure ──neighbours decide──▶ cut, or a reason to reject

Before Unicode, Khmer fonts (Limon, ABC) drew Khmer letters at the places of Latin ones. Extracted
from a PDF, such a line is Latin garbage: capitals inside words, letters of Latin-1, no English
words. It must be converted or cut, never trained on.

Source: the signals and their first thresholds were measured on 840 pages of Cambodian law and seven English
    collections; docs/khmer.md has the counts for what is used here.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from tonsai_pipeline.text import characters as ch
from tonsai_pipeline.text.clusters import CLUSTER, NO_UNIT, WORD, next_unit
from tonsai_pipeline.text.lexicon import Lexicon
from tonsai_pipeline.text.ngrams import ngram_log_odds
from tonsai_pipeline.text.stop_words import ENGLISH, STOP_WORDS
from tonsai_pipeline.text.utf8 import Texts, Utf8Batch, batch_of_arrow, decode

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
_CODE_MARKS = ("()", '("', " = ", "=>", "0x", "://", "</", "/>", "};", "==", "&&")
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
    batch = batch_of_arrow(texts)
    counts = count_words(batch)
    suspects = np.flatnonzero(
        (counts[:, _STRANGE] >= _MIN_STRANGE_WORDS)
        & (counts[:, _STRANGE] >= _MIN_STRANGE_FRAC * counts[:, _WORDS])
    )
    kept = texts.cast(pa.large_string())
    reasons = np.full(len(texts), None, dtype=object)
    cut_lines = {reason: np.zeros(len(texts), np.int32) for reason in _REASONS.values()}
    cut_bytes = np.zeros(len(texts), np.int64)
    pages = [kept[row].as_py().split("\n") for row in suspects.tolist()]
    verdicts, letters, english, doubtful = _judge_lines(pages)
    changed: dict[int, str] = {}
    at = 0
    for row, lines in zip(suspects.tolist(), pages, strict=True):
        mine = slice(at, at + len(lines))
        verdict, size, spoken = verdicts[mine], letters[mine], english[mine]
        at += len(lines)
        if (verdict == _LEGACY).sum() >= _MIN_LEGACY_LINES:
            verdict = np.where((verdict == _CLEAN) & ~spoken, _LEGACY, verdict)
        if size[verdict == _GARBAGE].sum() >= _MIN_GARBAGE_FRAC_OF_PAGE * size.sum():
            verdict = np.where((verdict == _CLEAN) & doubtful[mine], _GARBAGE, verdict)
        verdict = _ask_neighbours(verdict)
        bad = verdict >= _LEGACY
        if not bad.any() or size[bad].sum() < min(_MIN_LETTERS_TO_CUT, size.sum()):
            continue
        if size[~bad].sum() < max(_MIN_KEPT_LETTERS, _MIN_KEPT_FRAC * size.sum()):
            legacy = size[verdict == _LEGACY].sum() >= size[verdict == _GARBAGE].sum()
            reasons[row] = LEGACY_KHMER_FONT if legacy else GARBAGE_OCR
            continue
        for code, reason in _REASONS.items():
            cut_lines[reason][row] = (verdict == code).sum()
        changed[row] = "\n".join(line for line, gone in zip(lines, bad, strict=True) if not gone)
        cut_bytes[row] = sum(
            len(line.encode()) for line, gone in zip(lines, bad, strict=True) if gone
        )
    if changed:
        body = kept.to_pylist()
        for row, text in changed.items():
            body[row] = text
        kept = pa.array(body, pa.large_string())
    return Undamaged(kept, pa.array(reasons, pa.string()), cut_lines, cut_bytes)


# --- lines --------------------------------------------------------------------------------------


def _judge_lines(
    pages: list[list[str]],
) -> tuple[
    npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_], npt.NDArray[np.bool_]
]:
    """Return the verdict on each line of all pages, its letters, whether it is English or Khmer, and blurred words in it."""
    lines = [line for page in pages for line in page]
    batch = batch_of_arrow(pa.array(lines, pa.large_string()))
    counts = count_words(batch)
    words, latin, khmer = (counts[:, i] for i in (_WORDS, _LETTERS, _CLUSTERS))
    judged = (latin >= _MIN_LETTERS_TO_JUDGE) & (latin > _LETTERS_PER_CLUSTER * khmer)
    english = _lexicon().count_in(batch)[:, 0] / np.maximum(words, 1)
    weight = np.minimum(latin / _LETTERS_OF_FULL_WEIGHT, 1.0)
    legacy_odds = ngram_log_odds("legacy", batch, judged) * weight
    english_odds = ngram_log_odds("english", batch, judged)
    strange = counts[:, _STRANGE] >= np.maximum(1, _MIN_STRANGE_FRAC_OF_LINE * words)
    legacy = judged & (legacy_odds > np.where(strange, _MIN_LEGACY_LOG_ODDS, _SURE_LEGACY_LOG_ODDS))
    legacy &= (english < _MAX_ENGLISH_FRAC) & (english_odds < 0)
    garbage = judged & (words >= _MIN_WORDS_OF_GARBAGE)
    garbage &= counts[:, _STRANGE] >= _MIN_GARBAGE_FRAC * words
    garbage &= english < _MAX_ENGLISH_FRAC_OF_GARBAGE
    garbage &= english_odds < _MAX_ENGLISH_LOG_ODDS_OF_GARBAGE
    blurred = judged & (words >= _MIN_WORDS_OF_BLURRED)
    blurred &= counts[:, _BLURRED] >= _MIN_BLURRED_FRAC * words
    blurred &= english < _MAX_ENGLISH_FRAC_OF_BLURRED
    blurred &= english_odds < _MAX_ENGLISH_LOG_ODDS_OF_BLURRED
    garbage |= blurred
    verdict = np.where(judged | (khmer >= 2), _CLEAN, _UNSURE)
    verdict[garbage] = _GARBAGE
    verdict[legacy] = _LEGACY
    code = np.array([any(mark in line for mark in _CODE_MARKS) for line in lines], dtype=bool)
    code |= (verdict == _GARBAGE) & np.array(
        [bool(_CODE_BESIDE_GARBAGE.search(line)) for line in lines], dtype=bool
    )
    verdict[code & (verdict >= _LEGACY)] = _CLEAN
    spoken = code | (khmer > latin) | (english_odds > 0) | (english >= _MAX_ENGLISH_FRAC)
    doubtful = ~code & judged & (counts[:, _BLURRED] >= np.maximum(1, _MIN_STRANGE_FRAC * words))
    return verdict, latin + khmer, spoken, doubtful


def _ask_neighbours(verdict: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Give each unsure line the verdict of the sure lines around it where both are damaged; else it is clean."""
    sure = np.flatnonzero(verdict != _UNSURE)
    if not len(sure):
        return verdict
    lines = np.arange(len(verdict))
    after = np.searchsorted(sure, lines)
    above = verdict[sure[np.maximum(after - 1, 0)]]
    below = verdict[sure[np.minimum(after, len(sure) - 1)]]
    between = np.where((above >= _LEGACY) & (below >= _LEGACY), above, _CLEAN)
    return np.where(verdict == _UNSURE, between, verdict)


@cache
def _lexicon() -> Lexicon:
    words = [word for word in STOP_WORDS[ENGLISH] if len(word) >= _MIN_CHARS_OF_ENGLISH_WORD]
    return Lexicon({ENGLISH: words})


# --- compiled -----------------------------------------------------------------------------------

_WORDS, _STRANGE, _LETTERS, _CLUSTERS, _BLURRED = range(5)


def count_words(batch: Utf8Batch) -> npt.NDArray[np.int64]:
    """Count in each text: Latin words, strange ones, letters, Khmer clusters, blurred words; shape (num_texts, 5).

    A word is strange if it has a capital after a small letter and is no camelCase, a letter of Latin-1 beside a
    capital, a digit between two small letters, three letters and more without a vowel, or five consonants in a row. It is blurred if it is strange for one of the last three without a
    capital inside, as abbreviated names in program text have.
    """
    return _count_words(*batch, ch.character_kinds())


@njit(cache=True, nogil=True)
def _count_words(data, offsets, kinds):
    num_texts = len(offsets) - 1
    counts = np.zeros((num_texts, 5), dtype=np.int64)
    for text in range(num_texts):
        end = offsets[text + 1]
        start, stop, kind = next_unit(data, offsets[text], end, kinds)
        while kind != NO_UNIT:
            if kind == CLUSTER:
                counts[text, _CLUSTERS] += 1
            elif kind == WORD:
                letters, strange, blurred = _read_word(data, start, stop, kinds)
                counts[text, _WORDS] += letters > 0
                counts[text, _STRANGE] += strange
                counts[text, _BLURRED] += blurred
                counts[text, _LETTERS] += letters
            start, stop, kind = next_unit(data, stop, end, kinds)
    return counts


@njit(cache=True, nogil=True)
def _read_word(data, at, stop, kinds):
    """Return a word's Latin letters, whether it is strange, and whether it is blurred.

    camelCase is parts of two letters and more with a vowel each ("getElementById", "YouTube"); a legacy font puts
    capitals anywhere ("BIkarRbKl").
    """
    letters, capitals, digits, high, vowels = 0, 0, 0, 0, 0
    inner, camel = False, True
    part, part_vowels = 0, 0  # of the stretch since the last capital after a small letter
    small, consonants, longest = False, 0, 0
    after_digit, enclosed = False, False
    while at < stop:
        code_point, length = decode(data, at)
        at += length
        if kinds[min(code_point, len(kinds) - 1)] != ch.LATIN:
            is_digit = 0x30 <= code_point <= 0x39
            digits += is_digit
            after_digit = is_digit and small
            continue
        letters += 1
        is_capital = 0x41 <= code_point <= 0x5A
        capitals += is_capital
        high += 0xA0 < code_point < 0x100
        if is_capital and small:
            inner = True
            camel = camel and part >= 2 and part_vowels > 0
            part, part_vowels = 0, 0
        vowel = _is_vowel(code_point | 0x20) or code_point >= 0x80
        part, part_vowels, vowels = part + 1, part_vowels + vowel, vowels + vowel
        consonants = 0 if vowel else consonants + 1
        longest = max(longest, consonants)
        small = not is_capital
        enclosed = enclosed or (after_digit and small)
        after_digit = False
    camel = camel and part >= 2 and part_vowels > 0
    damaged = enclosed or (letters >= 3 and vowels == 0 and capitals < letters)
    damaged = damaged or (longest >= 5 and capitals < letters)
    strange = (inner and not camel) or damaged
    strange = strange or (high > 0 and capitals > 0 and inner)
    strange = strange or (digits > 0 and letters > 1 and inner)
    return letters, strange, damaged and not inner


@njit(cache=True, nogil=True)
def _is_vowel(letter):
    """Tell whether a small ASCII letter is a vowel."""
    return letter in (0x61, 0x65, 0x69, 0x6F, 0x75, 0x79)
