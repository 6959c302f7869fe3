"""Converted text -> how much it looks like Khmer, and whether it may enter a corpus.

    (text, codes, unknown codes) ──score_batch──▶ Scores ──Gate.reason──▶ None, or why the page is refused

Each page is converted with every table that may be its own; the best score tells the family, and the same numbers tell whether
to trust it. `docs/khmer.md` has the measurements behind the limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from tonsai_pipeline.text import characters as ch
from tonsai_pipeline.text.clusters import CLUSTER, NO_UNIT, next_unit
from tonsai_pipeline.text.normalize import normalize_batch_report
from tonsai_pipeline.text.tally import join_hashes, unit_hash
from tonsai_pipeline.text.utf8 import batch_of_arrow, batch_of_text, frozen

#: Clusters of the longest sequence; a power of two.
_MAX_UNITS = 4
_NUM_SLOTS = 1 << 13
#: Weight of an unknown code in a score: it is lost, not only out of place.
_UNKNOWN_WEIGHT = 3.0


class Scores(NamedTuple):
    """What a page became with one table.

    Args:
        family: The table's family.
        num_clusters: Khmer clusters.
        coverage_frac: Clusters that stand in a frequent sequence.
        invalid_frac: Marks without a base and syllables that are none, of all clusters.
        unknown_frac: Codes that the table lacks, of all codes.
    """

    family: str
    num_clusters: int
    coverage_frac: float
    invalid_frac: float
    unknown_frac: float

    @property
    def total(self) -> float:
        """One number to choose a family by; higher is better, 1 is the most."""
        return self.coverage_frac - self.invalid_frac - _UNKNOWN_WEIGHT * self.unknown_frac

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, rounded for the eyes."""
        fracs = {name: round(value, 4) for name, value in self._asdict().items() if "_frac" in name}
        return {"family": self.family, "num_clusters": self.num_clusters, **fracs}


@dataclass(frozen=True)
class Gate:
    """What a converted page must be to enter a corpus.

    Args:
        min_coverage_frac: See `Scores`. Real pages of law: 0.57 and more; English and OCR garbage below 0.1.
        max_invalid_frac: See `Scores`. 98 % of real pages: 0.015 and less; pages by the table of another family 0.03.
        max_unknown_frac: See `Scores`.
        min_margin: By how much the best family must lead the second, where no font name tells it.
        min_clusters: Where no font name tells the family, shorter pages say too little.
    """

    min_coverage_frac: float = 0.50
    max_invalid_frac: float = 0.015
    max_unknown_frac: float = 0.005
    min_margin: float = 0.02
    min_clusters: int = 50

    def reason(self, best: Scores, second: Scores | None) -> str | None:
        """Return why a page is refused, None if it may pass; `second` is None where the family is known by name."""
        if second is not None and best.num_clusters < self.min_clusters:
            return "legacy_too_short"
        if best.unknown_frac > self.max_unknown_frac:
            return "legacy_unknown_codes"
        if best.invalid_frac > self.max_invalid_frac:
            return "legacy_invalid_syllables"
        if best.coverage_frac < self.min_coverage_frac:
            return "legacy_no_khmer_words"
        if second is not None and best.total - second.total < self.min_margin:
            return "legacy_family_unclear"
        return None


DEFAULT_GATE = Gate()
#: Every reason for which a page is refused, and what it means.
REFUSALS = {
    "legacy_no_table": "the font's family is known, and no table of it",
    "legacy_too_short": "too few letters to tell the family by",
    "legacy_unknown_codes": "too many codes that the table lacks",
    "legacy_invalid_syllables": "too many syllables that are none of Khmer",
    "legacy_no_khmer_words": "too few frequent sequences of Khmer",
    "legacy_family_unclear": "two families fit about equally well",
}


def score_batch(
    texts: pa.Array, counts: npt.NDArray[np.int32], family: str
) -> tuple[pa.LargeStringArray, list[Scores]]:
    """Normalize texts that `convert_batch` returned with their counts, and score them."""
    normalized, seen = normalize_batch_report(texts)
    covered = _count_covered(*batch_of_arrow(normalized), ch.character_kinds(), _sequences())
    clusters = seen.field("num_clusters").to_numpy()
    damaged = (
        seen.field("num_orphan_marks").to_numpy() + seen.field("num_invalid_clusters").to_numpy()
    )
    scores = [
        Scores(family, int(num), float(hits / max(1, num)), float(bad / max(1, num)), float(lost / max(1, codes)))
        for num, hits, bad, lost, codes in zip(
            clusters, covered, damaged, counts[:, 1], counts[:, 0], strict=True
        )
    ]  # fmt: skip
    return normalized, scores


@cache
def known_sequences() -> list[str]:
    """Return the frequent sequences of clusters."""
    path = resources.files("tonsai_pipeline.text.legacy") / "data" / "frequent_sequences.txt"
    return [line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]


@cache
def _sequences() -> npt.NDArray[np.uint64]:
    """Return the hashes of the frequent sequences in a table that is looked up by their low bits."""
    slots = np.zeros(_NUM_SLOTS, dtype=np.uint64)
    for line in known_sequences():
        _insert(batch_of_text(line).data, ch.character_kinds(), slots)
    return frozen(slots)


# --- compiled ---------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _find(key, slots):
    """Return the slot that holds a key, or the free one where it belongs."""
    slot = np.int64(key & np.uint64(len(slots) - 1))
    while slots[slot] != 0 and slots[slot] != key:
        slot = (slot + 1) & (len(slots) - 1)
    return slot


@njit(cache=True, nogil=True)
def _insert(data, kinds, slots):
    """Add a sequence: the hash of its last cluster, joined with the one before it, and so on."""
    units = np.zeros(_MAX_UNITS, dtype=np.uint64)
    num_units = 0
    start, stop, kind = next_unit(data, 0, len(data), kinds)
    while kind != NO_UNIT:
        units[num_units] = unit_hash(data, start, stop)
        num_units += 1
        start, stop, kind = next_unit(data, stop, len(data), kinds)
    key = units[num_units - 1]
    for unit in range(num_units - 2, -1, -1):
        key = join_hashes(key, units[unit])
    slots[_find(key, slots)] = key


@njit(cache=True, nogil=True)
def _count_covered(data, offsets, kinds, slots):
    """Count the clusters of each text that stand in a sequence of the table; int64, shape (num_texts,)."""
    covered = np.zeros(len(offsets) - 1, dtype=np.int64)
    for text in range(len(covered)):
        end, run, last, num_open = offsets[text + 1], 0, np.int64(-1), 0
        # The clusters before this one, the nearest first.
        first, second, third = np.uint64(0), np.uint64(0), np.uint64(0)
        start, stop, kind = next_unit(data, offsets[text], end, kinds)
        while kind != NO_UNIT:
            if kind == CLUSTER:
                run = run + 1 if start == last else 1
                # Clusters up to here that no sequence covers.
                num_open = num_open + 1 if run > 1 else 1
                unit = unit_hash(data, start, stop)
                two = join_hashes(unit, first)
                three = join_hashes(two, second)
                four = join_hashes(three, third)
                longest = 0
                if run >= 4 and slots[_find(four, slots)] != 0:
                    longest = 4
                elif run >= 3 and slots[_find(three, slots)] != 0:
                    longest = 3
                elif run >= 2 and slots[_find(two, slots)] != 0:
                    longest = 2
                if longest:
                    covered[text] += min(longest, num_open)
                    num_open = 0
                first, second, third = unit, first, second
                last = stop
            start, stop, kind = next_unit(data, stop, end, kinds)
    return covered
