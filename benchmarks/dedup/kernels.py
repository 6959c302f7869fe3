"""Signatures a second on one core: ours, datasketch and rensa over the same shingles.

Three races over the same shingles.

- *Hashes*: everyone gets ready integers; only the permutations are raced.
- *Strings*: the peers get ready Python strings (or their UTF-8 bytes), which is what their interfaces take, and hash
  them as they do by default; we get the text and cut it ourselves. Their cutting costs them nothing here.
- *Text*: everyone gets the text. The peers' shingles are cut by a regular expression, for there is no other way to
  give them Khmer clusters.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import regex
import rensa
from datasketch import MinHash

from benchmarks import texts as real
from benchmarks.dedup.clock import cpu_s
from tonsai_pipeline.dedup.exact import exact_keys
from tonsai_pipeline.dedup.minhash import SignatureScheme, fold32, sign_keys, sign_shingles
from tonsai_pipeline.dedup.shingles import (
    CLUSTERS_PER_SHINGLE,
    WORDS_PER_SHINGLE,
    Shingles,
    shingle,
    string_buffers,
)
from tonsai_pipeline.synthetic.likeness import CLUSTER
from tonsai_pipeline.text.dedup_key import dedup_key_batch


def measure(data: Path) -> dict[str, dict[str, float]]:
    """Race on all Khmer, then on all English; the legacy-font file is no Khmer and is left out."""
    return {
        lang: race(
            pa.array(
                [
                    text
                    for path in real.files(data, lang)
                    if "legacy_font" not in path.name
                    for text in real.read(path)
                ],
                pa.large_string(),
            )
        )
        for lang in ("khm", "eng")
    }


def race(texts: pa.LargeStringArray, *, every: int = 5) -> dict[str, float]:
    """Measure.

    Args:
        texts: Normalized documents.
        every: The peers get every such document; speeds are per byte.
    """
    scheme = SignatureScheme()
    permutations = scheme.permutations()
    mb = len(string_buffers(texts)[0]) / 1e6
    keys = dedup_key_batch(texts)
    shingles = shingle(keys)
    fold_s, _ = cpu_s(lambda: dedup_key_batch(texts))
    exact_s, _ = cpu_s(lambda: exact_keys(keys))
    shingle_s, _ = cpu_s(lambda: shingle(keys))
    text_s, ours = cpu_s(lambda: sign_keys(keys, scheme, permutations))
    hash_s, again = cpu_s(lambda: sign_shingles(shingles, permutations))
    assert (ours.values == again.values).all()
    speeds = {
        "ours_fold": mb / fold_s,
        "ours_exact_key": mb / exact_s,
        "ours_shingle": mb / shingle_s,
        "ours_from_text": mb / text_s,
        "ours_from_hashes": mb / hash_s,
        "ours_fold_exact_sign": mb / (fold_s + exact_s + text_s),
        **_peers(texts, keys, shingles, ours.values, every),
    }
    return {
        "num_documents": len(texts),
        "mb": mb,
        "num_shingles": len(shingles.hashes),
        **{f"{name}_mb_per_s": speed for name, speed in speeds.items()},
        **_ratios(speeds),
    }


def _peers(
    texts: pa.LargeStringArray, keys: pa.Array, shingles: Shingles, ours: np.ndarray, every: int
) -> dict[str, float]:
    """Time datasketch and rensa on some of the documents."""
    rows = np.arange(0, len(texts), every)
    mb = len(string_buffers(texts.take(pa.array(rows)))[0]) / 1e6
    sets = [shingles.of(row) for row in rows]
    flat = np.concatenate(sets)
    offsets = np.concatenate([[0], np.cumsum([len(doc) for doc in sets])]).astype(np.uint64)
    folded = [[int(fold32(value)) for value in doc] for doc in sets]
    some = keys.take(pa.array(rows)).to_pylist()
    cut_s, strings = cpu_s(lambda: [shingle_strings(key) for key in some], repeats=1)
    as_bytes = [[text.encode() for text in doc] for doc in strings]
    sketch_hash_s, matrix = cpu_s(lambda: _datasketch(folded, _identity), repeats=3)
    assert (matrix == ours[rows]).all(), "not datasketch's bits"
    sketch_bytes_s, _ = cpu_s(lambda: _datasketch(as_bytes, None), repeats=3)
    rensa_hash_s, _ = cpu_s(
        lambda: rensa.RMinHash.digest_matrix_from_flat_token_hashes(flat, offsets, 128, 1)
    )
    rensa_batch_s, _ = cpu_s(lambda: rensa.RMinHash.digest_matrix_from_token_sets(strings, 128, 1))
    rensa_update_s, _ = cpu_s(lambda: [_rensa(doc) for doc in strings])
    return {
        "datasketch_from_hashes": mb / sketch_hash_s,
        "datasketch_from_strings_sha1": mb / sketch_bytes_s,
        "rensa_from_hashes": mb / rensa_hash_s,
        "rensa_from_strings_batch": mb / rensa_batch_s,
        "rensa_from_strings_update": mb / rensa_update_s,
        "python_cuts_strings": mb / cut_s,
    }


def _ratios(speeds: dict[str, float]) -> dict[str, float]:
    hashes, text, cut = (
        speeds["ours_from_hashes"], speeds["ours_from_text"], speeds["python_cuts_strings"],
    )  # fmt: skip
    ratios = {
        f"ratio_{peer}_hashes": hashes / speeds[f"{peer}_from_hashes"]
        for peer in ("datasketch", "rensa")
    }
    for peer, name in (
        ("datasketch_update_batch", "datasketch_from_strings_sha1"),
        ("rensa_update", "rensa_from_strings_update"),
        ("rensa_batch", "rensa_from_strings_batch"),
    ):
        ratios[f"ratio_{peer}_strings"] = text / speeds[name]
        ratios[f"ratio_{peer}_text"] = text * (1 / speeds[name] + 1 / cut)
    return ratios


_CLUSTER_OR_WORD = regex.compile(f"{CLUSTER}|[^\\s\u1780-\u17b3]+")


def shingle_strings(key: str) -> list[str]:
    """Cut a key into shingles as a user of the peers would, in Python: 12 clusters or 5 words."""
    units = _CLUSTER_OR_WORD.findall(key)
    size = CLUSTERS_PER_SHINGLE if "\u1780" <= key[:1] <= "\u17b3" else WORDS_PER_SHINGLE
    return [" ".join(units[i : i + size]) for i in range(max(1, len(units) - size + 1))]


def _identity(value: int) -> int:
    return value


def _datasketch(documents: list[list], hashfunc: object) -> np.ndarray:
    """Sign documents by `MinHash.update_batch`, the permutations made once."""
    prototype = MinHash(num_perm=128, seed=1, scheme="affine32", hashfunc=hashfunc)
    rows = []
    for shingles in documents:
        sketch = prototype.copy()
        if shingles:
            sketch.update_batch(shingles)
        rows.append(sketch.hashvalues)
    return np.stack(rows)


def _rensa(shingles: list[str]) -> list[int]:
    sketch = rensa.RMinHash(128, 1)
    sketch.update(shingles)
    return sketch.digest()
