"""The same documents through datatrove's MinHash and ours -> speed, duplicates found, documents dropped wrongly.

datatrove gets the raw texts, as its own pipelines do; the truth is all pairs by exact Jaccard over our shingles.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import xxhash
from loguru import logger

from benchmarks.builders import build, open_in, read_table
from benchmarks.dedup import brute_force
from benchmarks.dedup.recall import recipe_of
from tonsai_pipeline.dedup.shingles import Shingles, shingle, shingle_sets
from tonsai_pipeline.lineage import Builder
from tonsai_pipeline.text.dedup_key import dedup_key_batch

_LANGUAGES = ("khm", "eng")
#: A paragraph and more: below five words datatrove signs nothing, by design.
_LONG_SHINGLES = 25


def measure(data: Path, work: Path) -> dict:
    """Run both on every Khmer file, then on every English one."""
    return {lang: _measure_language(data, lang, work / lang) for lang in _LANGUAGES}


def _measure_language(data: Path, lang: str, work: Path) -> dict:
    builder = open_in(work / "ours", recipe_of(data, lang))
    first, last = "normalized_documents", "deduplicated_documents"
    build(builder, builder.pipeline.up_to(first))
    documents = read_table(builder, first, "doc_id", "text")
    ids, texts = documents["doc_id"].to_pylist(), documents["text"].combine_chunks()
    sets = shingle_sets(shingle(dedup_key_batch(texts)))
    pairs = brute_force.all_pairs(sets, min_jaccard=0.5)
    started = time.process_time()
    seconds = sum(build(builder, builder.pipeline.up_to(last)).values())
    cpu_s = time.process_time() - started
    place = {doc_id: index for index, doc_id in enumerate(ids)}
    gone = np.zeros(len(ids), bool)
    dropped = read_table(builder, "dedup_decisions", "doc_id", folder="dropped")
    gone[[place[doc_id] for doc_id in dropped["doc_id"].to_pylist()]] = True
    result = {
        "num_documents": len(ids),
        "mb": sum(len(text.as_py().encode()) for text in texts) / 1e6,
        "ours": {"seconds": seconds, "cpu_s": cpu_s, **_judge(gone, pairs, sets)},
    }
    raw = _raw_texts(builder, set(ids))
    for name, strips in (("datatrove", True), ("datatrove_keeps_marks", False)):
        seconds, cpu_s, removed = _datatrove(raw, lang, work / name, strips_marks=strips)
        result[name] = {"seconds": seconds, "cpu_s": cpu_s, **_judge(removed, pairs, sets)}
        result[f"ratio_{name}_cpu"] = cpu_s / result["ours"]["cpu_s"]
    return result


def _raw_texts(builder: Builder, ids: set[str]) -> list[str]:
    """Return the texts as the files have them, of the documents that normalization kept."""
    raw = read_table(builder, "raw_documents", "doc_id", "text")
    pairs = zip(raw["doc_id"].to_pylist(), raw["text"].to_pylist(), strict=True)
    return [text for doc_id, text in pairs if doc_id in ids]


def _datatrove(
    texts: list[str], lang: str, folder: Path, *, strips_marks: bool
) -> tuple[float, float, np.ndarray]:
    """Run stages 1 to 3 in this process; return wall and CPU seconds, and which documents are removed."""
    from datatrove.data import Document
    from datatrove.pipeline.dedup.minhash import (
        MinhashConfig,
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupSignature,
    )
    from datatrove.utils.text import TextNormConfig

    logger.remove()
    config = MinhashConfig(norm_config=TextNormConfig(norm_unicode_diacritics=strips_marks))
    signature = MinhashDedupSignature(str(folder / "signatures"), config, language=lang)
    # 0.10.1 hands str to xxhash, which since version 4 takes bytes alone: the same hash, encoded here.
    signature._hash_func = lambda text: xxhash.xxh64_intdigest(text.encode())
    signature.get_shingles(texts[0])  # loads the tokenizer's model
    started, cpu_started = time.perf_counter(), time.process_time()
    signature.run(Document(text=text, id=str(index)) for index, text in enumerate(texts))
    buckets = MinhashDedupBuckets(
        str(folder / "signatures"), str(folder / "buckets"), config=config
    )
    for rank in range(config.num_buckets):
        buckets.run(None, rank, config.num_buckets)
    MinhashDedupCluster(str(folder / "buckets"), str(folder / "removed"), config=config).run(None)
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu_started
    removed = np.zeros(len(texts), bool)
    removed[np.fromfile(folder / "removed" / "000000.remove", "<u4")] = True
    return seconds, cpu_s, removed


def _judge(gone: np.ndarray, pairs: brute_force.Pairs, sets: Shingles) -> dict:
    """Compare what was dropped with the pairs there are.

    `num_false_drops` counts dropped documents without a kept duplicate of 0.8, `num_gross_false_drops`
    those without even one of 0.5; documents without a letter are in neither.
    """
    high = pairs.jaccard >= 0.8
    resolved = gone[pairs.earlier] | gone[pairs.later]
    result = {
        "num_dropped": int(gone.sum()),
        "num_duplicate_pairs": int(high.sum()),
        "pairs_resolved_frac": float(resolved[high].mean()),
    }
    sizes = np.diff(sets.offsets)
    is_long = high & (np.minimum(sizes[pairs.earlier], sizes[pairs.later]) >= _LONG_SHINGLES)
    result["num_long_duplicate_pairs"] = int(is_long.sum())
    result["long_pairs_resolved_frac"] = float(resolved[is_long].mean())
    says_something = sizes > 0
    for name, chosen in (
        ("num_false_drops", high),
        ("num_gross_false_drops", pairs.jaccard >= 0.5),
    ):
        has_kept = np.zeros(len(gone), bool)
        earlier, later = pairs.earlier[chosen], pairs.later[chosen]
        has_kept[later[~gone[earlier]]] = True
        has_kept[earlier[~gone[later]]] = True
        result[name] = int((gone & ~has_kept & says_something).sum())
    return result
