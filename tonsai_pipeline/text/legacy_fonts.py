"""Texts -> the ones that are Khmer only in a font that is gone, or what a failed OCR left.

Before Unicode, Khmer fonts (Limon, ABC) drew Khmer letters at the places of Latin ones. Extracted
from a PDF, such a text is Latin garbage: capitals inside words, letters of Latin-1, no English
words. It must be converted or rejected, never trained on.

Source: the three signals and their first thresholds were measured on 840 pages of Cambodian law
and seven English collections; docs/khmer.md has the counts for the thresholds used here.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from tonsai_pipeline.text import characters as ch
from tonsai_pipeline.text.clusters import NO_UNIT, WORD, next_unit
from tonsai_pipeline.text.lexicon import Lexicon
from tonsai_pipeline.text.stop_words import ENGLISH, STOP_WORDS
from tonsai_pipeline.text.utf8 import Texts, Utf8Batch, batch_of_arrow, decode

LEGACY_KHMER_FONT = "legacy_khmer_font"
GARBAGE_OCR = "garbage_ocr"

# Legacy text splits into short pieces at its odd letters, and some look like "as" or "no".
_MIN_CHARS_OF_ENGLISH_WORD = 3
_MIN_LATIN_FRAC = 0.8
_MIN_INNER_CAPITAL_FRAC = 0.1
_MIN_LATIN1_FRAC = 0.01
_MAX_ENGLISH_FRAC = 0.08
# Without letters of Latin-1 the other two signals must be clearer, in a text of some length.
_MIN_WORDS_OF_GARBAGE = 10
_MIN_INNER_CAPITAL_FRAC_OF_GARBAGE = 0.25
_MAX_ENGLISH_FRAC_OF_GARBAGE = 0.04


class LegacySignals(NamedTuple):
    """What is measured in each text, float64, one entry a text.

    Attributes:
        num_words: words in Latin letters.
        latin_frac: of all words and clusters, those in Latin letters.
        inner_capital_frac: of these, those with a capital after a small letter.
        latin1_frac: characters from U+00A1 to U+00FF, of all but white space.
        english_frac: words that are frequent in English.
    """

    num_words: npt.NDArray[np.float64]
    latin_frac: npt.NDArray[np.float64]
    inner_capital_frac: npt.NDArray[np.float64]
    latin1_frac: npt.NDArray[np.float64]
    english_frac: npt.NDArray[np.float64]


def legacy_font_batch(texts: Texts) -> pa.StringArray:
    """Return for each text `legacy_khmer_font`, `garbage_ocr`, or null where it is neither.

    >>> legacy_font_batch(pa.array(["RkmrdæbEvNI énRBHraCaNacRk km<úCaqñaM 2007 CamUlRKwH"]))[
    ...     0
    ... ].as_py()
    'legacy_khmer_font'
    """
    signals = legacy_signals(batch_of_arrow(texts))
    latin = signals.latin_frac >= _MIN_LATIN_FRAC
    legacy = latin & (signals.inner_capital_frac > _MIN_INNER_CAPITAL_FRAC)
    legacy &= signals.latin1_frac > _MIN_LATIN1_FRAC
    legacy &= signals.english_frac < _MAX_ENGLISH_FRAC
    garbage = latin & (signals.num_words >= _MIN_WORDS_OF_GARBAGE)
    garbage &= signals.inner_capital_frac > _MIN_INNER_CAPITAL_FRAC_OF_GARBAGE
    garbage &= signals.english_frac < _MAX_ENGLISH_FRAC_OF_GARBAGE
    reasons = np.full(len(texts), None, dtype=object)
    reasons[garbage] = GARBAGE_OCR
    reasons[legacy] = LEGACY_KHMER_FONT
    return pa.array(reasons, type=pa.string())


def legacy_signals(batch: Utf8Batch) -> LegacySignals:
    """Measure a batch of valid UTF-8."""
    counts = _count_signals(*batch, ch.character_kinds())
    english = _lexicon().count_in(batch)[:, 0]
    words, characters = np.maximum(counts[:, 0], 1), np.maximum(counts[:, 3], 1)
    return LegacySignals(
        num_words=counts[:, 0].astype(np.float64),
        latin_frac=counts[:, 0] / np.maximum(counts[:, 4], 1),
        inner_capital_frac=counts[:, 1] / words,
        latin1_frac=counts[:, 2] / characters,
        english_frac=english / words,
    )


@cache
def _lexicon() -> Lexicon:
    words = [word for word in STOP_WORDS[ENGLISH] if len(word) >= _MIN_CHARS_OF_ENGLISH_WORD]
    return Lexicon({ENGLISH: words})


@njit(cache=True, nogil=True)
def _count_signals(data, offsets, kinds):
    """Return Latin words, those with an inner capital, Latin-1 characters, characters, units."""
    num_texts = len(offsets) - 1
    counts = np.zeros((num_texts, 5), dtype=np.int64)
    for text in range(num_texts):
        end = offsets[text + 1]
        for at in range(offsets[text], end):
            counts[text, 2] += data[at] == 0xC3 or (data[at] == 0xC2 and data[at + 1] > 0xA0)
            counts[text, 3] += data[at] > 0x20 and data[at] & 0xC0 != 0x80
        start, stop, kind = next_unit(data, offsets[text], end, kinds)
        while kind != NO_UNIT:
            counts[text, 4] += 1
            if kind == WORD:
                latin, inner = _read_word(data, start, stop, kinds)
                counts[text, 0] += latin
                counts[text, 1] += latin and inner
            start, stop, kind = next_unit(data, stop, end, kinds)
    return counts


@njit(cache=True, nogil=True)
def _read_word(data, at, stop, kinds):
    """Tell whether a word has a Latin letter, and a capital after a small one (ASCII)."""
    latin, inner, small = False, False, False
    while at < stop:
        code_point, length = decode(data, at)
        latin = latin or kinds[min(code_point, len(kinds) - 1)] == ch.LATIN
        inner = inner or (small and 0x41 <= code_point <= 0x5A)
        small = 0x61 <= code_point <= 0x7A
        at += length
    return latin, inner
