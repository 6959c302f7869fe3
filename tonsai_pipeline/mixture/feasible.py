"""Targets of a run and what whole documents make of them -> new targets, and warnings that name the difference.

    targets, tokens realised ──take_over──▶ targets in which a language's other sources give what one cannot
    targets, tokens realised ──shortfalls──▶ sources that give nothing, languages off by half a point

A document is read whole or not at all. A source of a single long document gives all of it or nothing, whatever
share it is to have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.mixture.budget import Budget

#: A language this far from its share is named, and a source this far from its target cannot be steered, as its
#: documents are too long; in shares of the run.
SHIFT_FRAC = 0.005


def take_over(
    targets: npt.NDArray[np.int64],
    realised: npt.NDArray[np.int64],
    groups: Sequence[str],
    caps: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Let a language's other sources give what one of them cannot, or gives too much.

    Args:
        targets: Tokens wanted, shape (num_stages, num_sources).
        realised: Tokens that the plan for these targets gives, of the same shape.
        groups: Language of each source.
        caps: Most tokens of each source in the run, shape (num_sources,).

    Returns:
        Targets of the same shape. Those of sources that cannot be steered are as before, so that they give the
        same again; the others change in proportion to their targets, as far as their caps allow.

    Example:
        >>> targets = np.array([[300, 300, 400]])
        >>> realised = np.array([[0, 300, 400]])
        >>> take_over(targets, realised, ["khm", "khm", "eng"], np.array([900, 500, 900])).tolist()
        [[300, 500, 400]]
    """
    found = targets.copy()
    asked, given = targets.sum(axis=0), realised.sum(axis=0)
    is_coarse = (np.abs(given - asked) > SHIFT_FRAC * targets.sum()) | ((asked > 0) & (given == 0))
    languages = np.array(groups)
    for language in dict.fromkeys(groups):
        mine = languages == language
        steered = mine & ~is_coarse & (asked > 0)
        if not (mine & is_coarse).any() or not steered.any():
            continue
        wanted = targets[:, mine].sum(axis=1)
        left = np.maximum(0, wanted - realised[:, mine & is_coarse].sum(axis=1))
        whole = targets[:, steered].sum(axis=1)
        factor = np.where(whole > 0, left / np.maximum(whole, 1), 0.0)
        moved = np.floor(targets[:, steered] * factor[:, None])
        scale = np.minimum(1.0, caps[steered] / np.maximum(moved.sum(axis=0), 1))
        found[:, steered] = np.floor(moved * scale)
    return found


def shortfalls(
    targets: Mapping[str, int],
    realised: Mapping[str, int],
    groups: Mapping[str, str],
    num_documents: Mapping[str, int],
    available: Mapping[str, int],
) -> list[str]:
    """Name the sources that give nothing and the languages that are off their share, with what would be feasible.

    Args:
        targets: Tokens that each source is to give.
        realised: Tokens that it gives.
        groups: Language of each source.
        num_documents: Documents of each source.
        available: Tokens of one pass over it.
    """
    total, given = max(1, sum(targets.values())), max(1, sum(realised.values()))
    said = []
    for name, target in targets.items():
        if target > 0 and realised.get(name, 0) == 0:
            number = num_documents.get(name, 0)
            size = _mean_tokens(name, available, num_documents)
            noun = "1 document has" if number == 1 else f"{number:,} documents have"
            said.append(
                f"{name}: gives no token of its target share of {target / total:.2%}: its {noun} about {size:,.0f} "
                f"tokens and is read whole or not at all, the share asks for {target:,}; feasible is a share of "
                f"{size / 2 / total:.2%} or more, weight 0, or shorter documents"
            )
    for language in dict.fromkeys(groups.values()):
        names = [name for name in targets if groups[name] == language]
        asked = sum(targets[name] for name in names) / total
        share = sum(realised.get(name, 0) for name in names) / given
        if abs(share - asked) > SHIFT_FRAC:
            said.append(
                f"{language}: {share:.2%} of the run in place of {asked:.2%}: its sources cannot give more or less"
            )
    return said


def of_whole_documents(
    planned: Budget,
    available: Mapping[str, float],
    num_documents: Mapping[str, int],
    groups: Mapping[str, str],
    max_epochs: Mapping[str, float],
) -> Budget:
    """Estimate what a budget comes to when documents are read whole and sources take over from each other.

    Args:
        planned: What each source is to give.
        available: Tokens of one pass over each source.
        num_documents: Documents of each source.
        groups: Language of each source.
        max_epochs: Most passes over each source.
    """
    names = list(planned.target_tokens)
    targets = np.array([[planned.target_tokens[name] for name in names]], dtype=np.int64)
    whole = estimate_whole(planned.target_tokens, available, num_documents)
    realised = np.array([[whole[name] for name in names]], dtype=np.int64)
    caps = np.array([available.get(name, 0) * max_epochs[name] for name in names], dtype=np.int64)
    moved = take_over(targets, realised, [groups[name] for name in names], caps)
    given = np.where(moved == targets, realised, moved)[0].tolist()
    tokens = dict(zip(names, given, strict=True))
    total = max(1, sum(given))
    return replace(
        planned,
        target_tokens=tokens,
        epochs={name: tokens[name] / max(1.0, available.get(name, 0)) for name in names},
        shares={name: tokens[name] / total for name in names},
    )


def estimate_whole(
    targets: Mapping[str, int], available: Mapping[str, float], num_documents: Mapping[str, int]
) -> dict[str, int]:
    """Estimate what each source gives: nothing if its share asks for less than half of one of its documents.

    Lengths are means and tokens are estimated from bytes: more than that they cannot tell.

    Example:
        >>> estimate_whole({"a": 30, "b": 70}, {"a": 99, "b": 70}, {"a": 1, "b": 7})
        {'a': 0, 'b': 70}
    """
    return {
        name: 0 if 2 * target < _mean_tokens(name, available, num_documents) else target
        for name, target in targets.items()
    }


def uncertain(
    targets: Mapping[str, int], available: Mapping[str, float], num_documents: Mapping[str, int]
) -> list[str]:
    """Name the sources whose documents are so long that their share is met by chance.

    Example:
        >>> uncertain({"a": 63, "b": 300}, {"a": 100, "b": 300}, {"a": 1, "b": 3000})
        ['a: 1 documents of about 100 tokens for a target share of 17.36%: read whole, it can be off by 13.77 points']
    """
    total = max(1, sum(targets.values()))
    said = []
    for name, target in targets.items():
        size = _mean_tokens(name, available, num_documents)
        if target > 0 and size / 2 > SHIFT_FRAC * total and 2 * target >= size:
            said.append(
                f"{name}: {num_documents.get(name, 0):,} documents of about {size:,.0f} tokens for a target share of "
                f"{target / total:.2%}: read whole, it can be off by {50 * size / total:.2f} points"
            )
    return said


def _mean_tokens(
    name: str, available: Mapping[str, float], num_documents: Mapping[str, int]
) -> float:
    return available.get(name, 0) / max(1, num_documents.get(name, 0))
