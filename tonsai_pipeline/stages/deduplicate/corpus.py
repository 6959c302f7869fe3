"""Where a document lies: (dump, part, row) <-> ordinal, its running number in catalog order <-> its turn.

    part names and row counts of every dump ──place──▶ PlacedDump ──locate(ordinals)──▶ dump, part, row
    dumps, and who is asked ──▶ Scope: ordinals <-> turns

The *turn* says who comes first, and first seen wins. In catalog order it is the ordinal, so that the decisions of
a dump depend on the dumps before it alone. Ranked by quality it is the rank in the whole corpus.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.storage.documents import count_rows
from tonsai_pipeline.storage.runs import load_array
from tonsai_pipeline.storage.store import Artifact


@dataclass(frozen=True)
class PlacedDump:
    """A dump with its place in the corpus.

    Args:
        key: Dump key.
        base: Ordinal of its first document.
        part_names: File names of its parts, in order.
        starts: First row of each part within the dump, then the number of documents.
        normalized: Folder of normalized_documents.
        signatures: Folder of minhash_signatures.
        index: Folder of the sorted runs, once made.
        decisions: Folder of its decisions, once made.
    """

    key: str
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

    @property
    def source(self) -> str:
        """Name of the source that the dump is a snapshot of."""
        return self.key.split("@")[0]


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
    """The dumps that are decided together, and those that were decided before them.

    Args:
        dumps: The corpus up to and with the dumps that are decided now, in catalog order.
        num_current: How many of them, at the end, are decided now.
        ranking: Folder with `turns.npy` (by ordinal) and `ordinals.npy` (by turn), int64, if the corpus is
            ranked; all of it is decided together then. None: the turn is the ordinal.
    """

    dumps: tuple[PlacedDump, ...]
    num_current: int = 1
    ranking: Path | None = None

    @property
    def earlier(self) -> tuple[PlacedDump, ...]:
        """Dumps that are decided already."""
        return self.dumps[: -self.num_current]

    @property
    def current(self) -> tuple[PlacedDump, ...]:
        """Dumps that are decided now."""
        return self.dumps[-self.num_current :]

    @property
    def base(self) -> int:
        """First turn that is decided now."""
        return self.current[0].base

    @property
    def num_docs(self) -> int:
        """Documents that are decided now."""
        return sum(dump.num_docs for dump in self.current)

    def turns(self, ordinals: np.ndarray) -> np.ndarray:
        """Return the turns of documents of the current dumps; int64."""
        if self.ranking is None:
            return ordinals
        return np.array(load_array(self.ranking / "turns.npy", mapped=True)[ordinals])

    def ordinals(self, turns: np.ndarray) -> np.ndarray:
        """Return the ordinals of documents by their turns; int64."""
        if self.ranking is None:
            return turns
        return np.array(load_array(self.ranking / "ordinals.npy", mapped=True)[turns])

    def locate(self, turns: np.ndarray) -> Address:
        """Return where the documents with these turns lie."""
        return locate(self.dumps, self.ordinals(turns))


def place(key: str, normalized: Artifact, signatures: Artifact, *, base: int) -> PlacedDump:
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


def locate(dumps: list[PlacedDump] | tuple[PlacedDump, ...], ordinals: np.ndarray) -> Address:
    """Return where the documents with these ordinals lie.

    Args:
        dumps: The corpus in catalog order.
        ordinals: int64, any shape.
    """
    bases = np.array([dump.base for dump in dumps], dtype=np.int64)
    dump_of = np.searchsorted(bases, ordinals, side="right") - 1
    # A dump without documents shares its base with the next one; the last of them is meant, and found.
    part = np.zeros_like(ordinals)
    row = np.zeros_like(ordinals)
    for index in np.unique(dump_of):
        chosen = dump_of == index
        starts = np.array(dumps[index].starts[:-1], dtype=np.int64)
        local = ordinals[chosen] - dumps[index].base
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
