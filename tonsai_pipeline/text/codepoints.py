"""Code points of Khmer text -> names, the slots they fill in a syllable, and lookup tables.

The Modern Khmer syllable, in the order in which it is stored::

    Base  Robat?  (Coeng NonRo)? (Coeng Base)?  Shifter?  Vowel?  Modifier{0,2}  Final?

Source: Unicode Technical Note #61, "Khmer Encoding Structure" version 2 (Hosken, Lindenberg,
    Sok, 2025), pp. 13-18; The Unicode Standard, section 16.4. The order of two vowels typed in
    one syllable (before, below, above, after the base) is that of SIL khnormal; it decides only
    how a syllable that must be repaired is read.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

# --- invisible characters -----------------------------------------------------------------

ZWSP = 0x200B
ZWNJ = 0x200C
ZWJ = 0x200D
BOM = 0xFEFF
SOFT_HYPHEN = 0x00AD
NO_BREAK_SPACE = 0x00A0
LEFT_TO_RIGHT_MARK = 0x200E
RIGHT_TO_LEFT_MARK = 0x200F
WORD_JOINER = 0x2060
LINE_SEPARATOR = 0x2028
PARAGRAPH_SEPARATOR = 0x2029

# --- the Khmer block ----------------------------------------------------------------------

KHMER_FIRST = 0x1780
KHMER_LAST = 0x17FF
LUNAR_FIRST = 0x19E0
LUNAR_LAST = 0x19FF

LETTER_DA = 0x178A
LETTER_TA = 0x178F
LETTER_BA = 0x1794
LETTER_RO = 0x179A
LETTER_LO = 0x179B
LETTER_SHA = 0x179D
LETTER_SSO = 0x179E
LETTER_QA = 0x17A2
INDEPENDENT_QAQ = 0x17A3
INDEPENDENT_QAA = 0x17A4
INDEPENDENT_QOO_ONE = 0x17B1
INDEPENDENT_QOO_TWO = 0x17B2
INHERENT_AQ = 0x17B4
INHERENT_AA = 0x17B5
VOWEL_AA = 0x17B6
VOWEL_I = 0x17B7
VOWEL_II = 0x17B8
VOWEL_YY = 0x17BA
VOWEL_U = 0x17BB
VOWEL_UA = 0x17BD
VOWEL_OE = 0x17BE
VOWEL_E = 0x17C1
VOWEL_AE = 0x17C2
VOWEL_AI = 0x17C3
VOWEL_OO = 0x17C4
VOWEL_AU = 0x17C5
NIKAHIT = 0x17C6
REAHMUK = 0x17C7
MUUSIKATOAN = 0x17C9
TRIISAP = 0x17CA
BANTOC = 0x17CB
ROBAT = 0x17CC
TOANDAKHIAT = 0x17CD
AHSDA = 0x17CF
SAMYOK_SANNYA = 0x17D0
VIRIAM = 0x17D1
COENG = 0x17D2
BATHAMASAT = 0x17D3
KHAN = 0x17D4
BARIYOOSAN = 0x17D5
CAMNUC_PII_KUUH = 0x17D6
LEK_TOO = 0x17D7
BEYYAL = 0x17D8
AVAKRAHASANYA = 0x17DC
ATTHACAN = 0x17DD
DIGIT_ZERO = 0x17E0
DIGIT_NINE = 0x17E9


class Slot(IntEnum):
    """Where a character stands in a syllable. Marks are stored in ascending order of slot."""

    OTHER = 0
    BASE = 1
    ROBAT = 2
    COENG = 3
    SHIFTER = 4
    ZWNJ = 5
    VOWEL_BEFORE = 6
    VOWEL_BELOW = 7
    VOWEL_ABOVE = 8
    VOWEL_AFTER = 9
    MODIFIER = 10
    FINAL = 11
    FINAL_COENG = 12


_SLOT_RANGES = (
    (0x1780, 0x17A2, Slot.BASE),
    (0x17A5, 0x17B3, Slot.BASE),
    (VOWEL_AA, VOWEL_AA, Slot.VOWEL_AFTER),
    (VOWEL_I, VOWEL_YY, Slot.VOWEL_ABOVE),
    (VOWEL_U, VOWEL_UA, Slot.VOWEL_BELOW),
    (VOWEL_OE, VOWEL_AU, Slot.VOWEL_BEFORE),
    (NIKAHIT, NIKAHIT, Slot.MODIFIER),
    (REAHMUK, 0x17C8, Slot.FINAL),
    (MUUSIKATOAN, TRIISAP, Slot.SHIFTER),
    (BANTOC, BANTOC, Slot.MODIFIER),
    (ROBAT, ROBAT, Slot.ROBAT),
    (TOANDAKHIAT, VIRIAM, Slot.MODIFIER),
    (COENG, COENG, Slot.COENG),
    # UTN #61 lists bathamasat as Other; it is typed, and rendered, as a mark above its base.
    (BATHAMASAT, BATHAMASAT, Slot.MODIFIER),
    (ATTHACAN, ATTHACAN, Slot.MODIFIER),
)

# Consonants of the first (a-) series, except the weak ones (UTN #61 p. 16, StrongBase).
_STRONG_RANGES = (
    (0x1780, 0x1783),
    (0x1785, 0x1788),
    (0x178A, 0x178D),
    (0x178F, 0x1792),
    (0x1795, 0x1797),
    (0x179E, 0x17A0),
    (0x17A2, 0x17A2),
)


def _slot_table() -> npt.NDArray[np.uint8]:
    table = np.zeros(KHMER_LAST - KHMER_FIRST + 1, dtype=np.uint8)
    for first, last, slot in _SLOT_RANGES:
        table[first - KHMER_FIRST : last - KHMER_FIRST + 1] = slot
    return table


def _strong_table() -> npt.NDArray[np.uint8]:
    table = np.zeros(KHMER_LAST - KHMER_FIRST + 1, dtype=np.uint8)
    for first, last in _STRONG_RANGES:
        table[first - KHMER_FIRST : last - KHMER_FIRST + 1] = 1
    return table


#: Slot of each code point of the Khmer block, shape (128,).
SLOTS: npt.NDArray[np.uint8] = _slot_table()
#: 1 for each strong (first-series) consonant of the Khmer block, shape (128,).
STRONG: npt.NDArray[np.uint8] = _strong_table()
