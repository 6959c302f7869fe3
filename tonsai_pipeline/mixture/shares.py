"""Weights, languages and sizes -> the target share of every source; scores and group sizes -> repeats.

languages {khm: 0.6, eng: 0.4} x division within a language (fixed | temperature | unimax) ──▶ shares
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

#: UTF-8 bytes per token of a tokenizer of our own, an estimate for planning before it exists: measured on
#: NTREX-128 with a 32k vocabulary, Khmer 12.5 and English 4.4; a shared 64k vocabulary is a little worse.
BYTES_PER_TOKEN = {"khm": 11.5, "eng": 4.3}


def source_shares(
    sizes: Mapping[str, float],
    languages: Mapping[str, str],
    language_shares: Mapping[str, float],
    *,
    weights: Mapping[str, float],
    strategy: str = "fixed",
    temperature: float = 1.0,
    max_epochs: float | Mapping[str, float] = 4.0,
) -> dict[str, float]:
    """Divide the shares of the languages among their sources.

    Args:
        sizes: Tokens (or their estimate) of each source that has documents; more than 0.
        languages: Language of each source.
        language_shares: Share of each language; sum to 1.
        weights: Weight of each source; 0 leaves it out.
        strategy: `fixed` (by weight), `temperature` (weight x size^(1/temperature)) or `unimax` (evenly, as
            far as `max_epochs` allow).
        temperature: For `temperature`.
        max_epochs: For `unimax`: most passes over a source, for all or by source.

    Returns:
        Share of every source, summing to 1; left-out sources have 0.

    Raises:
        ValueError: A language with a share has no source with documents; the strategy is unknown.

    Example:
        >>> source_shares(
        ...     {"a": 10, "b": 30, "c": 5},
        ...     {"a": "khm", "b": "khm", "c": "eng"},
        ...     {"khm": 0.6, "eng": 0.4},
        ...     weights={"a": 1, "b": 2, "c": 1},
        ... )
        {'a': 0.19999999999999998, 'b': 0.39999999999999997, 'c': 0.4}
    """
    members: dict[str, list[str]] = defaultdict(list)
    for name in sizes:
        if weights[name] > 0:
            members[languages[name]].append(name)
    empty = [
        language
        for language, share in language_shares.items()
        if share > 0 and not members[language]
    ]
    if empty:
        raise ValueError(
            f"language '{empty[0]}' is to give {language_shares[empty[0]]:.1%} of all tokens and no source of it "
            "has documents left; change mixture.languages, or look at why they were dropped"
        )
    if strategy == "unimax":
        parts = _unimax(sizes, members, language_shares, max_epochs)
    elif strategy in ("fixed", "temperature"):
        power = 0.0 if strategy == "fixed" else 1.0 / temperature
        parts = {
            name: weights[name] * sizes[name] ** power
            for names in members.values()
            for name in names
        }
    else:
        raise ValueError(f"strategy {strategy!r} is unknown; use fixed, temperature or unimax")
    shares = dict.fromkeys(sizes, 0.0)
    for language, names in members.items():
        whole = sum(parts[name] for name in names)
        for name in names:
            shares[name] = language_shares.get(language, 0.0) * parts[name] / whole
    return shares


def document_repeats(
    scores: npt.NDArray[np.floating],
    group_sizes: npt.NDArray[np.integer],
    *,
    borders: Sequence[float],
    bucket_repeats: Sequence[float],
    rehydrate: Mapping[int, float],
) -> npt.NDArray[np.float32]:
    """Return how often each document is read relative to the others of its source.

    Args:
        scores: Quality scores, shape (num_docs,).
        group_sizes: Documents in the duplicate group that each one stands for, itself included.
        borders: Scores between the buckets, len(bucket_repeats) - 1 of them.
        bucket_repeats: Repeat of each bucket, lowest scores first; empty: 1.
        rehydrate: Repeat by group size; the entry of the largest size that is reached counts; empty: 1.

    Returns:
        The product of the two, float32, shape (num_docs,); 0 means: leave the document out.

    Example:
        >>> document_repeats(
        ...     np.array([0.1, 0.9]),
        ...     np.array([1, 7]),
        ...     borders=[0.5],
        ...     bucket_repeats=[0.5, 2],
        ...     rehydrate={1: 1, 5: 3},
        ... ).tolist()
        [0.5, 6.0]
    """
    repeats = np.ones(len(scores), dtype=np.float64)
    if bucket_repeats:
        repeats *= np.asarray(bucket_repeats)[
            np.searchsorted(np.asarray(borders), scores, side="right")
        ]
    if rehydrate:
        sizes = sorted(rehydrate)
        values = np.array([1.0, *(rehydrate[size] for size in sizes)])
        repeats *= values[np.searchsorted(sizes, group_sizes, side="right")]
    return repeats.astype(np.float32)


def _unimax(
    sizes: Mapping[str, float],
    members: Mapping[str, list[str]],
    language_shares: Mapping[str, float],
    max_epochs: float | Mapping[str, float],
) -> dict[str, float]:
    """Spread each language's budget evenly over its sources, the smallest first, none beyond its cap.

    The budget is the longest run that the languages allow.

    Source: Chung et al., "UniMax" (ICLR 2023), algorithm 1, with sources in place of languages.
    """
    caps = {
        name: size * (max_epochs[name] if isinstance(max_epochs, Mapping) else max_epochs)
        for name, size in sizes.items()
    }
    totals = {language: sum(caps[n] for n in names) for language, names in members.items()}
    run = min(totals[language] / share for language, share in language_shares.items() if share > 0)
    parts: dict[str, float] = {}
    for language, names in members.items():
        left = run * language_shares.get(language, 0.0) or totals[language]
        for index, name in enumerate(sorted(names, key=lambda n: (caps[n], n))):
            parts[name] = min(left / (len(names) - index), caps[name])
            left -= parts[name]
    return parts
