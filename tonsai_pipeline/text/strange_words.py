"""One word in Latin letters -> whether it looks strange: as in text of a legacy font, or of failed text recognition.

A word is strange if it has a capital after a small letter and is no camelCase, a letter of Latin-1 beside a capital, a
digit between two small letters, three letters and more without a vowel, or five consonants in a row. It is blurred if it
is strange for one of the last three without a capital inside, as abbreviated names in program text have.
"""

from __future__ import annotations

from tonsai_pipeline.compiled import inner, kernel
from tonsai_pipeline.text import characters as ch
from tonsai_pipeline.text.utf8 import decode


@inner
def lacks_vowels(letters, capitals, vowels, longest):
    """Tell whether letters are no word; `longest` is the longest run of consonants. Acronyms are."""
    return capitals < letters and ((letters >= 3 and vowels == 0) or longest >= 5)


@kernel
def read_word(data, at, stop, kinds):
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
    damaged = enclosed or lacks_vowels(letters, capitals, vowels, longest)
    strange = (inner and not camel) or damaged
    strange = strange or (high > 0 and capitals > 0 and inner)
    strange = strange or (digits > 0 and letters > 1 and inner)
    return letters, strange, damaged and not inner


@inner
def _is_vowel(letter):
    """Tell whether a small ASCII letter is a vowel."""
    return letter in (0x61, 0x65, 0x69, 0x6F, 0x75, 0x79)
