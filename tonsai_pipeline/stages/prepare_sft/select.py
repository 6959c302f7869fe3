"""Conversations -> which of them stay: the first of those with the same instruction, none with text of an evaluation set.

    instructions ──dedup key──▶ exact copies ──MinHash, exact Jaccard──▶ near ones ──n-grams──▶ contaminated ones

Most Khmer sets are translations of one English set, so copies are looked for across all sources, by what is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tonsai_pipeline.dedup.contamination import EvaluationIndex, find_overlaps
from tonsai_pipeline.dedup.exact import NOT_DUPLICATE, exact_keys, first_copies
from tonsai_pipeline.dedup.greedy import Decisions, Edges, find_candidates, resolve, round_limit
from tonsai_pipeline.dedup.lsh import band_keys, bucket
from tonsai_pipeline.dedup.minhash import SignatureScheme, sign_keys
from tonsai_pipeline.dedup.verify import similarities
from tonsai_pipeline.instructions.formats import Message
from tonsai_pipeline.instructions.turns import instruction_of
from tonsai_pipeline.mixture import split
from tonsai_pipeline.recipe.dedup import DecontaminateConfig
from tonsai_pipeline.recipe.sft import SftConfig
from tonsai_pipeline.stages.decontaminate.evaluation_sets import ngrams_of
from tonsai_pipeline.text.dedup_key import dedup_key_batch

EXACT, NEAR, CONTAMINATED = "exact_duplicate", "near_duplicate", "contaminated"
#: Shingles of instructions, which are short: clusters and words. Ours.
_SCHEME = SignatureScheme(clusters_per_shingle=5, words_per_shingle=2)
#: Pairs of similarity 0.8 share a band with a chance of 1 - 5e-8.
_NUM_BANDS, _ROWS_PER_BAND = 32, 4
#: Conversations held out at least, unless they are more than a tenth. Ours.
_MIN_HELD_OUT, _MAX_HELD_OUT_FRAC = 100, 0.1


class Conversation(NamedTuple):
    """A conversation that may be learned from."""

    source: str
    row: int
    lang: str
    messages: tuple[Message, ...]


@dataclass(frozen=True)
class Selected:
    """What became of the conversations.

    Args:
        reasons: Why each goes, None if it stays.
        held_out: Whether each is held out; of those that stay only.
        duplicate_of: The place of the one that stays for it, -1 without.
    """

    reasons: list[str | None]
    held_out: npt.NDArray[np.bool_]
    duplicate_of: npt.NDArray[np.int64]


def select(
    conversations: Sequence[Conversation],
    index: EvaluationIndex | None,
    *,
    config: SftConfig,
    decontaminate: DecontaminateConfig,
) -> Selected:
    """Choose conversations; of copies the first stays.

    Args:
        conversations: In the order of sources.
        index: N-grams of the evaluation sets; None without.
        config: The recipe's `sft` section.
        decontaminate: The recipe's `dedup.decontaminate` section.
    """
    keys = dedup_key_batch(
        pa.array([instruction_of(one.messages) for one in conversations], pa.large_string())
    )
    exact = exact_keys(keys)
    firsts = first_copies(exact, np.arange(len(exact)))
    reasons: list[str | None] = [EXACT if first != NOT_DUPLICATE else None for first in firsts]
    alone = np.flatnonzero(firsts == NOT_DUPLICATE)
    near = near_copies(keys.take(pa.array(alone)), min_similarity=config.min_similarity)
    for place, kept in zip(alone.tolist(), near.tolist(), strict=True):
        if kept != NOT_DUPLICATE:
            reasons[place], firsts[place] = NEAR, alone[kept]
    if index is not None:
        for place in _contaminated(conversations, index, decontaminate):
            reasons[place] = reasons[place] or CONTAMINATED
    stays = np.array([reason is None for reason in reasons], dtype=bool)
    # A small set needs a larger share to say anything.
    frac = max(config.held_out_frac, min(_MAX_HELD_OUT_FRAC, _MIN_HELD_OUT / max(1, stays.sum())))
    chosen = split.held_out(exact, frac=frac, seed=config.seed) & stays
    return Selected(reasons, chosen, firsts)


def near_copies(keys: pa.Array, *, min_similarity: float) -> npt.NDArray[np.int64]:
    """Return, for each dedup key, the place of the kept one it is like; `NOT_DUPLICATE` where it stays.

    Example:
        >>> asked = ["name three rivers of the kingdom please", "how deep is a well"]
        >>> near_copies(pa.array([*asked, asked[0] + " now"]), min_similarity=0.8).tolist()
        [-1, -1, 0]
    """
    signed = sign_keys(keys, _SCHEME, _SCHEME.permutations())
    bands = band_keys(signed.values, num_bands=_NUM_BANDS, rows_per_band=_ROWS_PER_BAND)
    # Texts without a shingle are like each other in nothing.
    rows = np.flatnonzero(signed.num_shingles > 0)
    buckets = bucket(bands[rows].ravel(), np.repeat(rows, _NUM_BANDS))
    sets = _SCHEME.shingle_sets(keys)
    decisions, edges = Decisions.start(len(keys)), Edges.none()
    positions, number = np.zeros(len(buckets.members), np.int32), 0
    while True:
        found = find_candidates(
            buckets, positions, decisions.status, base=0, limit=round_limit(number)
        )
        alike = similarities(sets, found.earlier, found.later, min_similarity=min_similarity)
        hit = alike >= min_similarity
        edges = edges.joined(Edges(found.earlier[hit], found.later[hit], alike[hit]))
        decisions, edges = resolve(decisions, edges, found.unfinished, base=0)
        positions, number = found.positions, number + 1
        if not len(found.unfinished):
            return decisions.kept_duplicates


def _contaminated(
    conversations: Sequence[Conversation], index: EvaluationIndex, config: DecontaminateConfig
) -> npt.NDArray[np.int64]:
    """Return the places of conversations of which what is asked, or all of it, holds much of an evaluation item."""
    asked = [instruction_of(one.messages) for one in conversations]
    whole = ["\n".join(message.content for message in one.messages) for one in conversations]
    fracs = [
        find_overlaps(ngrams_of(pa.array(texts, pa.large_string()), config), index).fracs
        for texts in (asked, whole)
    ]
    return np.flatnonzero(np.maximum(*fracs) >= config.min_overlap_frac)
