"""UTF-8 bytes of one document -> counts of characters, lines and paragraphs. One compiled pass.

Lines and paragraphs are kept as (hash, length) only; the caller owns the scratch arrays.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from tonsai_pipeline.compiled import inner
from tonsai_pipeline.quality import characters as ch
from tonsai_pipeline.text.utf8 import decode

#: A line shorter than this is short; FineWeb's figure (datatrove, `short_line_length`). Khmer too: its
#: letters are narrower, and its lines are sentences rather than wrapped text.
SHORT_LINE_CHARS = 30

_FNV_START = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)


class Count(IntEnum):
    """Index of a count in the row that `scan_page` fills; all are numbers of things in the document."""

    CHARS = 0  # invisible ones and line ends left out
    VISIBLE = 1  # no spaces either
    LETTERS = 2  # Khmer, and letters and marks of any other script
    KHMER = 3
    LATIN1 = 4  # letters of U+00C0..U+024F and symbols of U+00A1..U+00BF
    DIGITS = 5
    SYMBOLS = 6
    PUNCTUATION = 7
    SENTENCES = 8
    LINES = 9  # lines with something on them
    PARAGRAPHS = 10
    ENDED_LINES = 11
    ENDED_CHARS = 12  # characters on lines that end in a sentence end
    SHORT_LINES = 13
    SHORT_CHARS = 14
    BULLET_LINES = 15
    ELLIPSIS_LINES = 16
    LINKS = 17
    ADDRESSES = 18  # an at sign between letters or digits
    PLACEHOLDERS = 19
    LAST_LINE_ENDS = 21  # 1 where the last line ends in a sentence end, and not in an ellipsis
    DIGIT_RUNS = 20  # six digits or more within twelve characters: may be a telephone number


@inner
def class_of(classes, code):
    """Return the page class of any code point."""
    if code < len(classes):
        return classes[code]
    if 0x1F000 <= code < 0x20000 or code >= 0xE0000:
        return np.uint8(ch.SYMBOL)
    return np.uint8(ch.LETTER)


@inner
def scan_page(data, start, end, classes, counts, line_hash, line_chars, par_hash, par_chars):
    """Count what is on a page.

    Args:
        data: Valid UTF-8.
        start: First byte of the document.
        end: Byte after the last.
        classes: `page_classes()`.
        counts: float64, shape (len(Count),); zeroed and filled here.
        line_hash: uint64 scratch, at least end - start + 1; filled with the hash of each line.
        line_chars: int64 scratch of the same size; its length.
        par_hash: As `line_hash`, for paragraphs: lines up to a blank one.
        par_chars: As `line_chars`.

    Returns:
        Number of lines, number of paragraphs.
    """
    counts[:] = 0
    num_lines = 0
    num_pars = 0
    paragraph = _FNV_START
    paragraph_chars = 0
    at = start
    while at <= end:
        stop, hashed, chars = _scan_line(data, at, end, classes, counts)
        if chars > 0:
            line_hash[num_lines] = hashed
            line_chars[num_lines] = chars
            num_lines += 1
            paragraph = (paragraph ^ hashed) * _FNV_PRIME
            paragraph_chars += chars
        if paragraph_chars > 0 and (chars == 0 or stop >= end):
            par_hash[num_pars] = paragraph
            par_chars[num_pars] = paragraph_chars
            num_pars += 1
            paragraph = _FNV_START
            paragraph_chars = 0
        at = stop + 1
    counts[Count.LINES] = num_lines
    counts[Count.VISIBLE] = (
        counts[Count.LETTERS]
        + counts[Count.DIGITS]
        + counts[Count.SYMBOLS]
        + counts[Count.PUNCTUATION]
    )
    counts[Count.PARAGRAPHS] = num_pars
    return num_lines, num_pars


@inner
def _scan_line(data, at, end, classes, counts):
    """Count one line; return where it stops (its line end or `end`), its hash and its length.

    Letters come in runs: most of the bytes of a text are read in the small loop of `_letters`.
    """
    hashed = _FNV_START
    chars = 0  # up to the last visible character
    spaces = 0  # since then
    first = 0
    last = 0  # class of the last character that is no space and no closer
    dots = 0
    previous = ch.SPACE
    previous_code = 0
    digits = 0
    digit_gap = 0
    while at < end:
        if data[at] == 0x20:
            at, spaces, digit_gap = at + 1, spaces + 1, digit_gap + 1
            previous, previous_code = ch.SPACE, 0x20
            continue
        before = hashed if spaces == 0 or chars == 0 else (hashed ^ np.uint64(0x20)) * _FNV_PRIME
        stop, hashed_letters, letters, khmer = _letters(data, at, end, classes, before)
        if letters:
            spaces = 0 if chars == 0 else spaces
            first = first if chars else ch.LETTER
            chars += spaces + letters
            spaces, digit_gap, dots = 0, digit_gap + letters, 0
            hashed = hashed_letters
            counts[Count.LETTERS] += letters
            counts[Count.KHMER] += khmer
            if data[stop - 1] == 0x77 and stop < end and data[stop] == 0x2E:  # "w."
                before_it = np.int64(data[stop - 2]) if letters > 1 else previous_code
                counts[Count.LINKS] += before_it == 0x77
            last = previous = ch.LETTER
            previous_code = np.int64(data[stop - 1])
            at = stop
            continue
        code, length = decode(data, at)
        kind = class_of(classes, code)
        if kind == ch.NEWLINE:
            at += length - 1
            break
        at += length
        if kind == ch.INVISIBLE:
            continue
        if kind == ch.SPACE:
            spaces, digit_gap = spaces + 1, digit_gap + 1
            previous, previous_code = kind, code
            continue
        if chars == 0:
            first, spaces = kind, 0
        chars += spaces + 1
        spaces = 0
        hashed = (before ^ np.uint64(code)) * _FNV_PRIME
        _count_character(code, kind, counts)
        if kind == ch.DIGIT:
            digits = digits + 1 if digit_gap <= 1 else 1
            digit_gap = 0
            counts[Count.DIGIT_RUNS] += digits == 6
        else:
            digit_gap += 1
            if kind == ch.ENDER:
                counts[Count.SENTENCES] += _ends_sentence(data, at, end, code, classes)
            if kind == ch.PUNCTUATION or kind == ch.SYMBOL:
                _count_marks(data, at, end, code, previous, counts)
        if kind != ch.CLOSER:
            last = kind
            dots = 3 if code == 0x2026 else (dots + 1 if code == 0x2E else 0)
        previous, previous_code = kind, code
    if chars > 0:
        _count_line(chars, first, last, dots, counts)
    return at, hashed, chars


@inner
def _letters(data, at, end, classes, hashed):
    """Read ASCII and Khmer letters; return where they stop, the hash of the line, how many, and how many are Khmer."""
    letters, khmer = 0, 0
    while at < end:
        byte = data[at]
        if byte < 0x80:
            if classes[byte] != ch.LOWER and classes[byte] != ch.UPPER:
                break
            code = np.uint64(byte)
            at += 1
        elif byte == 0xE1:
            code = np.uint64(0x1000 | (data[at + 1] & 0x3F) << 6 | (data[at + 2] & 0x3F))
            if classes[code] != ch.KHMER:
                break
            khmer += 1
            at += 3
        else:
            break
        letters += 1
        hashed = (hashed ^ code) * _FNV_PRIME
    return at, hashed, letters, khmer


@inner
def _ends_sentence(data, at, end, code, classes):
    """Tell whether a mark that ends sentences does; `at` is the byte after it. A point in a number does not."""
    following = class_of(classes, decode(data, at)[0]) if at < end else np.uint8(ch.NEWLINE)
    inside = code == 0x2E and following >= ch.LOWER and following <= ch.DIGIT
    return not inside and following != ch.ENDER


@inner
def _count_character(code, kind, counts):
    """Count a character that is not in a run of letters."""
    if kind >= ch.LOWER and kind <= ch.KHMER:
        counts[Count.LETTERS] += 1
        counts[Count.KHMER] += kind == ch.KHMER
    elif kind == ch.DIGIT:
        counts[Count.DIGITS] += 1
    elif kind == ch.SYMBOL:
        counts[Count.SYMBOLS] += 1
    else:
        counts[Count.PUNCTUATION] += 1
    if 0xA1 <= code < 0x250 and code != 0xAB and code != 0xBB:
        counts[Count.LATIN1] += 1


@inner
def _count_marks(data, at, end, code, previous, counts):
    """Count links, addresses and placeholders; `at` is the byte after `code`, which is no letter."""
    if at >= end:
        return
    following = data[at]
    letter_follows = (following | 0x20) >= 0x61 and (following | 0x20) <= 0x7A
    digit_follows = 0x30 <= following <= 0x39
    if code == 0x3A and following == 0x2F and at + 1 < end and data[at + 1] == 0x2F:
        counts[Count.LINKS] += 1
    elif (
        code == 0x40
        and previous >= ch.LOWER
        and previous <= ch.DIGIT
        and (letter_follows or digit_follows)
    ):
        counts[Count.ADDRESSES] += 1
    elif (
        code == 0x25
        and previous != ch.DIGIT
        and (letter_follows or digit_follows or following == 0x24)
    ):
        counts[Count.PLACEHOLDERS] += 1  # %s %1 %$1
    elif code == 0x24 and (letter_follows or following == 0x28 or following == 0x7B):
        counts[Count.PLACEHOLDERS] += 1  # $name $( ${
    elif code == 0x7B or (code == 0x3C and (letter_follows or following == 0x2F)):
        counts[Count.PLACEHOLDERS] += 1  # { <b </b
    elif (code == 0x7E or code == 0x26) and letter_follows and previous == ch.SPACE:
        counts[Count.PLACEHOLDERS] += 1  # ~File &File: the accelerators of menus
    elif code == 0x5C and (following == 0x6E or following == 0x74):
        counts[Count.PLACEHOLDERS] += 1  # \n \t


@inner
def _count_line(chars, first, last, dots, counts):
    counts[Count.CHARS] += chars
    if last == ch.ENDER:
        counts[Count.ENDED_LINES] += 1
        counts[Count.ENDED_CHARS] += chars
    counts[Count.LAST_LINE_ENDS] = last == ch.ENDER and dots < 3
    if chars < SHORT_LINE_CHARS:
        counts[Count.SHORT_LINES] += 1
        counts[Count.SHORT_CHARS] += chars
    if first == ch.BULLET:
        counts[Count.BULLET_LINES] += 1
    if dots >= 3:
        counts[Count.ELLIPSIS_LINES] += 1
