"""Order of marks in a Modern Khmer syllable -> one table that finds the syllables to repair.

The automaton reads one code point at a time. A syllable that is stored in order never leaves the
plain states; anything else (a mark out of order, two vowels, coeng ro before another coeng, a
joiner) leads to `DIRTY`, and only then is the syllable looked at as a whole. In Khmer prose about
one syllable in a thousand is dirty, so the price of normalizing is the price of one table look-up
per character.

Source: UTN #61 v2, p. 16 (structure of the syllable) and p. 29 (coeng ro is the second coeng).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.text import codepoints as cp

# --- what a character is to the automaton ---------------------------------------------------

(
    FOREIGN,
    OTHER,
    BASE,
    BASE_RO,
    BASE_DA,
    ROBAT,
    COENG,
    SHIFTER,
    ZWNJ,
    ZWJ,
    VOWEL,
    VOWEL_U,
    MODIFIER,
    MODIFIER_ABOVE,
    FINAL,
) = range(15)
NUM_SYMBOLS = 16  # a power of two: the next state is found by a shift, not a multiplication

# --- where in a syllable it is ---------------------------------------------------------------

(
    OUT,
    OUT_OPEN,
    AT_BASE,
    AT_ROBAT,
    AT_COENG,
    AT_SUBSCRIPT,
    AT_SUBSCRIPT_RO,
    AT_SECOND_COENG,
    AT_SECOND_SUBSCRIPT,
    AT_SHIFTER,
    AT_VOWEL,
    AT_VOWEL_U,
    AT_MODIFIER,
    AT_FINAL,
    DIRTY,
    DIRTY_OPEN,
) = range(16)
NUM_STATES = 16

_BASES = (BASE, BASE_RO, BASE_DA)
_MARKS = (ROBAT, SHIFTER, ZWNJ, VOWEL, VOWEL_U, MODIFIER, MODIFIER_ABOVE, FINAL)
_JOINERS = (COENG, ZWJ)

_AFTER_CONSONANTS = {
    SHIFTER: AT_SHIFTER,
    VOWEL: AT_VOWEL,
    VOWEL_U: AT_VOWEL_U,
    MODIFIER: AT_MODIFIER,
    MODIFIER_ABOVE: AT_MODIFIER,
    FINAL: AT_FINAL,
}
_AFTER_SHIFTER = {key: state for key, state in _AFTER_CONSONANTS.items() if key != SHIFTER}
_AFTER_VOWEL = {MODIFIER: AT_MODIFIER, MODIFIER_ABOVE: AT_MODIFIER, FINAL: AT_FINAL}
# A -u below an above vowel or samyok sannya may stand for a shifter: not plain after VOWEL_U.
_PLAIN: dict[int, dict[int, int]] = {
    AT_BASE: {ROBAT: AT_ROBAT, COENG: AT_COENG} | _AFTER_CONSONANTS,
    AT_ROBAT: {COENG: AT_COENG} | _AFTER_CONSONANTS,
    AT_COENG: {BASE: AT_SUBSCRIPT, BASE_DA: AT_SUBSCRIPT, BASE_RO: AT_SUBSCRIPT_RO},
    AT_SUBSCRIPT: {COENG: AT_SECOND_COENG} | _AFTER_CONSONANTS,
    AT_SUBSCRIPT_RO: _AFTER_CONSONANTS,
    AT_SECOND_COENG: dict.fromkeys(_BASES, AT_SECOND_SUBSCRIPT),
    AT_SECOND_SUBSCRIPT: _AFTER_CONSONANTS,
    AT_SHIFTER: _AFTER_SHIFTER,
    AT_VOWEL: _AFTER_VOWEL,
    AT_VOWEL_U: {MODIFIER: AT_MODIFIER, FINAL: AT_FINAL},
    AT_MODIFIER: {FINAL: AT_FINAL},
    AT_FINAL: {},
    DIRTY: {},
    DIRTY_OPEN: dict.fromkeys(_BASES, DIRTY),
}
_OPEN = (AT_COENG, AT_SECOND_COENG, DIRTY_OPEN)


def transition_table(*, fold_coeng_da: bool) -> npt.NDArray[np.uint8]:
    """Return the next state for each state and symbol, shape (NUM_STATES * NUM_SYMBOLS,).

    A base that follows no joiner always leads to `AT_BASE`, and to it only: that is where a
    syllable starts. With `fold_coeng_da` a subscript DA is a reason to repair.
    """
    table = np.zeros((NUM_STATES, NUM_SYMBOLS), dtype=np.uint8)
    table[(OUT, OUT_OPEN), COENG] = OUT_OPEN
    table[(OUT, OUT_OPEN), ZWJ] = OUT_OPEN
    for base in _BASES:
        table[OUT, base] = AT_BASE
    for state, plain in _PLAIN.items():
        for symbol in (*_MARKS, *_JOINERS, *_BASES):
            if symbol in _BASES and state not in _OPEN:
                table[state, symbol] = AT_BASE
            elif symbol in plain:
                table[state, symbol] = plain[symbol]
            else:
                table[state, symbol] = DIRTY_OPEN if symbol in _JOINERS else DIRTY
    if fold_coeng_da:
        table[(AT_COENG, AT_SECOND_COENG), BASE_DA] = DIRTY
    return table.reshape(-1)


def symbol_table() -> npt.NDArray[np.uint8]:
    """Return the symbol of each code point of the Khmer block, shape (128,)."""
    by_slot = {
        cp.Slot.OTHER: OTHER,
        cp.Slot.BASE: BASE,
        cp.Slot.ROBAT: ROBAT,
        cp.Slot.COENG: COENG,
        cp.Slot.SHIFTER: SHIFTER,
        cp.Slot.MODIFIER: MODIFIER,
        cp.Slot.FINAL: FINAL,
    }
    table = np.array([by_slot.get(cp.Slot(slot), VOWEL) for slot in cp.SLOTS], dtype=np.uint8)
    for code_point, symbol in (
        (cp.LETTER_RO, BASE_RO),
        (cp.LETTER_DA, BASE_DA),
        (cp.VOWEL_U, VOWEL_U),
        (cp.SAMYOK_SANNYA, MODIFIER_ABOVE),
        (cp.ATTHACAN, MODIFIER_ABOVE),
    ):
        table[code_point - cp.KHMER_FIRST] = symbol
    return table
