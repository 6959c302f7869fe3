"""Documents -> the lines they have, and which of them many earlier documents have as well.

    texts ──split, fold, hash──▶ Lines (document, hash, bytes), each line once a document
    (hash, document) entries, counts of earlier dumps ──in_many──▶ entries behind the first N documents

Only earlier documents are counted, so that a later dump never makes a line of this one boilerplate.
"""

# Arrow makes its compute functions when it is imported; a checker cannot see them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tonsai_pipeline.dedup.exact import exact_keys


@dataclass(frozen=True)
class Lines:
    """Distinct lines of documents; parallel arrays by document, then hash.

    Args:
        docs: Document numbers, int64, shape (num_lines,).
        hashes: uint64, same shape; equal for lines that are equal once folded.
        num_bytes: UTF-8 bytes of all occurrences in the document, int64, same shape.
    """

    docs: np.ndarray
    hashes: np.ndarray
    num_bytes: np.ndarray


def split_lines(texts: pa.Array) -> tuple[pa.Array, np.ndarray]:
    r"""Split texts at newlines.

    Args:
        texts: `string` or `large_string` array, shape (num_docs,).

    Returns:
        All lines end to end, and the document of each, int64.

    Example:
        >>> lines, docs = split_lines(pa.array(["a\nb", "c"]))
        >>> lines.to_pylist(), docs.tolist()
        (['a', 'b', 'c'], [0, 0, 1])
    """
    lists = pc.split_pattern(texts, "\n")
    docs = np.repeat(np.arange(len(texts)), pc.list_value_length(lists).to_numpy())
    return lists.flatten(), docs


def distinct_lines(
    lines: pa.Array, keys: pa.Array, docs: np.ndarray, *, min_line_chars: int
) -> Lines:
    """Hash the lines of each document, each once.

    Args:
        lines: The lines as they are, shape (num_lines,).
        keys: The same folded (`text/dedup_key.py`).
        docs: The document of each, ascending.
        min_line_chars: Lines with a shorter key are left out.

    Raises:
        ValueError: The arrays differ in length.
    """
    if not len(lines) == len(keys) == len(docs):
        raise ValueError(f"{len(lines)} lines, {len(keys)} keys, {len(docs)} documents")
    long_enough = np.flatnonzero(pc.utf8_length(keys).to_numpy() >= min_line_chars)
    hashes = exact_keys(keys.take(pa.array(long_enough)))[:, 0]
    sizes = pc.binary_length(lines).to_numpy()[long_enough].astype(np.int64)
    owners = docs[long_enough]
    order = np.lexsort((hashes, owners))
    owners, hashes, sizes = owners[order], hashes[order], sizes[order]
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = (owners[1:] != owners[:-1]) | (hashes[1:] != hashes[:-1])
    starts = np.flatnonzero(is_first)
    total = np.add.reduceat(sizes, starts) if len(starts) else sizes
    return Lines(owners[starts], hashes[starts], total)


def in_many(
    hashes: np.ndarray,
    docs: np.ndarray,
    old_hashes: np.ndarray,
    old_counts: np.ndarray,
    *,
    max_documents: int,
) -> np.ndarray:
    """Say which lines stand behind the first `max_documents` documents that have them.

    Args:
        hashes: uint64, shape (num_entries,).
        docs: Documents in their order; each line once a document; int64, same shape.
        old_hashes: Hashes of lines in earlier dumps, in any order, repeats allowed; uint64, shape (num_old,).
        old_counts: Documents of earlier dumps that have them, int64, same shape.
        max_documents: Documents that may have a line before it is boilerplate.

    Returns:
        bool, shape (num_entries,).

    Example:
        >>> hashes, docs = np.array([5, 5, 5, 7], np.uint64), np.array([0, 1, 2, 2])
        >>> in_many(hashes, docs, np.array([7], np.uint64), np.array([9]), max_documents=2).tolist()
        [False, False, True, True]
    """
    order = np.lexsort((docs, hashes))
    ordered = hashes[order]
    unique, starts, sizes = np.unique(ordered, return_index=True, return_counts=True)
    place = np.arange(len(ordered)) - np.repeat(starts, sizes)
    before = np.zeros(len(unique), dtype=np.int64)
    at = np.searchsorted(unique, old_hashes)
    known = at < len(unique)
    known[known] = unique[at[known]] == old_hashes[known]
    np.add.at(before, at[known], old_counts[known])
    result = np.empty(len(hashes), dtype=bool)
    result[order] = place + np.repeat(before, sizes) >= max_documents
    return result
