"""two texts -> their exact Jaccard over shingles of 12 Khmer clusters or 5 words.

The truth's own ruler, written apart from `dedup/` on purpose: a measure must not come from what it measures. A text is a
row of *units*: a Khmer orthographic cluster, or a run of any other letters or digits, case-folded. Spaces, punctuation and
invisible characters are no units. A shingle starts at every unit and is the shortest run that is long enough, where a
cluster counts for a twelfth and a word for a fifth: twelve clusters, five words, or a blend where scripts mix.
"""

from __future__ import annotations

import regex

CLUSTERS_PER_SHINGLE = 12
WORDS_PER_SHINGLE = 5

#: Pattern of a Khmer orthographic cluster: a base with its coengs, vowels and signs, in whatever order.
CLUSTER = r"[\u1780-\u17B3](?:\u17D2[\u1780-\u17B3]|[\u17B4-\u17D1\u17D3\u17DD])*"

_INVISIBLE = regex.compile(r"[\u00AD\u200B-\u200D\u2060\uFEFF]")
_UNIT = regex.compile(rf"{CLUSTER}|[\u17E0-\u17E9]+|[^\W\u1780-\u17FF_]+")


def units(text: str) -> list[str]:
    """Cut a text into units.

    >>> units("Rice, 25 kg")
    ['rice', '25', 'kg']
    """
    return _UNIT.findall(_INVISIBLE.sub("", text).casefold())


def shingles(text: str) -> set[tuple[str, ...]]:
    """Return the set of shingles; a text shorter than one shingle is one shingle itself.

    >>> sorted(shingles("one two three four five six"))
    [('one', 'two', 'three', 'four', 'five'), ('two', 'three', 'four', 'five', 'six')]
    """
    row = units(text)
    long_enough = CLUSTERS_PER_SHINGLE * WORDS_PER_SHINGLE
    found, first, length = set(), 0, 0
    for last, unit in enumerate(row):
        length += _length(unit)
        while length >= long_enough:
            found.add(tuple(row[first : last + 1]))
            length -= _length(row[first])
            first += 1
    return found or ({tuple(row)} if row else set())


def jaccard(left: str, right: str) -> float:
    """Return the Jaccard of two texts' shingle sets, 0 to 1; 1 for two texts with no unit.

    >>> jaccard("one two three four five six", "one two three four five seven")
    0.3333333333333333
    """
    return set_jaccard(shingles(left), shingles(right))


def set_jaccard(left: set[tuple[str, ...]], right: set[tuple[str, ...]]) -> float:
    """Return the Jaccard of two shingle sets, 0 to 1; 1 for two empty sets."""
    if not left and not right:
        return 1.0
    num_shared = len(left & right)
    return num_shared / (len(left) + len(right) - num_shared)


def _length(unit: str) -> int:
    """Return how much of a shingle a unit fills, in sixtieths."""
    return WORDS_PER_SHINGLE if "\u1780" <= unit[0] <= "\u17b3" else CLUSTERS_PER_SHINGLE
