"""Real text through the stages -> recall and precision against brute force, and the natural hard cases."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.builders import build, open_in, read_table
from benchmarks.dedup import brute_force
from benchmarks.texts import files
from tonsai_pipeline.dedup.exact import NOT_DUPLICATE, exact_keys, first_copies
from tonsai_pipeline.dedup.lsh import band_keys, collision_probability
from tonsai_pipeline.dedup.minhash import sign_keys
from tonsai_pipeline.dedup.shingles import Shingles, shingle, shingle_sets
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.recipe.dedup import DedupConfig
from tonsai_pipeline.recipe.sources import Source
from tonsai_pipeline.stages.sign.stage import scheme_of
from tonsai_pipeline.text.dedup_key import dedup_key_batch

#: Bands that are compared; the default of the recipe among them.
_SHAPES = ((16, 8), (18, 7), (14, 8), (9, 13), (21, 6), (25, 5))
_LOWEST = 0.3


def measure(data: Path, work: Path) -> dict:
    """Run the stages on every file of real text and compare with all pairs."""
    builder = open_in(work, recipe_of(data))
    seconds = build(builder, builder.pipeline.up_to("deduplicated_documents"))
    config = builder.recipe.dedup
    documents = read_table(builder, "normalized_documents", "doc_id", "text")
    ids = documents["doc_id"].to_pylist()
    place = {doc_id: index for index, doc_id in enumerate(ids)}
    keys = dedup_key_batch(documents["text"].combine_chunks())
    sets = shingle_sets(shingle(keys))
    pairs = brute_force.all_pairs(sets, min_jaccard=_LOWEST)
    is_copy = first_copies(exact_keys(keys), np.arange(len(ids))) != NOT_DUPLICATE
    is_compared = ~(is_copy[pairs.earlier] | is_copy[pairs.later])
    distinct = brute_force.Pairs(*(column_[is_compared] for column_ in pairs))
    rows = read_table(builder, "dedup_decisions", folder="dropped").to_pylist()
    return {
        "num_documents": len(ids),
        "num_exact_copies": int(is_copy.sum()),
        "pairs": _pair_recall(distinct, keys, config),
        "decisions": _decisions(rows, place, sets, distinct, is_copy, config),
        "hard_cases": _hard_cases(ids, rows, sets),
        "seconds": seconds,
    }


def recipe_of(data: Path, *langs: str) -> Recipe:
    """Return a recipe whose sources are the files `<lang>/<name>.jsonl.gz`, Khmer first."""
    sources = [
        Source(name=f"{lang}_{path.name.split('.')[0]}", lang=lang, path=str(path.resolve()))
        for lang in langs or ("khm", "eng")
        for path in files(data, lang)
    ]
    return Recipe(name="real", sources=tuple(sources))


def _pair_recall(pairs: brute_force.Pairs, keys: pa.Array, config: DedupConfig) -> dict:
    """Return the share of pairs that share a band, by similarity and bands; exact copies left out."""
    scheme = scheme_of(config.signatures)
    values = sign_keys(keys, scheme, scheme.permutations()).values
    edges = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0001)
    table: dict = {
        "num_pairs": {
            f"{low:.2f}": int(((pairs.jaccard >= low) & (pairs.jaccard < high)).sum())
            for low, high in itertools.pairwise(edges)
        }
    }
    for num_bands, rows_per_band in _SHAPES:
        bands = band_keys(values, num_bands=num_bands, rows_per_band=rows_per_band)
        met = (bands[pairs.earlier] == bands[pairs.later]).any(axis=1)
        high = pairs.jaccard >= config.min_similarity
        is_default = (num_bands, rows_per_band) == (config.num_bands, config.rows_per_band)
        table[f"{num_bands}x{rows_per_band}{' (default)' if is_default else ''}"] = {
            "recall_at_0.8": float(met[high].mean()),
            "expected_at_exactly_0.8": collision_probability(
                0.8, num_bands=num_bands, rows_per_band=rows_per_band
            ),
            "recall_0.80_to_0.85": float(met[high & (pairs.jaccard < 0.85)].mean()),
            "num_candidate_pairs_below_0.8": int((met & ~high).sum()),
        }
    return table


def _decisions(
    rows: list[dict],
    place: dict[str, int],
    sets: Shingles,
    pairs: brute_force.Pairs,
    is_copy: np.ndarray,
    config: DedupConfig,
) -> dict:
    """Compare the dropped documents with those of the rule applied to all pairs."""
    sure = pairs.jaccard >= config.min_similarity
    truth = brute_force.greedy(
        brute_force.Pairs(*(values[sure] for values in pairs)), len(is_copy), is_copy
    )
    dropped = np.zeros(len(is_copy), bool)
    wrong = 0
    for row in rows:
        mine, kept = place[row["doc_id"]], place[row["kept_doc_id"]]
        dropped[mine] = True
        if row["reason"] == "near":
            exact = _jaccard(set(sets.of(mine).tolist()), set(sets.of(kept).tolist()))
            wrong += exact < config.min_similarity or abs(exact - row["similarity"]) > 1e-6
    for row in rows:
        wrong += bool(dropped[place[row["kept_doc_id"]]])
    near = truth & ~is_copy
    return {
        "num_dropped": int(dropped.sum()),
        "num_near_by_brute_force": int(near.sum()),
        "num_near_found": int((dropped & near).sum()),
        "recall": float((dropped & near).sum() / near.sum()),
        "num_near_dropped_beyond_it": int((dropped & ~is_copy & ~near).sum()),
        "exact_recall": float((dropped & is_copy).sum() / is_copy.sum()),
        "num_wrong_kept_duplicates": int(wrong),
        "precision": 1.0 - wrong / max(1, len(rows)),
    }


def _hard_cases(ids: list[str], rows: list[dict], sets: Shingles) -> dict:
    """Report the files whose documents are alike by nature."""
    source = np.array([doc_id.split("@")[0] for doc_id in ids])
    drops: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        mine, kept = row["doc_id"].split("@")[0], row["kept_doc_id"].split("@")[0]
        drops[mine][f"{row['reason']}, kept in {kept}"] += 1
    clean = set(np.concatenate([sets.of(doc) for doc in np.flatnonzero(source == "khm_law_clean")]))
    inside = [
        len(clean & set(sets.of(doc).tolist())) / max(1, len(sets.of(doc)))
        for doc in np.flatnonzero(source == "khm_law_ocr_pages")
    ]
    quantiles = np.quantile(inside, [0.1, 0.25, 0.5, 0.75, 0.9]).round(3).tolist()
    return {
        **{
            name: {"num_documents": int((source == name).sum()), **drops[name]}
            for name in (
                "khm_junk_boilerplate_pages",
                "eng_junk_boilerplate_pages",
                "khm_law_ocr_pages",
            )
        },
        "ocr_page_inside_clean_law_q10_q25_q50_q75_q90": quantiles,
    }


def _jaccard(left: set, right: set) -> float:
    return len(left & right) / max(1, len(left | right))
