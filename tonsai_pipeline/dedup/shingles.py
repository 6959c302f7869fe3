"""Text -> hashed shingles, without a word segmenter.

    UTF-8 buffer ──units──▶ Khmer clusters | words ──window──▶ 64-bit shingle hashes, per document

The unit is chosen by script, run by run: an orthographic cluster where the script is Khmer, one letter in
the other scripts that write without spaces (Thai, Lao, Burmese, Chinese, Japanese), a word elsewhere. A shingle is
a window worth `clusters_per_shingle` clusters or `words_per_shingle` words or any blend of the two, so a
page that mixes scripts is not chopped into scraps at every borrowed word. A document shorter than one
window is one shingle: nothing is too short to be compared.

Texts are meant to be dedup keys (`text/dedup_key.py`): folded, but with their marks. Separators never count.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
from numba import njit

#: Bumped when the same text would give other shingle hashes; part of every scheme id.
SHINGLE_VERSION = 1

#: Ours, measured on real Khmer and English; see docs/dedup.md. 12 clusters are about 25 letters or 5 words.
CLUSTERS_PER_SHINGLE = 12
WORDS_PER_SHINGLE = 5

_MAX_UNITS = 63  # a window must fit the ring of 64 prefix hashes
#: Prefix hashes of the last units, a power of two above the longest window.
RING_SIZE = 64
_RING_MASK = RING_SIZE - 1

# What a code point does to the unit that is being read.
_SEPARATOR, _WORD, _BASE, _MARK, _COENG, _LETTER, _IGNORED = range(7)

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd
_PRIME = np.uint64(0x100000001B3)  # FNV-1a's 64-bit prime


@dataclass(frozen=True)
class Shingles:
    """Shingle hashes of many documents, laid end to end.

    Args:
        hashes: uint64, shape (num_shingles,).
        offsets: int64, shape (num_docs + 1,); document i owns `hashes[offsets[i]:offsets[i + 1]]`.
    """

    hashes: np.ndarray
    offsets: np.ndarray

    @property
    def num_docs(self) -> int:
        """Number of documents, empty ones included."""
        return len(self.offsets) - 1

    def of(self, doc: int) -> np.ndarray:
        """Return the hashes of one document."""
        return self.hashes[self.offsets[doc] : self.offsets[doc + 1]]


def shingle(
    texts: pa.Array,
    *,
    clusters_per_shingle: int = CLUSTERS_PER_SHINGLE,
    words_per_shingle: int = WORDS_PER_SHINGLE,
) -> Shingles:
    """Hash every shingle of every text, in order, repeats included.

    Args:
        texts: `string` or `large_string` array, shape (num_docs,); nulls count as empty.
        clusters_per_shingle: Khmer clusters in a window, 1..63.
        words_per_shingle: Words in a window, 1..63.

    Returns:
        The hashes. A text without a letter or digit has none.

    Raises:
        ValueError: A window size is out of range, or `texts` is not an array of strings.

    Example:
        >>> one, two = "the quick brown fox jumps", "The quick, brown fox -- jumps"
        >>> found = shingle(pa.array([one, two.lower(), "short text", "?!"]))
        >>> np.diff(found.offsets).tolist()
        [1, 1, 1, 0]
        >>> bool(found.of(0)[0] == found.of(1)[0])
        True
    """
    check_window(clusters_per_shingle, words_per_shingle)
    data, offsets = string_buffers(texts)
    # A unit takes at least two bytes with its separator, save the last one of a document.
    hashes = np.empty((len(data) + len(texts)) // 2 + len(texts) + 1, dtype=np.uint64)
    ends = np.zeros(len(texts) + 1, dtype=np.int64)
    _shingle_batch(
        data, offsets, unit_classes(), clusters_per_shingle, words_per_shingle, hashes, ends
    )
    return Shingles(hashes[: ends[-1]].copy(), ends)


def shingle_sets(shingles: Shingles) -> Shingles:
    """Turn shingle lists into sets: per document sorted, without repeats.

    Example:
        >>> sets = shingle_sets(Shingles(np.array([3, 1, 3, 7], np.uint64), np.array([0, 3, 4])))
        >>> sets.hashes.tolist(), sets.offsets.tolist()
        ([1, 3, 7], [0, 2, 3])
    """
    hashes = shingles.hashes.copy()
    offsets = np.zeros_like(shingles.offsets)
    num_hashes = _sort_unique(hashes, shingles.offsets, offsets)
    return Shingles(hashes[:num_hashes].copy(), offsets)


def string_buffers(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return the UTF-8 bytes (uint8) and offsets (int64, shape (num_docs + 1,)) of a string array.

    The bytes are not copied; a null is an empty text.

    Raises:
        ValueError: `texts` is not a `string` or `large_string` array.
    """
    if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
        raise ValueError(f"texts must be an array of strings, not {texts.type}")
    if texts.null_count:
        texts = texts.fill_null("")
    width = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    _, offset_buffer, data_buffer = texts.buffers()
    if len(texts) == 0 or offset_buffer is None:
        return np.zeros(0, np.uint8), np.zeros(1, np.int64)
    offsets = np.frombuffer(offset_buffer, width)[texts.offset : texts.offset + len(texts) + 1]
    first, last = int(offsets[0]), int(offsets[-1])
    # Arrow may leave out the data buffer, or give an empty one, if every text is empty.
    if data_buffer is None or first == last:
        return np.zeros(0, np.uint8), np.zeros(len(texts) + 1, np.int64)
    data = np.frombuffer(data_buffer, np.uint8)
    return data[first:last], offsets.astype(np.int64) - first


def mix64_array(values: np.ndarray) -> np.ndarray:
    """Scramble each of many 64-bit values; a bijection that looks random. uint64, any shape."""
    return mix64(values.copy())


def check_window(clusters_per_shingle: int, words_per_shingle: int) -> None:
    """Refuse window sizes outside 1..63 with a `ValueError` that names the setting."""
    for name, value in (
        ("clusters_per_shingle", clusters_per_shingle),
        ("words_per_shingle", words_per_shingle),
    ):
        if not 1 <= value <= _MAX_UNITS:
            raise ValueError(f"{name} must be in 1..{_MAX_UNITS}, not {value}")


@cache
def unit_classes() -> np.ndarray:
    """Return what each code point below U+10000 does, uint8, shape (65536,).

    Written as ranges and not read from `unicodedata`, whose answers change with the Python version: a
    signature made today must be the one made after an upgrade.
    """
    classes = np.full(1 << 16, _WORD, dtype=np.uint8)
    for first, last, kind in _RANGES:
        classes[first : last + 1] = kind
    return classes


# Later ranges win.
_RANGES = (
    (0x0000, 0x002F, _SEPARATOR),  # controls, space, ASCII punctuation
    (0x003A, 0x0040, _SEPARATOR),
    (0x005B, 0x0060, _SEPARATOR),
    (0x007B, 0x00A9, _SEPARATOR),
    (0x00AB, 0x00B1, _SEPARATOR),  # U+00AA, U+00B2, B3, B5, B9, BA are letters or digits
    (0x00AD, 0x00AD, _IGNORED),  # soft hyphen: an invitation to break, not a break
    (0x00B4, 0x00B4, _SEPARATOR),
    (0x00B6, 0x00B8, _SEPARATOR),
    (0x00BB, 0x00BF, _SEPARATOR),
    (0x00D7, 0x00D7, _SEPARATOR),
    (0x00F7, 0x00F7, _SEPARATOR),
    (0x0E00, 0x0EFF, _LETTER),  # Thai, Lao
    (0x0E50, 0x0E59, _WORD),  # Thai digits
    (0x0ED0, 0x0ED9, _WORD),  # Lao digits
    (0x1000, 0x109F, _LETTER),  # Burmese
    (0x1680, 0x1680, _SEPARATOR),
    (0x1780, 0x17B3, _BASE),
    (0x17B4, 0x17D1, _MARK),
    (0x17D2, 0x17D2, _COENG),
    (0x17D3, 0x17D3, _MARK),
    (0x17D4, 0x17DC, _SEPARATOR),  # khan, bariyoosan, lek too, riel ...
    (0x17DD, 0x17DD, _MARK),
    (0x17DE, 0x17DF, _SEPARATOR),
    (0x17EA, 0x17FF, _SEPARATOR),
    (0x180E, 0x180E, _SEPARATOR),
    (0x2000, 0x206F, _SEPARATOR),
    (
        0x200B,
        0x200F,
        _IGNORED,
    ),  # zero-width space, joiners, direction marks: invisible, so no difference
    (0x202A, 0x202E, _IGNORED),
    (0x2060, 0x2064, _IGNORED),
    (0x20A0, 0x20CF, _SEPARATOR),  # currency
    (0x2190, 0x2BFF, _SEPARATOR),  # arrows, mathematics, boxes, dingbats
    (0x2E00, 0x2E7F, _SEPARATOR),
    (0x2E80, 0x2FDF, _LETTER),
    (0x3000, 0x303F, _SEPARATOR),
    (0x3040, 0x312F, _LETTER),  # kana, bopomofo
    (0x31A0, 0x31FF, _LETTER),
    (0x3400, 0x9FFF, _LETTER),
    (0xA980, 0xA9DF, _LETTER),  # Javanese
    (0xAA60, 0xAA7F, _LETTER),
    (0xF900, 0xFAFF, _LETTER),
    (0xFE00, 0xFE0F, _IGNORED),  # variation selectors
    (0xFE10, 0xFE6F, _SEPARATOR),
    (0xFEFF, 0xFEFF, _IGNORED),
    (0xFF00, 0xFF0F, _SEPARATOR),
    (0xFF1A, 0xFF20, _SEPARATOR),
    (0xFF3B, 0xFF40, _SEPARATOR),
    (0xFF5B, 0xFF65, _SEPARATOR),
    (0xFFE0, 0xFFFF, _SEPARATOR),
)


@njit(cache=True, nogil=True)
def _shingle_batch(data, offsets, classes, clusters, words, hashes, ends):
    ring_prefix = np.empty(RING_SIZE, dtype=np.uint64)
    ring_weight = np.empty(RING_SIZE, dtype=np.int64)
    powers = powers_of_base(RING_SIZE)
    written = np.int64(0)
    for doc in range(len(offsets) - 1):
        written += shingle_one(
            data, offsets[doc], offsets[doc + 1], classes, clusters, words,
            powers, ring_prefix, ring_weight, hashes[written:],
        )  # fmt: skip
        ends[doc + 1] = written


@njit(cache=True, nogil=True)
def powers_of_base(num_powers):
    """Return 1, B, B^2, ... mod 2^64 for the window hash; uint64, shape (num_powers,)."""
    powers = np.empty(num_powers, dtype=np.uint64)
    powers[0] = np.uint64(1)
    for i in range(1, num_powers):
        powers[i] = powers[i - 1] * _MULTIPLIER
    return powers


@njit(cache=True, nogil=True)
def mix64(value):
    """Scramble 64 bits (the finalizer of MurmurHash3, a bijection)."""
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@njit(cache=True, nogil=True)
def shingle_one(data, start, stop, classes, clusters, words, powers, prefixes, weights, out):
    """Write the shingle hashes of `data[start:stop]` to `out`; return how many.

    One pass. A unit's hash is FNV-1a over code points, scrambled; a window's is a polynomial in the unit
    hashes, taken from prefix sums kept in a ring, so each shingle costs the same however long it is.
    """
    target = clusters * words  # a cluster weighs `words`, a word weighs `clusters`
    num_out = 0
    num_units = 0
    first = 0  # first unit of the window that is still open
    prefix = np.uint64(0)
    weight = 0
    prefixes[0] = prefix
    weights[0] = 0
    kind = _SEPARATOR  # kind of the unit being read
    after_coeng = False
    unit = np.uint64(0)
    pos = start
    while pos <= stop:
        code, width = _decode(data, pos, stop)
        pos += width
        step = _class_of(classes, code)
        if step == _IGNORED:
            continue
        if kind != _SEPARATOR and not _continues(kind, step, after_coeng):
            prefix = prefix * _MULTIPLIER + mix64(unit)
            weight += clusters if kind == _WORD else words
            num_units += 1
            prefixes[num_units & _RING_MASK] = prefix
            weights[num_units & _RING_MASK] = weight
            while weight - weights[first & _RING_MASK] >= target:
                size = num_units - first
                window = prefix - prefixes[first & _RING_MASK] * powers[size]
                out[num_out] = mix64(window + np.uint64(size))
                num_out += 1
                first += 1
            kind = _SEPARATOR
        if step != _SEPARATOR:
            if kind == _SEPARATOR:
                unit = np.uint64(0xCBF29CE484222325)
                kind = _WORD if step == _WORD else (_LETTER if step == _LETTER else _BASE)
            unit = (unit ^ np.uint64(code)) * _PRIME
        after_coeng = step == _COENG
    if num_out == 0 and num_units > 0:
        out[0] = mix64(prefix + np.uint64(RING_SIZE + num_units))
        num_out = 1
    return num_out


@njit(cache=True, nogil=True, inline="always")
def _continues(kind, step, after_coeng):
    """Say whether a code point of class `step` goes on with a unit of the given kind."""
    if kind == _WORD:
        return step == _WORD
    if kind == _BASE:
        return step in (_MARK, _COENG) or (step == _BASE and after_coeng)
    return False


@njit(cache=True, nogil=True, inline="always")
def _class_of(classes, code):
    if code < 65536:
        return np.int64(classes[code])
    if 0x20000 <= code < 0x40000:
        return np.int64(_LETTER)  # rare Chinese characters
    return np.int64(_WORD)


@njit(cache=True, nogil=True, inline="always")
def _decode(data, pos, stop):
    """Return the code point at `pos` and its width; at the end a separator of width 1."""
    if pos >= stop:
        return np.int64(0), 1
    lead = np.int64(data[pos])
    if lead < 0x80:
        return lead, 1
    if lead & 0xF0 == 0xE0 and pos + 3 <= stop:  # Khmer: the loop below costs a tenth of the time
        middle, last = np.int64(data[pos + 1]) & 0x3F, np.int64(data[pos + 2]) & 0x3F
        return ((lead & 0x0F) << 12) | (middle << 6) | last, 3
    if lead < 0xE0:
        width = 2
        code = lead & 0x1F
    elif lead < 0xF0:
        width = 3
        code = lead & 0x0F
    else:
        width = 4
        code = lead & 0x07
    width = min(width, stop - pos)
    for i in range(1, width):
        code = (code << 6) | (np.int64(data[pos + i]) & 0x3F)
    return code, width


@njit(cache=True, nogil=True)
def _sort_unique(hashes, offsets, out_offsets):
    """Sort and deduplicate each document's hashes in place, closing the gaps; return the new length."""
    written = np.int64(0)
    for doc in range(len(offsets) - 1):
        part = np.sort(hashes[offsets[doc] : offsets[doc + 1]])
        begin = written
        for i in range(len(part)):
            if i == 0 or part[i] != part[i - 1]:
                hashes[written] = part[i]
                written += 1
        out_offsets[doc] = begin
    out_offsets[len(offsets) - 1] = written
    return written
