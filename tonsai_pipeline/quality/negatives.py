r"""Good texts -> imitations of junk made from their words, kind by kind, so that a classifier learns kinds, not files.

    page ──take it apart──▶ words ──put together as──▶ menu | tags | table | slogans | salad

Whoever learns from files of junk knows the words of those files. These have the words of good text and the form of
what nobody reads: what tells them apart is the form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import xxhash

from tonsai_pipeline.text.clusters import clusters

#: Bumped when the same text would be imitated otherwise.
NEGATIVES_VERSION = 1
_CLUSTERS_PER_WORD = (2, 5)
_MIN_WORDS = 8


def imitate_junk(
    texts: Sequence[str], seed: int = 0, kinds: Sequence[str] | None = None
) -> list[str]:
    """Return one imitation of each text, of a kind that the text and the seed decide; "" for a text too short.

    Args:
        texts: Good texts.
        seed: Another seed, other imitations.
        kinds: Names of `KINDS` to choose from; None for all.

    Example:
        >>> page = "The old farmer walked to the market in the morning and sold two bags of rice."
        >>> imitate_junk([page]) == imitate_junk([page]) != imitate_junk([page], seed=1)
        True
    """
    chosen = [KINDS[name] for name in kinds or KINDS]
    imitations = []
    for text in texts:
        hashed = xxhash.xxh3_64_intdigest(text.encode(), seed=seed)
        words = _words(text)
        make = chosen[hashed % len(chosen)]
        long = len(words) >= _MIN_WORDS
        imitations.append(make(words, np.random.default_rng(hashed)) if long else "")
    return imitations


def _words(text: str) -> list[str]:
    """Split at spaces; a run of Khmer is cut into pieces of a word's length, on clusters."""
    found = []
    for run in text.split():
        spans = clusters(run)
        if len(spans) <= _CLUSTERS_PER_WORD[1]:
            found.append(run)
            continue
        starts = [0, *(int(start) for start, _ in spans[3::3]), len(run)]
        found += [run[start:end] for start, end in pairwise(starts)]
    return found


def _menu(words: list[str], random: np.random.Generator) -> str:
    """Lines of one to three words: navigation, lists of commands, of names."""
    lines = [
        " ".join(words[at : at + int(random.integers(1, 4))]).rstrip(".\u17d4, ")
        for at in _starts(words, random, most=60)
    ]
    return "\n".join(lines)


def _tags(words: list[str], random: np.random.Generator) -> str:
    """Keywords on one line."""
    mark = str(random.choice([", ", " | ", " / ", " \u2022 ", " - ", " #"]))
    return mark.join(words[at].strip(".\u17d4, ") for at in _starts(words, random, most=50))


def _table(words: list[str], random: np.random.Generator) -> str:
    """Rows of a word and numbers."""
    rows = []
    for at in _starts(words, random, most=40):
        numbers = random.integers(0, 10 ** random.integers(1, 6), size=int(random.integers(1, 5)))
        rows.append(" ".join([words[at], *map(str, numbers)]))
    return "\n".join(rows)


def _slogans(words: list[str], random: np.random.Generator) -> str:
    """One phrase again and again between others: what is written for search engines."""
    at = int(random.integers(0, len(words) - 3))
    phrase = " ".join(words[at : at + 3])
    others = [" ".join(words[i : i + 2]) for i in _starts(words, random, most=30)]
    return " ".join(f"{phrase} {other}" for other in others)


def _salad(words: list[str], random: np.random.Generator) -> str:
    """The words in no order, without their sentence ends."""
    chosen = [words[i].strip(".\u17d4,!? ") for i in random.permutation(len(words))[:150]]
    return " ".join(word for word in chosen if word)


def _starts(words: list[str], random: np.random.Generator, *, most: int) -> list[int]:
    num = int(random.integers(min(6, len(words)), min(most, len(words)) + 1))
    return [int(i) for i in random.permutation(len(words))[:num]]


#: Name -> what makes it.
KINDS: Mapping[str, Callable[[list[str], np.random.Generator], str]] = {
    "menu": _menu,
    "tags": _tags,
    "table": _table,
    "slogans": _slogans,
    "salad": _salad,
}
