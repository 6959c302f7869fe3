"""Where a document lies: (dump, part, row) <-> document index, its running number over the dumps in their order.

    part names and row counts of every dump ──place──▶ PlacedDump ──locate(indices)──▶ dump, part, row

The lower index has priority: first seen wins. So the decisions of a dump depend on the dumps before it alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.storage.documents import count_rows
from tonsai_pipeline.storage.store import Artifact


@dataclass(frozen=True)
class PlacedDump:
    """A dump with its place in the corpus.

    Args:
        key: Dump key.
        base: Document index of its first document.
        part_names: File names of its parts, in order.
        starts: First row of each part within the dump, then the number of documents.
        normalized: Folder of normalized_documents.
        signatures: Folder of minhash_signatures.
        index: Folder of the sorted runs, once made.
        decisions: Folder of its decisions, once made.
    """

    key: DumpKey
    base: int
    part_names: tuple[str, ...]
    starts: tuple[int, ...]
    normalized: Path
    signatures: Path
    index: Path | None = None
    decisions: Path | None = None

    @property
    def num_docs(self) -> int:
        """Documents in the dump."""
        return self.starts[-1]

    @property
    def decided(self) -> Path:
        """Folder of its decisions; a ValueError if they are not made yet."""
        if self.decisions is None:
            raise ValueError(f"{self.key}: it is not decided yet")
        return self.decisions


@dataclass(frozen=True)
class Address:
    """Where documents lie; three arrays of the same shape.

    Args:
        dump: Index of the dump, int64.
        part: Index of the part within the dump, int64.
        row: Row within the part, int64.
    """

    dump: np.ndarray
    part: np.ndarray
    row: np.ndarray


@dataclass(frozen=True)
class Scope:
    """A dump that is decided, and those that were decided before it.

    Args:
        dumps: All of them in order; the last one is decided now.
    """

    dumps: tuple[PlacedDump, ...]

    @property
    def earlier(self) -> tuple[PlacedDump, ...]:
        """Dumps that are decided already."""
        return self.dumps[:-1]

    @property
    def current(self) -> PlacedDump:
        """The dump that is decided now."""
        return self.dumps[-1]

    @property
    def base(self) -> int:
        """Index of the first document that is decided now."""
        return self.current.base

    @property
    def num_docs(self) -> int:
        """Documents that are decided now."""
        return self.current.num_docs


def place_all(
    normalized: Mapping[DumpKey, Artifact],
    signatures: Mapping[DumpKey, Artifact],
    indexes: Mapping[DumpKey, Artifact],
    decisions: Mapping[DumpKey, Artifact],
) -> tuple[PlacedDump, ...]:
    """Number the documents of all dumps, in the order of `normalized`.

    Args:
        normalized: normalized_documents by dump.
        signatures: minhash_signatures of the same dumps.
        indexes: Their sorted runs, where they are read.
        decisions: Decisions of those that are decided.

    Raises:
        DataError: The signatures are not those of the normalized parts.
    """
    placed: list[PlacedDump] = []
    base = 0
    for key, documents in normalized.items():
        dump = place(key, documents, signatures[key], base=base)
        index, decided = indexes.get(key), decisions.get(key)
        placed.append(
            replace(
                dump,
                index=None if index is None else index.path,
                decisions=None if decided is None else decided.path,
            )
        )
        base += dump.num_docs
    return tuple(placed)


def place(key: DumpKey, normalized: Artifact, signatures: Artifact, *, base: int) -> PlacedDump:
    """Number the documents of a dump.

    Raises:
        DataError: The signatures are not those of the normalized parts.
    """
    names = tuple(path.name for path in normalized.parts())
    signed = tuple(path.name for path in signatures.parts())
    if names != signed:
        raise DataError(
            f"{signatures.path}: its parts are not those of {normalized.path}; "
            "materialize minhash_signatures again"
        )
    counts = [_aligned_rows(normalized.path / name, signatures.path / name) for name in names]
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(int)
    return PlacedDump(key, base, names, tuple(starts.tolist()), normalized.path, signatures.path)


def locate(dumps: list[PlacedDump] | tuple[PlacedDump, ...], doc_indices: np.ndarray) -> Address:
    """Return where the documents with these indices lie.

    Args:
        dumps: The corpus in catalog order.
        doc_indices: int64, any shape.
    """
    bases = np.array([dump.base for dump in dumps], dtype=np.int64)
    dump_of = np.searchsorted(bases, doc_indices, side="right") - 1
    # A dump without documents shares its base with the next one; the last of them is meant, and found.
    part = np.zeros_like(doc_indices)
    row = np.zeros_like(doc_indices)
    for index in np.unique(dump_of):
        chosen = dump_of == index
        starts = np.array(dumps[index].starts[:-1], dtype=np.int64)
        local = doc_indices[chosen] - dumps[index].base
        parts = np.searchsorted(starts, local, side="right") - 1
        part[chosen] = parts
        row[chosen] = local - starts[parts]
    return Address(dump_of, part, row)


def by_part(address: Address) -> Mapping[tuple[int, int], np.ndarray]:
    """Group positions of an address by (dump, part), in corpus order."""
    order = np.lexsort((address.row, address.part, address.dump))
    pairs = np.stack([address.dump[order], address.part[order]], axis=1)
    if len(order) == 0:
        return {}
    starts = np.flatnonzero(np.r_[True, (pairs[1:] != pairs[:-1]).any(axis=1)])
    ends = np.r_[starts[1:], len(order)]
    return {
        (int(pairs[start, 0]), int(pairs[start, 1])): order[start:end]
        for start, end in zip(starts, ends, strict=True)
    }


def _aligned_rows(normalized: Path, signatures: Path) -> int:
    num_rows = count_rows(normalized)
    if count_rows(signatures) != num_rows:
        raise DataError(
            f"{signatures}: {count_rows(signatures)} signatures for {num_rows} documents; "
            "materialize minhash_signatures again"
        )
    return num_rows
