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

from tonsai_pipeline.compiled import inner, kernel
from tonsai_pipeline.text.normalize import normalize_batch_report
from tonsai_pipeline.text.tally import BEFORE, MAX_STRETCH, MAX_UNITS, join_hashes, read_clusters
from tonsai_pipeline.text.utf8 import batch_of_arrow, batch_of_text, frozen

#: Slots for 4,000 sequences and their ends; a power of two.
_NUM_SLOTS = 1 << 14
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
    covered = _count_covered(*batch_of_arrow(normalized), *_sequences())
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
def _sequences() -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8]]:
    """Return the hashes of the frequent sequences and of their ends, looked up by their low bits, and what each is.

    A sequence is known by its last cluster, then by its last two, and so on: few clusters need a second look-up.
    """
    slots, signs = np.zeros(_NUM_SLOTS, np.uint64), np.zeros(_NUM_SLOTS, np.uint8)
    hashes, spans = _room()
    for line in known_sequences():
        _insert(batch_of_text(line).data, hashes, spans, slots, signs)
    return frozen(slots), frozen(signs)


# --- compiled ---------------------------------------------------------------------------------

#: What an end of a sequence is: a whole one, the end of a longer one.
_IS_WHOLE, _GOES_ON = 1, 2


@kernel
def _room():
    """Return what `read_clusters` writes to."""
    size = BEFORE + MAX_STRETCH + 1
    return np.zeros(size, dtype=np.uint64), np.zeros((size, 4), dtype=np.int64)


@inner
def _find(key, slots):
    """Return the slot that holds a key, or the free one where it belongs."""
    slot = np.int64(key & np.uint64(len(slots) - 1))
    while slots[slot] != 0 and slots[slot] != key:
        slot = (slot + 1) & (len(slots) - 1)
    return slot


@kernel
def _insert(data, hashes, spans, slots, signs):
    """Add a sequence: the hash of its last cluster, joined with the one before it, and so on."""
    _, num, _, _ = read_clusters(data, 0, len(data), hashes, spans)
    key = np.uint64(0)
    for unit in range(BEFORE + num - 1, BEFORE - 1, -1):
        key = join_hashes(key, hashes[unit])
        slot = _find(key, slots)
        slots[slot] = key
        signs[slot] |= _IS_WHOLE if unit == BEFORE else _GOES_ON


@kernel
def _count_covered(data, offsets, slots, signs):
    """Count the clusters of each text that stand in a sequence of the table; int64, shape (num_texts,)."""
    covered = np.zeros(len(offsets) - 1, dtype=np.int64)
    hashes, spans = _room()
    for text in range(len(covered)):
        at, end, run, num_open = offsets[text], offsets[text + 1], 0, 0
        while at < end:
            at, num, _, _ = read_clusters(data, at, end, hashes, spans)
            if num == 0:
                at += 1
                run = 0
            for unit in range(BEFORE, BEFORE + num):
                run += 1
                # Clusters up to here that no sequence covers.
                num_open = num_open + 1 if run > 1 else 1
                longest = _longest(hashes, unit, min(run, MAX_UNITS), slots, signs)
                if longest:
                    covered[text] += min(longest, num_open)
                    num_open = 0
            for unit in range(BEFORE):
                hashes[unit] = hashes[unit + num]
    return covered


@inner
def _longest(hashes, last, most, slots, signs):
    """Return how many clusters the longest sequence has that ends with the cluster `last`, 0 if none does."""
    key, longest, sign, num = np.uint64(0), 0, np.uint8(_GOES_ON), 0
    while sign & _GOES_ON and num < most:
        key = join_hashes(key, hashes[last - num])
        num += 1
        slot = _find(key, slots)
        sign = signs[slot]
        if sign & _IS_WHOLE:
            longest = num
    return longest
