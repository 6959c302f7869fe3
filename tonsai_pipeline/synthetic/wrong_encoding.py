"""correct Khmer text -> the same text, spelt with code points in wrong orders that look alike.

What Khmer keyboards and editors really let people type. Every defect here is undone by the repairs of Unicode Technical
Note #61 with zero-width spaces stripped, so the original is the right answer.

Source: Unicode Technical Note #61, "Khmer Encoding Structure" version 2 (2025), pp. 16-32, for which spellings look alike.
"""

from __future__ import annotations

from functools import lru_cache
from random import Random

import regex

from tonsai_pipeline.synthetic.likeness import CLUSTER
from tonsai_pipeline.text import codepoints

#: Sorts of defect: see `_REWRITES`, and `zwsp` (a zero-width space between two clusters of a word).
DEFECTS: tuple[str, ...] = (
    "coeng_ro_first",
    "vowel_before_coeng",
    "vowel_split",
    "coeng_da",
    "sign_before_vowel",
    "u_for_shifter",
    "coeng_twice",
    "zwsp",
)

_COENG, _ZWSP, _U = chr(codepoints.COENG), chr(codepoints.ZWSP), chr(codepoints.VOWEL_U)
_RO, _TA, _DA = chr(codepoints.LETTER_RO), chr(codepoints.LETTER_TA), chr(codepoints.LETTER_DA)
_CLUSTER = regex.compile(CLUSTER)
_STRONG = r"[\u1780-\u1783\u1785-\u1788\u178A-\u178D\u178F-\u1792\u1795-\u1797\u179E-\u17A0\u17A2]"
# The weak consonants beyond doubt: nasals and half vowels. Which shifter a cluster takes follows from its strength.
_WEAK = r"[\u1784\u1789\u1793\u1798-\u179B\u179C]"
_ABOVE = r"[\u17B7-\u17BA\u17BE]"

#: sort of defect -> pattern of a right cluster, replacement.
_REWRITES: dict[str, tuple[str, str]] = {
    # Coeng ro is drawn before the base whatever its place in the text.
    "coeng_ro_first": (rf"({_COENG}[\u1780-\u17A2])({_COENG}{_RO})", r"\2\1"),
    "vowel_before_coeng": (rf"((?:{_COENG}[\u1780-\u17A2])+)([\u17B6-\u17C5])", r"\2\1"),
    # oo is drawn as e and aa, oe as e and ii.
    "vowel_split": (r"\u17C4|\u17BE", ""),
    "coeng_da": (rf"{_COENG}{_TA}", f"{_COENG}{_DA}"),
    "sign_before_vowel": (r"([\u17B6-\u17C5])([\u17C6\u17C7])", r"\2\1"),
    # Under a vowel above the base, a shifter is drawn like the vowel u.
    "u_for_shifter": (
        rf"(^(?:{_STRONG}(?:{_COENG}{_STRONG})?(?=\u17CA)|{_WEAK}(?=\u17C9)))[\u17C9\u17CA]({_ABOVE})",
        rf"\1{_U}\2",
    ),
    "coeng_twice": (_COENG, _COENG + _COENG),
}
_SPLIT = {"\u17c4": "\u17c1\u17b6", "\u17be": "\u17c1\u17b8"}


def wrong_encoding(
    text: str,
    rng: Random,
    *,
    defect_frac: float = 0.3,
    zwsp_frac: float = 0.1,
    defects: tuple[str, ...] = DEFECTS,
) -> str:
    """Write a Khmer text in wrong code-point order.

    A cluster carries one defect at most, so that the right answer is never in doubt.

    Args:
        text: Khmer in UTN #61 order without zero-width spaces; anything else passes through.
        rng: Chooses the clusters and their defects.
        defect_frac: Share of the clusters that can be spelt wrong which are, 0 to 1.
        zwsp_frac: Share of the places between two clusters of a word that get a zero-width space, 0 to 1.
        defects: Which sorts of `DEFECTS` to use.

    Returns:
        The text with its defects; with at least one if any cluster can hold one.

    Raises:
        ValueError: A sort of defect is unknown.
    """
    unknown = set(defects) - set(DEFECTS)
    if unknown:
        raise ValueError(f"unknown sorts of defect: {sorted(unknown)}; there are {list(DEFECTS)}")
    pieces: list[str] = []
    end = 0
    chances = _chances(text, defects)
    sure = rng.choice(chances)[0] if chances else -1
    possible = dict(chances)
    for match in _CLUSTER.finditer(text):
        if match.start() == end and end and "zwsp" in defects and rng.random() < zwsp_frac:
            pieces.append(_ZWSP)
        pieces.append(text[end : match.start()])
        cluster = match.group()
        sorts = possible.get(match.start(), ())
        if sorts and (match.start() == sure or rng.random() < defect_frac):
            cluster = _rewrite(cluster, rng.choice(sorts))
        pieces.append(cluster)
        end = match.end()
    return "".join([*pieces, text[end:]])


def _chances(text: str, defects: tuple[str, ...]) -> list[tuple[int, tuple[str, ...]]]:
    """Return where a cluster can be spelt wrong, and the sorts of defect that change it."""
    found = (
        (match.start(), _sorts_of(match.group(), defects)) for match in _CLUSTER.finditer(text)
    )
    return [(start, sorts) for start, sorts in found if sorts]


@lru_cache(maxsize=8192)
def _sorts_of(cluster: str, defects: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        sort for sort in defects if sort in _REWRITES and _rewrite(cluster, sort) != cluster
    )


def _rewrite(cluster: str, sort: str) -> str:
    pattern, replacement = _REWRITES[sort]
    if sort == "vowel_split":
        return regex.sub(pattern, lambda match: _SPLIT[match.group()], cluster)
    return regex.sub(pattern, replacement, cluster, count=1)
