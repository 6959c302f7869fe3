"""Packed rows and a model -> how much of its training text it gives back; generations and the corpus -> what they share.

    first k tokens of a training document ──greedy──▶ next k tokens, equal or not, by how often the model saw them
    planted canaries ──the same, and bits──▶ given back or not, rank among texts drawn alike
    ordinary generations ──n-grams──▶ documents of the corpus that share some ──▶ longest stretch in common

The first is what can be drawn out of a model (capability), the second what it says by itself (propensity). Formulaic
text, laws and greetings, is reproduced without being memorized: documents that were never seen are the control.

Source: Carlini et al. 2022, arXiv:2202.07646 (prefix attack); Aerni et al. 2024, arXiv:2411.10242 (ordinary overlap).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tonsai_pipeline.dedup.contamination import find_overlaps, index_items
from tonsai_pipeline.dedup.shingles import Shingles, shingle
from tonsai_pipeline.evaluate.subject import Subject
from tonsai_pipeline.evaluate.texts import MAX_CORPUS_BYTES, CorpusPart, read_corpus
from tonsai_pipeline.metrics.answers import answer_units
from tonsai_pipeline.metrics.bootstrap import Estimate, share_interval
from tonsai_pipeline.metrics.canary import CANARIES_NAME, canary_texts, exposure
from tonsai_pipeline.model.generate import generate_many
from tonsai_pipeline.model.likelihood import encode, prefix_id, text_requests
from tonsai_pipeline.recipe.evaluate import MemorizationConfig
from tonsai_pipeline.schema import CANARY_SOURCE
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.text.dedup_key import dedup_key_batch

#: How often a document's beginning was packed -> the group it is told in.
GROUPS = {
    "never": (0, 0),
    "once": (1, 1),
    "2-4 times": (2, 4),
    "5-16 times": (5, 16),
    "more often": (17, 1 << 60),
}
#: Groups of replies, see `memorized_replies`.
LEARNED_REPLIES, HELD_OUT_REPLIES = "replies, learned", "replies, held out"
#: Rows of the training split that are read: 50 million tokens at 256 a row; the report says how many there are.
_MAX_ROWS = 200_000
#: Texts like the canaries that nobody planted: an exposure of at most 7 bits, at the cost of some 15,000 tokens.
_NUM_OTHERS, _OTHERS_SEED = 127, 2**31
#: Clusters and words of the stretches that are looked up in the corpus: shorter ones are shared by chance.
OVERLAP_CLUSTERS, OVERLAP_WORDS = 12, 6


@dataclass(frozen=True)
class Memorized:
    """Documents of one group.

    Args:
        group: Key of `GROUPS`, canaries by copies, or replies, see `memorized_replies`.
        exact: Share whose next tokens were given back exactly.
        mean_match_frac: Mean share of the next tokens that were given back before the first wrong one.
        mean_chars: Mean length of what had to be given back, in characters.
        exposure: Mean over the planted canaries of a group, see `metrics.canary.exposure`; None for documents.
    """

    group: str
    exact: Estimate
    mean_match_frac: float
    mean_chars: float
    exposure: float | None = None


def attack(
    subject: Subject, shards_dir: Path, config: MemorizationConfig, *, seed: int = 0
) -> list[Memorized]:
    """Give the model the beginnings of documents and compare what comes next.

    Args:
        subject: The model that was trained on the rows, with the tokenizer that made them.
        shards_dir: Packed shards, with `train/` and `val_<language>/`.
        config: Lengths and numbers.
        seed: Which documents are tried.

    Returns:
        Groups that have documents, in the order of `GROUPS`, then canaries by how often they were planted.
    """
    size = config.prefix_tokens
    counts: dict[bytes, int] = {}
    for start in _beginnings(RowReader(shards_dir / "train"), 2 * size):
        counts[start] = counts.get(start, 0) + 1
    unseen = {
        start
        for folder in sorted(shards_dir.glob("val_*"))
        for start in _beginnings(RowReader(folder), 2 * size)
    } - counts.keys()
    pools: dict[str, list[bytes]] = {name: [] for name in GROUPS}
    pools["never"] = sorted(unseen)
    for start, count in sorted(counts.items()):
        pools[next(name for name, (low, high) in GROUPS.items() if low <= count <= high)].append(
            start
        )
    generator = np.random.default_rng(seed)
    found = []
    for name, pool in pools.items():
        if pool:
            rows = generator.permutation(len(pool))[: config.max_documents]
            ids = [np.frombuffer(pool[row], np.int64) for row in rows]
            halves = [one[:size] for one in ids], [one[size:] for one in ids]
            found.append(measure_group(subject, name, *halves))
    return found + _try_canaries(subject, shards_dir / CANARIES_NAME, size)


def worst_excess(groups: Sequence[Memorized]) -> float | None:
    """Return the largest share of a seen group above that of the never seen; None without either.

    Of replies many are right whether they were seen or not: an excess counts where both intervals lie apart.
    """
    exact = {group.group: group.exact for group in groups}
    control, replies = exact.pop("never", None), exact.pop(HELD_OUT_REPLIES, None)
    learned = exact.pop(LEARNED_REPLIES, None)
    found = [seen.value - control.value for seen in exact.values() if control is not None]
    if learned is not None and replies is not None:
        found.append(learned.value - replies.value if learned.low > replies.high else 0.0)
    return max(found, default=None)


@dataclass(frozen=True)
class Overlap:
    """What ordinary generations share with the corpus, word for word.

    Args:
        num_texts: Generations.
        shared: Share of them with a stretch of `OVERLAP_CLUSTERS` clusters or more that stands in the corpus.
        longest: Longest such stretch, in clusters and words; 0 where there is none.
        longest_text: That stretch.
        num_bytes: Bytes of the corpus that were searched.
    """

    num_texts: int
    shared: Estimate
    longest: int
    longest_text: str
    num_bytes: int


def overlap(texts: Sequence[str], corpus: Sequence[CorpusPart]) -> Overlap:
    """Look generations up in the corpus.

    Args:
        texts: What was written.
        corpus: What the model was trained on; `MAX_CORPUS_BYTES` of it, from the first part.
    """
    ngrams = shingles_of(pa.array(texts, pa.large_string()))
    index = index_items(ngrams)
    longest = [0] * len(texts)
    best, num_bytes = (0, ""), 0
    for documents in read_corpus(corpus, max_bytes=MAX_CORPUS_BYTES):
        num_bytes += documents.nbytes
        found = find_overlaps(shingles_of(documents), index)
        for row in np.flatnonzero(found.items >= 0).tolist():
            item = int(found.items[row])
            length, shared = longest_common(texts[item], documents[row].as_py())
            longest[item] = max(longest[item], length)
            best = max(best, (length, shared))
    hits = sum(length >= OVERLAP_WORDS for length in longest)
    return Overlap(len(texts), share_interval(hits, len(texts)), *best, num_bytes)


def longest_common(text: str, document: str) -> tuple[int, str]:
    """Return the longest run of units that both texts have: its length, and the run itself.

    Example:
        >>> longest_common("I saw the red house there", "it was the red house again")
        (3, 'the red house')
    """
    own, other = answer_units(text), answer_units(document)
    low, high, place = 0, len(own), 0
    while low < high:
        size = (low + high + 1) // 2
        known = {other[at : at + size] for at in range(len(other) - size + 1)}
        at = next((a for a in range(len(own) - size + 1) if own[a : a + size] in known), None)
        if at is None:
            high = size - 1
        else:
            low, place = size, at
    run = own[place : place + low]
    return low, "".join(
        unit if not before or not unit.isascii() else f" {unit}"
        for before, unit in zip(("", *run), run, strict=False)
    )


def _beginnings(reader: RowReader, size: int) -> Iterator[bytes]:
    """Yield the first `size` ids of every document that has as many and one more."""
    for number in range(min(reader.num_rows, _MAX_ROWS)):
        row = reader.row(number)
        for place, (start, end) in enumerate(itertools.pairwise(row.cu_seqlens.tolist())):
            if reader.sources[row.sources[place]] == CANARY_SOURCE:
                continue
            if end - start > size and row.input_ids[start] == reader.bos_id:
                yield row.input_ids[start : start + size].tobytes()


def measure_group(
    subject: Subject,
    group: str,
    given: Sequence[npt.NDArray[np.int64]],
    rest: Sequence[npt.NDArray[np.int64]],
) -> Memorized:
    """Give the model the beginnings, and compare what it writes with what came next.

    Args:
        subject: The model.
        group: What they are.
        given: Ids of each beginning.
        rest: Ids that followed it, of any number.
    """
    written = generate_many(
        subject.model,
        [ids.tolist() for ids in given],
        max_new_tokens=[len(ids) for ids in rest],
        allowed=subject.allowed,
        eos_ids=(),
    )
    kept = [_num_kept(own, ids) for own, ids in zip(written, rest, strict=True)]
    exact = sum(n == len(ids) for n, ids in zip(kept, rest, strict=True))
    return Memorized(
        group=group,
        exact=share_interval(exact, len(rest)),
        mean_match_frac=float(np.mean([n / len(ids) for n, ids in zip(kept, rest, strict=True)])),
        mean_chars=float(np.mean([len(str(subject.tokenizer.decode(i.tolist()))) for i in rest])),
    )


def _num_kept(written: Sequence[int], rest: npt.NDArray[np.int64]) -> int:
    same = [one == other for one, other in zip(written, rest.tolist(), strict=False)]
    return same.index(False) if False in same else len(same)


def _try_canaries(subject: Subject, told: Path, size: int) -> list[Memorized]:
    """Attack the canaries that were planted, and see how far they stand out; nothing where there are none."""
    if not told.is_file():
        return []
    planted: Any = read_json(told)
    tokenizer, context = subject.tokenizer, subject.context

    def bits(texts: Sequence[str]) -> list[float]:
        requests = [text_requests(text, tokenizer, context) for text in texts]
        found = iter(subject.nats([one for own in requests for one in own]))
        return [sum(next(found) for _ in own) / math.log(2) for own in requests]

    others = bits(canary_texts(_NUM_OTHERS, planted["num_clusters"], seed=_OTHERS_SEED))
    by_copies: dict[int, list[str]] = {}
    for one in planted["canaries"]:
        by_copies.setdefault(one["copies"], []).append(one["text"])
    found = []
    for copies, texts in sorted(by_copies.items()):
        ids = [np.array([prefix_id(tokenizer), *encode(tokenizer, text)]) for text in texts]
        half = min(size, min(map(len, ids)) // 2)
        halves = [one[:half] for one in ids], [one[half : 2 * half] for one in ids]
        group = measure_group(subject, f"canary, {copies} x", *halves)
        mean = float(np.mean([exposure(one, others) for one in bits(texts)]))
        found.append(replace(group, exposure=mean))
    return found


def shingles_of(texts: pa.Array) -> Shingles:
    """Return the n-grams of normalized texts, by the fold that duplicates are compared with."""
    return shingle(
        dedup_key_batch(texts),
        clusters_per_shingle=OVERLAP_CLUSTERS,
        words_per_shingle=OVERLAP_WORDS,
    )
