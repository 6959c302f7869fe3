"""UTF-8 bytes of one document -> counts of characters, lines and paragraphs. One compiled pass.

Lines and paragraphs are kept as (hash, length) only; the caller owns the scratch arrays.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numba import njit

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


@njit(cache=True, nogil=True)
def class_of(classes, code):
    """Return the page class of any code point."""
    if code < len(classes):
        return classes[code]
    if 0x1F000 <= code < 0x20000 or code >= 0xE0000:
        return np.uint8(ch.SYMBOL)
    return np.uint8(ch.LETTER)


@njit(cache=True, nogil=True)
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
    counts[Count.PARAGRAPHS] = num_pars
    return num_lines, num_pars


@njit(cache=True, nogil=True)
def _scan_line(data, at, end, classes, counts):
    """Count one line; return where it stops (its line end or `end`), its hash and its length."""
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
        code, length = decode(data, at)
        kind = class_of(classes, code)
        if kind == ch.NEWLINE:
            at += length - 1
            break
        at += length
        if kind == ch.INVISIBLE:
            continue
        if kind == ch.SPACE:
            spaces += 1
            digit_gap += 1
            previous = kind
            previous_code = code
            continue
        if chars == 0:
            first = code
            spaces = 0
        elif spaces > 0:
            hashed = (hashed ^ np.uint64(0x20)) * _FNV_PRIME
        chars += spaces + 1
        spaces = 0
        hashed = (hashed ^ np.uint64(code)) * _FNV_PRIME
        _count_character(code, kind, counts)
        if kind == ch.DIGIT:
            digits = digits + 1 if digit_gap <= 1 else 1
            digit_gap = 0
            if digits == 6:
                counts[Count.DIGIT_RUNS] += 1
        else:
            digit_gap += 1
        if kind == ch.ENDER:
            following = class_of(classes, decode(data, at)[0]) if at < end else np.uint8(ch.NEWLINE)
            inside = code == 0x2E and (following <= ch.DIGIT and following >= ch.LOWER)
            if not inside and following != ch.ENDER:
                counts[Count.SENTENCES] += 1
        _count_marks(data, at, end, code, previous, previous_code, counts)
        if kind != ch.CLOSER:
            last = kind
            dots = 3 if code == 0x2026 else (dots + 1 if code == 0x2E else 0)
        previous = kind
        previous_code = code
    if chars > 0:
        _count_line(classes, chars, first, last, dots, counts)
    return at, hashed, chars


@njit(cache=True, nogil=True)
def _count_character(code, kind, counts):
    counts[Count.VISIBLE] += 1
    if kind == ch.KHMER:
        counts[Count.KHMER] += 1
        counts[Count.LETTERS] += 1
    elif kind == ch.LOWER or kind == ch.UPPER or kind == ch.LETTER:
        counts[Count.LETTERS] += 1
    elif kind == ch.DIGIT:
        counts[Count.DIGITS] += 1
    elif kind == ch.SYMBOL:
        counts[Count.SYMBOLS] += 1
    else:
        counts[Count.PUNCTUATION] += 1
    if 0xA1 <= code < 0x250 and code != 0xAB and code != 0xBB:
        counts[Count.LATIN1] += 1


@njit(cache=True, nogil=True)
def _count_marks(data, at, end, code, previous, previous_code, counts):
    """Count links, addresses and placeholders; `at` is the byte after `code`."""
    if at >= end:
        return
    following = data[at]
    letter_follows = (following | 0x20) >= 0x61 and (following | 0x20) <= 0x7A
    digit_follows = 0x30 <= following <= 0x39
    if code == 0x3A and following == 0x2F and at + 1 < end and data[at + 1] == 0x2F:
        counts[Count.LINKS] += 1
    elif code == 0x77 and previous_code == 0x77 and following == 0x2E:  # "ww."
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


@njit(cache=True, nogil=True)
def _count_line(classes, chars, first, last, dots, counts):
    counts[Count.CHARS] += chars
    if last == ch.ENDER:
        counts[Count.ENDED_LINES] += 1
        counts[Count.ENDED_CHARS] += chars
    counts[Count.LAST_LINE_ENDS] = last == ch.ENDER and dots < 3
    if chars < SHORT_LINE_CHARS:
        counts[Count.SHORT_LINES] += 1
        counts[Count.SHORT_CHARS] += chars
    if class_of(classes, first) == ch.BULLET:
        counts[Count.BULLET_LINES] += 1
    if dots >= 3:
        counts[Count.ELLIPSIS_LINES] += 1
