"""Code point -> what it is to a reader: Khmer, Latin, another letter, a digit, a mark, or nothing.

One table for everything that splits text into units: clusters and words, script shares, the key
for comparing documents.
"""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.text import codepoints as cp
from tonsai_pipeline.text.utf8 import frozen

(
    SEPARATOR,  # spaces, punctuation, symbols, controls
    KHMER_BASE,
    KHMER_MARK,
    LATIN,
    LETTER,  # of another script that writes spaces
    IDEOGRAPH,  # a letter of a script that writes none: a unit by itself
    DIGIT,
    MARK,
) = range(8)

#: Code points beyond the table are letters of no interest: planes 4 and up are not assigned, or
#: private.
TABLE_SIZE = 0x33480

_LATIN_RANGES = (
    (0x0041, 0x005A),
    (0x0061, 0x007A),
    (0x00AA, 0x00AA),
    (0x00BA, 0x00BA),
    (0x00C0, 0x00D6),
    (0x00D8, 0x00F6),
    (0x00F8, 0x02B8),
    (0x1D00, 0x1D25),
    (0x1E00, 0x1EFF),
    (0x2C60, 0x2C7F),
    (0xA722, 0xA7FF),
    (0xAB30, 0xAB64),
    (0xFB00, 0xFB06),
    (0xFF21, 0xFF3A),
    (0xFF41, 0xFF5A),
)
_UNSPACED_RANGES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x109F),  # Tibetan, Myanmar
    (0x1950, 0x19DF),  # Tai Le, New Tai Lue
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x2E80, 0xA4CF),  # Han, Kana, Bopomofo, Yi
    (0xAA60, 0xAADF),  # Myanmar extended, Tai Viet
    (0xF900, 0xFAFF),
    (0x16F00, 0x18D8F),
    (0x1B000, 0x1B2FF),
    (0x20000, TABLE_SIZE - 1),
)
_CATEGORY_KINDS = {"L": LETTER, "M": MARK, "N": DIGIT}


@cache
def character_kinds() -> npt.NDArray[np.uint8]:
    """Return the kind of each code point, shape (`TABLE_SIZE`,)."""
    kinds = [
        _CATEGORY_KINDS.get(unicodedata.category(chr(code_point))[0], SEPARATOR)
        for code_point in range(TABLE_SIZE)
    ]
    table = np.array(kinds, dtype=np.uint8)
    for first, last in _LATIN_RANGES:
        letters = table[first : last + 1]
        letters[letters == LETTER] = LATIN
    for first, last in _UNSPACED_RANGES:
        letters = table[first : last + 1]
        letters[letters == LETTER] = IDEOGRAPH
    block = table[cp.KHMER_FIRST : cp.KHMER_LAST + 1]
    block[cp.SLOTS == cp.Slot.BASE] = KHMER_BASE
    block[cp.SLOTS > cp.Slot.BASE] = KHMER_MARK
    for letter in (cp.INDEPENDENT_QAQ, cp.INDEPENDENT_QAA, cp.AVAKRAHASANYA):
        table[letter] = KHMER_BASE
    table[[cp.INHERENT_AQ, cp.INHERENT_AA]] = KHMER_MARK
    # The repetition sign is a letter to Unicode; no syllable starts with it.
    table[cp.LEK_TOO] = SEPARATOR
    return frozen(table)
