"""Khmer clusters as units of BPE: words -> strings of units, learned merges -> merges of plain text.

    counts of words ──choose_units──▶ Units ──encode──▶ unit strings ──BPE──▶ merges ──expand──▶ text merges

BPE that starts from characters spends its first thousand merges on assembling clusters, and not all of them:
every ninth token of a byte-level Khmer tokenizer starts in the middle of a cluster. Here the common clusters
are assembled first, by merges written down rather than learned, and BPE learns on clusters. The result is an
ordinary BPE model: the same greedy rule, the lowest rank first, gives back exactly these units.

Why that is exact. Three groups of merges, in this order of rank: coeng + consonant (after them every bare
consonant is the base of a cluster); base + next piece, and so on along the cluster (each has a left side that
starts at a base, so none crosses into another cluster, and each cluster has one way to be assembled); then what
was learned on units.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import regex

from tonsai_pipeline.tokenizer.pretokenize import CLUSTERS, cluster_pieces

#: Units are named by private-use characters of plane 15 while BPE learns.
_FIRST_NAME = 0xF0000
_PRIVATE = regex.compile("[\U000f0000-\U000ffffd]")


@dataclass(frozen=True)
class Units:
    """The clusters that BPE takes as one symbol.

    Args:
        subscripts: Coeng + consonant pairs, sorted.
        stacks: Clusters and beginnings of clusters of two pieces or more, shortest first; each one's beginning,
            without its last piece, is a single base or is here too.
    """

    subscripts: tuple[str, ...]
    stacks: tuple[str, ...]
    _names: dict[str, str] = field(init=False, repr=False, compare=False)
    _texts: dict[str, str] = field(init=False, repr=False, compare=False)
    _clusters: dict[str, str] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        names = {
            text: chr(_FIRST_NAME + place)
            for place, text in enumerate((*self.subscripts, *self.stacks))
        }
        object.__setattr__(self, "_names", names)
        object.__setattr__(self, "_texts", {name: text for text, name in names.items()})

    def encode(self, word: str) -> str:
        """Write a word with one character per unit; characters outside units stay.

        Raises:
            ValueError: The word holds a private-use character of plane 15, which here means a unit.

        Example:
            >>> units = Units(subscripts=("្ម",), stacks=("ខ្ម", "ខ្មែ"))
            >>> len("ខ្មែរ"), len(units.encode("ខ្មែរ"))
            (5, 2)
            >>> units.expand(units.encode("ខ្មែរ")) == "ខ្មែរ"
            True
        """
        if not is_nameable(word):
            raise ValueError("a private-use character of plane 15 cannot be told from a unit")
        return CLUSTERS.sub(self._encode_cluster, word)

    def expand(self, symbols: str) -> str:
        """Write unit characters as the text they stand for; the inverse of `encode`."""
        return "".join(self._texts.get(symbol, symbol) for symbol in symbols)

    def merges(self) -> list[tuple[str, str]]:
        """Return the merges that assemble every unit, in order of rank, as plain text."""
        pairs = [(subscript[0], subscript[1]) for subscript in self.subscripts]
        for stack in self.stacks:
            *beginning, last = cluster_pieces(stack)
            pairs.append(("".join(beginning), last))
        return pairs

    def _encode_cluster(self, match: regex.Match[str]) -> str:
        cluster = match.group()
        known = self._clusters.get(cluster)
        if known is None:
            known = self._clusters[cluster] = self._assemble(cluster)
        return known

    def _assemble(self, cluster: str) -> str:
        unit, *rest = cluster_pieces(cluster)
        while rest and unit + rest[0] in self._names:
            unit += rest.pop(0)
        return "".join(self._names.get(piece, piece) for piece in (unit, *rest))


def choose_units(
    words: Mapping[str, int], min_per_million: float, max_stacks: int | None = None
) -> Units:
    """Take every cluster, and beginning of one, that is frequent enough.

    Subscripts are taken however rare they are, so that a bare consonant is always a base.

    Args:
        words: How often each word occurs.
        min_per_million: Occurrences per million clusters, from 0; a cluster must occur at least twice.
        max_stacks: The most frequent ones at most; None for all.

    Example:
        >>> units = choose_units({"ខ្មែរ": 3, "ខ្ញុំ": 1}, min_per_million=2)
        >>> len(units.subscripts), len(units.stacks)
        (2, 2)
    """
    clusters: Counter[str] = Counter()
    for word, count in words.items():
        for cluster in CLUSTERS.findall(word):
            clusters[cluster] += count
    stacks: Counter[str] = Counter()
    subscripts: set[str] = set()
    for cluster, count in clusters.items():
        unit, *rest = cluster_pieces(cluster)
        subscripts.update(piece for piece in rest if len(piece) > 1)
        for piece in rest:
            unit += piece
            stacks[unit] += count
    least = max(2.0, min_per_million * clusters.total() / 1e6)
    chosen = [stack for stack, count in stacks.items() if count >= least]
    # A beginning is at least as frequent as what it begins: no stack is taken without its beginnings.
    chosen.sort(key=lambda stack: (-stacks[stack], len(cluster_pieces(stack)), stack))
    chosen = chosen[:max_stacks]
    chosen.sort(key=lambda stack: len(cluster_pieces(stack)))
    return Units(tuple(sorted(subscripts)), tuple(chosen))


def is_nameable(word: str) -> bool:
    """Return whether a word is free of the private-use characters that name units."""
    return not _PRIVATE.search(word)
