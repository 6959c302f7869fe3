"""Real text -> what a window of n clusters or n words sees: how specific it is, and how much an edit costs.

The two languages are set against each other so that one `min_similarity` means the same in both: an edited word
must cost a Khmer text as much of its similarity as an English one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import regex

from benchmarks.texts import read_texts
from tonsai_pipeline.dedup.shingles import Shingles, shingle, shingle_sets
from tonsai_pipeline.synthetic.likeness import CLUSTER
from tonsai_pipeline.text import normalize_batch_report
from tonsai_pipeline.text.dedup_key import dedup_key_batch

_CLUSTERS = (4, 6, 8, 10, 12, 14, 16, 20)
_WORDS = (2, 3, 4, 5, 6, 7, 8)
_NUM_PAIRS = 4000
_UNIT = regex.compile(f"{CLUSTER}|.", regex.DOTALL)


def measure(data: Path) -> dict:
    """Measure both languages."""
    per_word = _units(data, "khm") / _units(data, "eng")
    return {
        "clusters_per_english_word_in_parallel_sentences": per_word,
        "khm": {n: _measure_window(data, "khm", n, per_word) for n in _CLUSTERS},
        "eng": {n: _measure_window(data, "eng", n, per_word) for n in _WORDS},
    }


def _units(data: Path, lang: str) -> int:
    keys = _keys(data, lang, "ntrex128")
    return len(shingle(keys, clusters_per_shingle=1, words_per_shingle=1).hashes)


def _measure_window(data: Path, lang: str, size: int, per_word: float) -> dict[str, float]:
    pages, wrapped = (
        _keys(data, lang, "libreoffice_help"),
        _keys(data, lang, "junk_boilerplate_pages"),
    )
    news = _keys(data, lang, "news" if lang == "khm" else "abc_news")
    long = pa.array([key for key in news.to_pylist() if len(key) > 1500][:200], pa.large_string())
    sets = {name: _sets(keys, lang, size) for name, keys in (("page", pages), ("menu", wrapped))}
    found = {
        "unlike_pages_q999": float(np.quantile(_random_pairs(sets["page"]), 0.999)),
        "pages_with_the_same_menu_q99": float(np.quantile(_random_pairs(sets["menu"]), 0.99)),
        "unlike_news_q50": float(np.median(_random_pairs(_sets(long, lang, size)))),
    }
    for rate in (0.01, 0.02, 0.03):
        edited = _edited(long.to_pylist(), lang, rate, per_word)
        left, right = _sets(long, lang, size), _sets(edited, lang, size)
        values = [_jaccard(left.of(doc), right.of(doc)) for doc in range(left.num_docs)]
        found[f"similarity_after_{rate:.0%}_of_words"] = float(np.mean(values))
    if lang == "khm":
        clean = _sets(pa.array(["\n".join(_keys(data, lang, "law_clean").to_pylist())]), lang, size)
        scans = _sets(_keys(data, lang, "law_ocr_pages"), lang, size)
        inside = [
            len(np.intersect1d(scans.of(doc), clean.of(0))) / max(1, len(scans.of(doc)))
            for doc in range(scans.num_docs)
        ]
        found["scanned_page_inside_the_clean_law_q50"] = float(np.median(inside))
    return found


def _keys(data: Path, lang: str, name: str) -> pa.Array:
    texts = pa.array(read_texts(data / lang / f"{name}.jsonl.gz"), pa.large_string())
    return dedup_key_batch(normalize_batch_report(texts)[0])


def _sets(keys: pa.Array, lang: str, size: int) -> Shingles:
    window = {"clusters_per_shingle": size if lang == "khm" else 12}
    return shingle_sets(shingle(keys, **window, words_per_shingle=size if lang == "eng" else 5))


def _random_pairs(sets: Shingles) -> np.ndarray:
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, sets.num_docs, (_NUM_PAIRS, 2))
    return np.array([_jaccard(sets.of(a), sets.of(b)) for a, b in pairs if a != b])


def _edited(texts: list[str], lang: str, rate: float, per_word: float) -> pa.Array:
    """Replace words by others of their length: one English word, or as many clusters as it takes to say one."""
    rng = np.random.default_rng(1)
    result = []
    for text in texts:
        units = text.split(" ") if lang == "eng" else _UNIT.findall(text)
        size = 1 if lang == "eng" else round(per_word)
        share = rate if lang == "eng" else rate * size / per_word
        for start in range(0, len(units) - size, size):
            if rng.random() < share:
                units[start : start + size] = rng.choice(units, size).tolist()
        result.append((" " if lang == "eng" else "").join(units))
    return pa.array(result, pa.large_string())


def _jaccard(left: np.ndarray, right: np.ndarray) -> float:
    shared = len(np.intersect1d(left, right, assume_unique=True))
    return shared / max(1, len(left) + len(right) - shared)
