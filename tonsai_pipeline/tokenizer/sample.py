"""How much text there is, and shares -> what part of each source a tokenizer is trained on.

    content bytes and share of each source ──plan_sample──▶ fraction of its documents, repeats of its words

Content, not bytes: Khmer needs 3.25 times the bytes of English for the same content, so a sample balanced by
bytes would starve Khmer of tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class SourceSample(NamedTuple):
    """What is taken of a source: a fraction of its documents, and how often each word of them is counted."""

    frac: float
    repeats: float


def cap_shares(
    shares: Mapping[str, float], languages: Mapping[str, str], max_frac: float
) -> dict[str, float]:
    """Limit what one source gives to its language's part; the others get what it loses, in proportion.

    Args:
        shares: Share of each source.
        languages: Language of each source.
        max_frac: Largest share of its language; where there are too few sources to fill it up, they give alike.

    Returns:
        Shares with the same sum in each language.

    Example:
        >>> cap_shares({"a": 0.4, "b": 0.1, "e": 0.5}, {"a": "khm", "b": "khm", "e": "eng"}, 0.6)
        {'a': 0.3, 'b': 0.2, 'e': 0.5}
    """
    capped = dict(shares)
    for language in dict.fromkeys(languages[name] for name in shares):
        names = [name for name in shares if languages[name] == language and shares[name] > 0]
        total = sum(shares[name] for name in names)
        free, left = names, total
        most = max(max_frac, 1 / max(len(names), 1)) * total
        while over := [n for n in free if shares[n] / sum(shares[m] for m in free) * left > most]:
            for name in over:
                capped[name] = most
            left -= most * len(over)
            free = [name for name in free if name not in over]
            if not free:
                break
        weight = sum(shares[name] for name in free)
        capped |= {name: round(shares[name] / weight * left, 12) for name in free}
    return capped


def plan_sample(
    content_bytes: Mapping[str, float],
    shares: Mapping[str, float],
    *,
    max_content_bytes: float,
    max_repeats: float,
) -> dict[str, SourceSample]:
    """Divide a sample among sources so that each gives its share of content.

    The sample is as large as the text allows without repeating words more than `max_repeats` times, and no
    larger than `max_content_bytes`.

    Args:
        content_bytes: Content of each source, in bytes of an English text that says the same.
        shares: Share of each source of the content; need not sum to 1.
        max_content_bytes: Size of the sample.
        max_repeats: How often a word may count, from 1.

    Returns:
        What is taken of each source that has both a share and text.

    Raises:
        ValueError: No source has both.

    Example:
        >>> plan_sample(
        ...     {"a": 100, "b": 900}, {"a": 0.5, "b": 0.5}, max_content_bytes=800, max_repeats=4.0
        ... )
        {'a': SourceSample(frac=1.0, repeats=4.0), 'b': SourceSample(frac=0.4444444444444444, repeats=1.0)}
    """
    useful = {
        name: share
        for name, share in shares.items()
        if share > 0 and content_bytes.get(name, 0) > 0
    }
    if not useful:
        raise ValueError("no source has both a share of the mixture and text")
    total = sum(useful.values())
    size = min(max_content_bytes, sum(content_bytes[name] for name in useful))
    sample = {}
    for name, share in useful.items():
        ratio = share / total * size / content_bytes[name]
        sample[name] = SourceSample(min(1.0, ratio), float(min(max_repeats, max(1.0, ratio))))
    return sample
