"""One syllable as code points, in any order -> the same syllable as Unicode asks it to be stored.

Compiled: every function works in place on a small int32 array, so that a corpus is repaired without
a Python object per syllable. Each step leaves the picture on the screen as it was; the steps repeat
until none applies, because a composed vowel can need a new place and a new place can compose.

Source: UTN #61 v2: p. 16 (structure), pp. 17-18 and 22-25 (strong and weak clusters, shifters),
    pp. 28-30 ("Do not use"), pp. 31-32 (coeng da). Two steps are ours: a mark typed twice in a row
    is stored once, and joiners that change nothing are dropped.
"""

from __future__ import annotations

from tonsai_pipeline.compiled import inner
from tonsai_pipeline.text import codepoints as cp
from tonsai_pipeline.text import structure
from tonsai_pipeline.text.structure import (
    end_of_consonants,
    is_above_vowel,
    is_strong,
    slot_of,
    zwnj_is_meant,
)

#: Code points of the longest syllable that is looked at; a longer one is no syllable and is left
#: as typed. The longest in 4.8 million Khmer characters of real text
#: has 7. The bound keeps hostile input linear.
MAX_SYLLABLE = 64

# --- switches, one bit each -------------------------------------------------------------------

FOLD_COENG_DA = 1
COLLAPSE_DUPLICATES = 2
STRIP_JOINERS = 4

# --- the rules, in the order of the report ----------------------------------------------------

RULES = (
    "reordered",
    "repeated_coeng",
    "composed_vowel",
    "u_to_shifter",
    "coeng_ro_second",
    "coeng_da",
    "duplicate_mark",
    "joiner",
)
(
    REORDERED,
    REPEATED_COENG,
    COMPOSED_VOWEL,
    U_TO_SHIFTER,
    COENG_RO_SECOND,
    COENG_DA,
    DUPLICATE_MARK,
    JOINER,
) = (1 << bit for bit in range(len(RULES)))


@inner
def repair_syllable(syllable, length, keys, before, switches):
    """Repair `syllable[:length]` in place.

    `syllable` holds code points, int32, is at least `MAX_SYLLABLE` long and starts with a base; `keys`
    and `before` are scratch of the same size; `switches` are `FOLD_COENG_DA | COLLAPSE_DUPLICATES |
    STRIP_JOINERS`.

    Returns:
        The new length, and the rules that applied as a set of bits.
    """
    fired = 0
    if switches & STRIP_JOINERS:
        kept = _drop_loose_zwj(syllable, length)
        if kept != length:
            fired, length = fired | JOINER, kept
    # Every round shortens the syllable or brings it nearer to order: the bound is never met.
    for _ in range(4 * MAX_SYLLABLE):
        for at in range(length):
            before[at] = syllable[at]
        size = length
        length, applied = _one_round(syllable, size, keys, switches)
        if length == size and _same(syllable, before, length):
            break
        fired |= applied
    return length, fired


# --- the steps of a round -----------------------------------------------------------------------


@inner
def _one_round(syllable, length, keys, switches):
    """Apply each rule once, in the order in which they build on each other."""
    fired = 0
    if _sort(syllable, length, keys):
        fired |= REORDERED
    if switches & COLLAPSE_DUPLICATES:
        kept = _drop_duplicates(syllable, length)
        if kept != length:
            fired, length = fired | DUPLICATE_MARK, kept
    kept = _drop_repeated_coengs(syllable, length)
    if kept != length:
        fired, length = fired | REPEATED_COENG, kept
    kept, composed = _compose_vowels(syllable, length)
    if composed:
        fired, length = fired | COMPOSED_VOWEL, kept
    if _turn_u_into_shifter(syllable, length):
        fired |= U_TO_SHIFTER
    if _move_coeng_ro(syllable, length):
        fired |= COENG_RO_SECOND
    if switches & FOLD_COENG_DA and _fold_coeng_da(syllable, length):
        fired |= COENG_DA
    if not fired and switches & STRIP_JOINERS:
        kept = _drop_idle_zwnj(syllable, length)
        if kept != length:
            fired, length = fired | JOINER, kept
    return length, fired


@inner
def _same(first, second, length):
    for at in range(length):  # noqa: SIM110 - numba compiles no generators
        if first[at] != second[at]:
            return False
    return True


@inner
def _delete(syllable, at, length):
    for position in range(at, length - 1):
        syllable[position] = syllable[position + 1]
    return length - 1


@inner
def _sort(syllable, length, keys):
    """Sort by slot, keeping the typed order within a slot; tell whether anything moved.

    A base or coeng after a coeng or ZWJ belongs to the unit which that one opened.
    """
    for at in range(length):
        key = slot_of(syllable[at])
        opened = at > 0 and (syllable[at - 1] == cp.COENG or syllable[at - 1] == cp.ZWJ)
        keys[at] = keys[at - 1] if opened and (key in (structure.BASE, structure.COENG)) else key
    moved = False
    for at in range(1, length):
        mark, key, to = syllable[at], keys[at], at
        while to > 0 and keys[to - 1] > key:
            syllable[to], keys[to] = syllable[to - 1], keys[to - 1]
            to -= 1
        syllable[to], keys[to] = mark, key
        moved = moved or to != at
    return moved


@inner
def repeats(mark, syllable, length):
    """Tell whether a mark, after `syllable[:length]`, is one too many of its kind.

    A nikahit may stand twice: the modifiers of a syllable have two places, and the fixtures of SIL
    keep both.
    """
    slot = slot_of(mark)
    if slot <= structure.BASE or slot in (structure.COENG, structure.FINAL_COENG):
        return False
    if length < 2 or syllable[length - 1] != mark:
        return False
    return mark != cp.NIKAHIT or syllable[length - 2] == mark


@inner
def _drop_duplicates(syllable, length):
    kept = 1
    for at in range(1, length):
        if not repeats(syllable[at], syllable, kept):
            syllable[kept] = syllable[at]
            kept += 1
    return kept


@inner
def _drop_repeated_coengs(syllable, length):
    """Drop coengs and joiners that follow a coeng: only the base they wait for counts."""
    kept = 1
    for at in range(1, length):
        mark = syllable[at]
        idle = mark in (cp.COENG, cp.ZWNJ, cp.ZWJ)
        if not (idle and syllable[kept - 1] == cp.COENG):
            syllable[kept] = mark
            kept += 1
    return kept


@inner
def _compose_vowels(syllable, length):
    """Join the halves of a split vowel: E+II is OE, E+AA is OO, OE+AA is OO+II, OE+U is U+OE.

    A below vowel may stand between the halves of the first two.
    """
    composed = False
    for at in range(1, length - 1):
        if syllable[at] == cp.VOWEL_OE and syllable[at + 1] == cp.VOWEL_AA:
            syllable[at], syllable[at + 1] = cp.VOWEL_OO, cp.VOWEL_II
            composed = True
    for half, whole in ((cp.VOWEL_II, cp.VOWEL_OE), (cp.VOWEL_AA, cp.VOWEL_OO)):
        at = 1
        while at < length - 1:
            other = at + 1
            if slot_of(syllable[other]) == structure.VOWEL_BELOW and other + 1 < length:
                other += 1
            if syllable[at] == cp.VOWEL_E and syllable[other] == half:
                syllable[at] = whole
                length = _delete(syllable, other, length)
                composed = True
            at += 1
    at = 1
    while at < length - 1:
        if syllable[at] == cp.VOWEL_OE and syllable[at + 1] == cp.VOWEL_U:
            syllable[at], syllable[at + 1] = cp.VOWEL_U, cp.VOWEL_OE
            composed = True
            at += 1
        at += 1
    return length, composed


@inner
def _turn_u_into_shifter(syllable, length):
    """Replace a -u below an above vowel by the shifter that looks the same there.

    Under an above vowel (and samyok sannya, for a weak cluster) a shifter is drawn as -u. Which
    shifter is meant follows from the series of the consonants: triisap for a strong cluster,
    muusikatoan for a weak one. Source: UTN #61 pp. 16-18, 22-25.
    """
    consonants = end_of_consonants(syllable, length)
    at = consonants
    before = cp.VOWEL_E - 1
    if at < length and cp.VOWEL_E <= syllable[at] <= cp.VOWEL_AU:
        before = syllable[at]
        at += 1
    if at >= length or syllable[at] != cp.VOWEL_U:
        return False
    above = is_above_vowel(syllable, at + 1, length)
    shifter = cp.TRIISAP
    if not is_strong(syllable, consonants):
        shifter = cp.MUUSIKATOAN
        samyok = at + 1 < length and syllable[at + 1] == cp.SAMYOK_SANNYA
        above = above or (samyok and before <= cp.VOWEL_AI)
    if not above:
        return False
    for position in range(at, consonants, -1):
        syllable[position] = syllable[position - 1]
    syllable[consonants] = shifter
    return True


@inner
def _move_coeng_ro(syllable, length):
    """Move coeng ro behind the coengs that follow it; tell whether anything moved."""
    moved, again = False, True
    while again:
        again = False
        for at in range(1, length - 3):
            first = syllable[at] == cp.COENG and syllable[at + 1] == cp.LETTER_RO
            other = syllable[at + 3]
            movable = other != cp.LETTER_RO and slot_of(other) == structure.BASE
            if first and movable and syllable[at + 2] == cp.COENG:
                syllable[at + 1], syllable[at + 3] = other, cp.LETTER_RO
                moved = again = True
    return moved


@inner
def _fold_coeng_da(syllable, length):
    folded = False
    for at in range(1, length - 1):
        if syllable[at] == cp.COENG and syllable[at + 1] == cp.LETTER_DA:
            syllable[at + 1] = cp.LETTER_TA
            folded = True
    return folded


@inner
def _drop_loose_zwj(syllable, length):
    """Drop each ZWJ that does not open a final coeng (Middle Khmer, UTN #61 pp. 14-15)."""
    kept = 1
    for at in range(1, length):
        opens = at + 1 < length and syllable[at + 1] == cp.COENG
        if syllable[at] != cp.ZWJ or opens:
            syllable[kept] = syllable[at]
            kept += 1
    return kept


@inner
def _drop_idle_zwnj(syllable, length):
    for at in range(1, length):
        if syllable[at] == cp.ZWNJ and not zwnj_is_meant(syllable, at, length):
            return _delete(syllable, at, length)
    return length
