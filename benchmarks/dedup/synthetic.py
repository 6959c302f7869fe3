"""document numbers -> texts with planted copies, each part by itself: no memory of what was written before.

Word `i` of document `d` is a hash of (origin of d, i), so a copy of any earlier document is made from its number.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tonsai_pipeline.dedup.shingle_units import mix64_array
from tonsai_pipeline.schema import NORMALIZED_DOCUMENTS

COPY_FRAC = 0.1
NEAR_FRAC = 0.1
#: Words of a document: 40 to 200.
_SHORTEST, _LONGEST = 40, 200
_VOCABULARY = 50_000
#: Share of words that a near copy has replaced, at most; the Jaccard similarities spread over 0.5 to 1.
_MAX_EDITED_FRAC = 0.06


def documents(dump: str, first: int, stop: int) -> pa.Table:
    """Write documents `first` to `stop - 1` of the corpus as rows of normalized_documents."""
    number = np.arange(first, stop, dtype=np.uint64)
    origin, edited_frac = _plan(number)
    num_words = _SHORTEST + (_mix(origin, 11) % np.uint64(_LONGEST - _SHORTEST)).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(num_words)]).astype(np.int64)
    place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], num_words)
    source, own = np.repeat(origin, num_words), np.repeat(number, num_words)
    salt = place.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    words = _mix(source ^ salt, 1)
    is_edited = _unit(_mix(own ^ salt, 2)) < np.repeat(edited_frac, num_words)
    words = np.where(is_edited, _mix(own ^ salt, 3), words) % np.uint64(_VOCABULARY)
    lists = pa.ListArray.from_arrays(offsets.astype(np.int32), vocabulary().take(pa.array(words)))
    text = pc.binary_join(lists, " ").cast(pa.large_string())
    return _rows(dump, number, text)


def planted(num_documents: int) -> tuple[int, int]:
    """Return how many documents are exact copies, and how many edited ones."""
    number = np.arange(num_documents, dtype=np.uint64)
    origin, edited = _plan(number)
    is_copy = origin != number
    return int((is_copy & (edited == 0)).sum()), int((is_copy & (edited > 0)).sum())


@cache
def vocabulary() -> pa.StringArray:
    """Return made-up words: half of Khmer letters, half of Latin ones."""
    rng = np.random.default_rng(0)
    words = []
    for index in range(_VOCABULARY):
        first, last, size = (0x1780, 0x17A2, 4) if index % 2 else (ord("a"), ord("z"), 6)
        words.append("".join(chr(c) for c in rng.integers(first, last + 1, size)))
    return pa.array(words)


def _plan(number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each document's origin (itself for most), and the share of words it replaces."""
    luck = _unit(_mix(number, 21))
    earlier = (_unit(_mix(number, 22)) * number).astype(np.uint64)
    is_copy = (luck < COPY_FRAC + NEAR_FRAC) & (number > 0)
    origin = np.where(is_copy, earlier, number)
    edited = np.where(
        is_copy & (luck >= COPY_FRAC), _unit(_mix(number, 23)) * _MAX_EDITED_FRAC, 0.0
    )
    return origin, edited


def _mix(values: np.ndarray, salt: int) -> np.ndarray:
    return mix64_array(values * np.uint64(0xD1B54A32D192ED03) + np.uint64(salt * 0x9E3779B9 + 1))


def _unit(values: np.ndarray) -> np.ndarray:
    return (values >> np.uint64(11)).astype(np.float64) / 2**53


def _rows(dump: str, number: np.ndarray, text: pa.Array) -> pa.Table:
    size = len(number)
    columns: dict[str, object] = {
        "doc_id": [f"{dump}/0/{n}" for n in number],
        "text": text,
        "source": [dump.split("@", maxsplit=1)[0]] * size,
        "dump": [dump] * size,
        "lang": ["mixed"] * size,
        "khmer_frac": np.zeros(size, np.float32),
        "num_bytes": pc.binary_length(text),
    }
    for name in ("url", "title", "meta"):
        columns[name] = pa.nulls(size, pa.string())
    for name in NORMALIZED_DOCUMENTS.names:
        if name not in columns:
            columns[name] = np.zeros(size, np.int32)
    return pa.table(
        {name: columns[name] for name in NORMALIZED_DOCUMENTS.names}, schema=NORMALIZED_DOCUMENTS
    )
