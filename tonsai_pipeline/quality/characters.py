"""Code point -> its part in a page: letter case, digit, sentence end, closer, bullet, symbol, invisible.

`text.characters` says which unit a character builds; this table says what it tells about the page.
"""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.text import codepoints as cp
from tonsai_pipeline.text.utf8 import frozen

(
    SPACE,
    NEWLINE,
    LOWER,
    UPPER,
    LETTER,  # of a script without case, Khmer apart; marks too
    KHMER,
    DIGIT,
    ENDER,  # ends a sentence
    CLOSER,  # may follow a sentence end: quotes and brackets
    PUNCTUATION,
    BULLET,  # punctuation that opens list items
    SYMBOL,
    INVISIBLE,
) = range(13)

_TABLE_SIZE = 0x10000
#: Sentence ends: ASCII, ellipsis, khan, bariyoosan, koomuut, and those of Chinese and Hindi.
_ENDERS = ".!?\u2026\u17d4\u17d5\u17da\u3002\uff01\uff1f\u0964\u203c\u2047\u2048\u2049"
_CLOSERS = "\"')]\u2019\u201d\u00bb\u203a\u300d\u300f"
_BULLETS = "*\u2022\u2023\u2043\u25cf\u25cb\u25aa\u25ab\u25a0\u25a1\u25e6\u00b7\u2219\u27a2\u2192\u2713\u2714\u2013\u2014-"
_SYMBOLS = "#$%&+/<=>@\\^_`{|}~"
_INVISIBLE = (cp.ZWSP, cp.ZWNJ, cp.ZWJ, cp.BOM, cp.SOFT_HYPHEN)
_KINDS = {
    "Ll": LOWER,
    "Lu": UPPER,
    "Lt": UPPER,
    "L": LETTER,
    "M": LETTER,
    "Nd": DIGIT,
    "N": SYMBOL,
    "P": PUNCTUATION,
    "S": SYMBOL,
    "Z": SPACE,
    "Cf": INVISIBLE,
    "Cn": LETTER,  # a character younger than the tables; symbols of later blocks are few
    "C": SYMBOL,
}


@cache
def page_classes() -> npt.NDArray[np.uint8]:
    """Return the class of each code point of the basic plane, shape (65536,).

    Letters come from the Unicode 3.2 tables that Python freezes, so that a score made today is the score
    made after an upgrade of Python.
    """
    table = np.zeros(_TABLE_SIZE, dtype=np.uint8)
    for code in range(_TABLE_SIZE):
        category = unicodedata.ucd_3_2_0.category(chr(code))
        table[code] = _KINDS.get(category, _KINDS[category[0]])
    table[cp.KHMER_FIRST : cp.ATTHACAN + 1] = KHMER
    table[cp.KHAN : cp.ATTHACAN] = PUNCTUATION
    table[cp.LEK_TOO] = KHMER
    for characters, kind in (
        (_CLOSERS, CLOSER),
        (_ENDERS, ENDER),
        (_BULLETS, BULLET),
        (_SYMBOLS, SYMBOL),
    ):
        for character in characters:
            table[ord(character)] = kind
    table[list(_INVISIBLE)] = INVISIBLE
    table[[0x09, 0x0B, 0x0C, 0x0D, cp.NO_BREAK_SPACE]] = SPACE
    table[[0x0A, cp.LINE_SEPARATOR, cp.PARAGRAPH_SEPARATOR]] = NEWLINE
    return frozen(table)
