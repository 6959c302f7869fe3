"""Code points of one syllable -> its parts, and whether it is a Modern Khmer syllable.

Compiled, on small int32 arrays that hold a base and its marks. Source: UTN #61 v2, pp. 16-25.
"""

from __future__ import annotations

import numpy as np

from tonsai_pipeline.compiled import inner
from tonsai_pipeline.text import codepoints as cp
from tonsai_pipeline.text.codepoints import Slot

BASE, COENG, SHIFTER, ZWNJ, VOWEL_BELOW, MODIFIER, FINAL, FINAL_COENG = (
    int(slot)
    for slot in (
        Slot.BASE,
        Slot.COENG,
        Slot.SHIFTER,
        Slot.ZWNJ,
        Slot.VOWEL_BELOW,
        Slot.MODIFIER,
        Slot.FINAL,
        Slot.FINAL_COENG,
    )
)

_SLOTS = cp.SLOTS
_STRONG = cp.STRONG


@inner
def slot_of(code_point):
    """Return the slot (`codepoints.Slot`) of a code point, 0 outside a syllable."""
    if cp.KHMER_FIRST <= code_point <= cp.KHMER_LAST:
        return np.int32(_SLOTS[code_point - cp.KHMER_FIRST])
    if code_point == cp.ZWNJ:
        return np.int32(ZWNJ)
    if code_point == cp.ZWJ:
        return np.int32(FINAL_COENG)
    return np.int32(0)


@inner
def is_strong(syllable, end):
    """Tell whether the consonants `syllable[:end]` form a strong cluster (UTN #61 pp. 17, 22)."""
    strong = False
    for at in range(end):
        if syllable[at] == cp.LETTER_BA:
            return False
        if cp.KHMER_FIRST <= syllable[at] <= cp.KHMER_LAST:
            strong = strong or _STRONG[syllable[at] - cp.KHMER_FIRST] != 0
    return strong


@inner
def end_of_consonants(syllable, length):
    """Return where Base Robat? (Coeng Base)* ends."""
    at = 1
    if at < length and syllable[at] == cp.ROBAT:
        at += 1
    while at + 1 < length and syllable[at] == cp.COENG and slot_of(syllable[at + 1]) == BASE:
        at += 2
    return at


@inner
def is_above_vowel(syllable, at, length):
    """Tell whether an above vowel stands at `at`: one mark, or AA with nikahit (UTN #61 p. 16)."""
    if at >= length:
        return False
    mark = syllable[at]
    if cp.VOWEL_I <= mark <= cp.VOWEL_YY or mark in (cp.VOWEL_OE, cp.ATTHACAN):
        return True
    return mark == cp.VOWEL_AA and at + 1 < length and syllable[at + 1] == cp.NIKAHIT


@inner
def zwnj_is_meant(syllable, at, length):
    """Tell whether the ZWNJ at `at` keeps a shifter from moving below its base (UTN #61 p. 16)."""
    consonants = end_of_consonants(syllable, length)
    if at != consonants + 1:
        return False
    shifter = syllable[consonants]
    above = is_above_vowel(syllable, at + 1, length)
    if is_strong(syllable, consonants):
        return shifter == cp.TRIISAP and above
    after = at + 1
    if after < length and cp.VOWEL_E <= syllable[after] <= cp.VOWEL_AI:
        after += 1
    samyok = after < length and syllable[after] == cp.SAMYOK_SANNYA
    return shifter == cp.MUUSIKATOAN and (above or samyok)


@inner
def is_modern_syllable(syllable, size):
    """Tell whether code points form one Modern Khmer syllable. Source: UTN #61 v2, p. 16."""
    at = end_of_consonants(syllable, size)
    num_coengs = 0
    for position in range(1, at):
        num_coengs += syllable[position] == cp.COENG
        ro_first = num_coengs == 1 and syllable[position] == cp.LETTER_RO
        if ro_first and position + 1 < at:
            return False
    if size == 0 or num_coengs > 2:
        return False
    if at < size and slot_of(syllable[at]) == SHIFTER:
        at += 1
        if at < size and syllable[at] == cp.ZWNJ:
            if not zwnj_is_meant(syllable, at, size):
                return False
            at += 1
    if at < size and cp.VOWEL_AA <= syllable[at] <= cp.VOWEL_AU:
        at += 1
    for _ in range(2):
        if at < size and slot_of(syllable[at]) == MODIFIER:
            above = syllable[at] == cp.SAMYOK_SANNYA or syllable[at] == cp.ATTHACAN
            if above and syllable[at - 1] == cp.VOWEL_U:
                return False
            at += 1
    if at < size and slot_of(syllable[at]) == FINAL:
        at += 1
    return at == size
