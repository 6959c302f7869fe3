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

import numpy as np
import pyarrow as pa

from tonsai_pipeline.compiled import kernel
from tonsai_pipeline.dedup.shingle_units import (
    MAX_UNITS,
    UNITS_VERSION,
    cut,
    make_cutter,
    make_scratch,
)

#: Bumped when the same text would give other shingle hashes; part of every scheme id.
SHINGLE_VERSION = UNITS_VERSION

#: Ours, measured on real Khmer and English; see docs/dedup.md. 12 clusters are about 25 letters or 5 words.
CLUSTERS_PER_SHINGLE = 12
WORDS_PER_SHINGLE = 5


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

    def joined(self, other: Shingles) -> Shingles:
        """Lay the documents of another behind these."""
        return Shingles(
            np.concatenate([self.hashes, other.hashes]),
            np.concatenate([self.offsets, other.offsets[1:] + self.offsets[-1]]),
        )


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
    cutter = make_cutter(clusters_per_shingle, words_per_shingle)
    _shingle_batch(data, offsets, cutter, hashes, ends)
    return Shingles(hashes[: ends[-1]].copy(), ends)


def shingle_sets(shingles: Shingles) -> Shingles:
    """Document index shingle lists into sets: per document sorted, without repeats.

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


def check_window(clusters_per_shingle: int, words_per_shingle: int) -> None:
    """Refuse window sizes outside 1..63 with a `ValueError` that names the setting."""
    for name, value in (
        ("clusters_per_shingle", clusters_per_shingle),
        ("words_per_shingle", words_per_shingle),
    ):
        if not 1 <= value <= MAX_UNITS:
            raise ValueError(f"{name} must be in 1..{MAX_UNITS}, not {value}")


@kernel
def _shingle_batch(data, offsets, cutter, hashes, ends):
    scratch = make_scratch()
    written = np.int64(0)
    for doc in range(len(offsets) - 1):
        written += cut(data, offsets[doc], offsets[doc + 1], cutter, scratch, hashes[written:])
        ends[doc + 1] = written


@kernel
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
