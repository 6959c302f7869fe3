"""Seed -> canaries: random Khmer syllables that stand in no corpus, so that a model which knows them was trained on them.

    seed, number ──canary_texts──▶ texts ──planted in the training rows, so many times each──▶ model
    bits of a canary, bits of others like it ──exposure──▶ how far it stands out

Random text cannot be known by chance, and no rule of spelling or formula of a letter explains it.

Source: Carlini et al. 2019, "The Secret Sharer", arXiv:1802.08232 (canaries, exposure by rank).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tonsai_pipeline.text import codepoints as cp

#: Letters that begin a syllable; the two that only Sanskrit uses are left out.
_BASES = [c for c in range(cp.KHMER_FIRST, cp.LETTER_QA) if c not in (cp.LETTER_SHA, cp.LETTER_SSO)]
_VOWELS = range(cp.VOWEL_AA, cp.VOWEL_AU + 1)
#: Clusters between two spaces: about those of a Khmer phrase.
_PHRASE_CLUSTERS = 8
#: File beside packed rows that says which canaries are in them.
CANARIES_NAME = "canaries.json"


def canary_texts(num_texts: int, num_clusters: int, *, seed: int) -> list[str]:
    """Draw texts of nine bits a cluster, left alone by the normalizer.

    Args:
        num_texts: How many.
        num_clusters: Khmer clusters of each.
        seed: Of the draws; the first texts are the same however many there are.

    Example:
        >>> [len(text) for text in canary_texts(2, 16, seed=0)]
        [33, 33]
        >>> canary_texts(1, 16, seed=0) == canary_texts(2, 16, seed=0)[:1]
        True
    """
    generator = np.random.default_rng(seed)
    texts = []
    for _ in range(num_texts):
        bases = generator.choice(_BASES, num_clusters)
        vowels = generator.choice(_VOWELS, num_clusters)
        clusters = [chr(base) + chr(vowel) for base, vowel in zip(bases, vowels, strict=True)]
        starts = range(0, num_clusters, _PHRASE_CLUSTERS)
        texts.append(" ".join("".join(clusters[at : at + _PHRASE_CLUSTERS]) for at in starts))
    return texts


def exposure(bits: float, others: Sequence[float]) -> float:
    """Return how far a canary stands out among texts that were drawn alike and never planted.

    Args:
        bits: What the model needs for the canary.
        others: What it needs for each of the others.

    Returns:
        log2 of the number of texts, less log2 of the canary's rank: about 1 for a text that was never seen,
        `log2(len(others) + 1)` for one that the model finds likelier than all others.

    Example:
        >>> exposure(1.0, [2.0, 3.0, 4.0]), exposure(9.0, [2.0, 3.0, 4.0])
        (2.0, 0.0)
    """
    rank = 1 + sum(other <= bits for other in others)
    return math.log2((len(others) + 1) / rank)
