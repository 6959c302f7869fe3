"""Texts -> where they already stand in the corpus, and what deduplication did with them there.

    texts ──as documents are signed──▶ datasketch MinHashLSH ──stored signatures go by──▶ candidates ──verify──▶ Match

The *texts* are in the index and the corpus goes by, once, so that memory is that of the texts and not 5 kB a
document of the corpus. A sieve of our own band keys, the same bands, keeps most signatures away from Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
from datasketch import MinHash, MinHashLSH

from tonsai_pipeline.dedup.exact import exact_keys
from tonsai_pipeline.dedup.lsh import band_keys
from tonsai_pipeline.dedup.minhash import Signatures, sign_keys
from tonsai_pipeline.dedup.shingles import Shingles
from tonsai_pipeline.dedup.verify import Measure, similarities
from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.recipe.dedup import DedupConfig
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.stages.sign.stage import read_signatures, scheme_of
from tonsai_pipeline.storage.documents import read_part, take_batches
from tonsai_pipeline.storage.store import Artifact
from tonsai_pipeline.text import normalize_batch_report
from tonsai_pipeline.text.dedup_key import dedup_key_batch

_EXCERPT_CHARS = 200


@dataclass(frozen=True)
class Match:
    """A document of the corpus that is like a text.

    Args:
        query: Number of the text.
        doc_id: The document.
        dump: Its dump.
        similarity: Jaccard similarity or containment, by the recipe's measure; 1 for a copy.
        is_copy: Whether the two are the same text once folded.
        fate: `kept`, the reason why it was dropped, or `undecided` if the corpus was not deduplicated yet.
        kept_doc_id: The kept duplicate of a dropped document.
        url: Where the document came from, if the dump says.
        text: The beginning of its text.
    """

    query: int
    doc_id: str
    dump: str
    similarity: float
    is_copy: bool
    fate: str
    kept_doc_id: str | None
    url: str | None
    text: str


@dataclass(frozen=True)
class Queries:
    """Texts as the corpus has them: normalized, folded, cut and signed."""

    sets: Shingles
    signed: Signatures
    exact: np.ndarray
    bands: np.ndarray


def lookup(
    texts: Sequence[str],
    signatures: Mapping[DumpKey, Artifact],
    normalized: Mapping[DumpKey, Artifact],
    kept: Mapping[DumpKey, Artifact],
    *,
    config: DedupConfig,
    min_similarity: float,
    engine: Engine,
    work: Path,
) -> list[Match]:
    """Find every text in the corpus.

    Args:
        texts: What is looked for, as it is; a text without a letter or digit is found nowhere.
        signatures: minhash_signatures by dump.
        normalized: normalized_documents of the same dumps.
        kept: Final keep-lists of those dumps that are deduplicated.
        config: The recipe's `dedup` section: how the corpus was signed.
        min_similarity: Documents that are less alike are left out, in (0, 1]. Far below the recipe's own the bands
            find only some of them.
        engine: Where parts are searched.
        work: An empty folder for what the parts find.

    Returns:
        The matches by text, the most alike first.

    Raises:
        DataError: The signatures were made by another scheme than the recipe's.
    """
    queries = prepare(texts, config)
    parts = [
        Part(f"{dump}-{path.stem}", _Task(dump, path, queries, config))
        for dump, artifact in signatures.items()
        for path in artifact.parts()
    ]
    found = map_parts(engine, _search_part, parts, folder=work, label="look up")
    matches: list[Match] = []
    for part, result in zip(parts, found, strict=True):
        task = part.payload
        keep = kept.get(task.dump)
        matches += _verified(task, result, normalized[task.dump], keep, min_similarity)
    return sorted(matches, key=lambda one: (one.query, -one.similarity, one.doc_id))


def prepare(texts: Sequence[str], config: DedupConfig) -> Queries:
    """Treat texts as the corpus was treated before it was signed."""
    scheme = scheme_of(config.signatures)
    canonical = normalize_batch_report(pa.array(list(texts), pa.large_string()))[0]
    keys = dedup_key_batch(canonical)
    signed = sign_keys(keys, scheme, scheme.permutations())
    shape = {"num_bands": config.num_bands, "rows_per_band": config.rows_per_band}
    return Queries(
        scheme.shingle_sets(keys), signed, exact_keys(keys), band_keys(signed.values, **shape)
    )


def make_lsh(queries: Queries, config: DedupConfig) -> MinHashLSH:
    """Return datasketch's index of the texts, with the bands of the recipe."""
    num_perm = config.signatures.num_perm
    index = MinHashLSH(num_perm=num_perm, params=(config.num_bands, config.rows_per_band))
    sketch = _sketcher(config)
    for number in np.flatnonzero(queries.signed.num_shingles > 0):
        index.insert(int(number), sketch(queries.signed.values[number]))
    return index


@dataclass(frozen=True)
class _Task:
    dump: str
    path: Path
    queries: Queries
    config: DedupConfig


def _search_part(task: _Task, folder: Path) -> dict[str, Any]:
    """Return the candidates of one part as [query, row] pairs, and which of them are copies."""
    del folder
    index, sketch = make_lsh(task.queries, task.config), _sketcher(task.config)
    spoken = task.queries.signed.num_shingles > 0
    wanted = np.unique(task.queries.bands[spoken])
    copies: dict[tuple[int, int], set[int]] = {}
    for number in np.flatnonzero(spoken).tolist():
        high, low = task.queries.exact[number].tolist()
        copies.setdefault((high, low), set()).add(number)
    pairs: list[tuple[int, int, bool]] = []
    first = 0
    for batch, signed in read_signatures(task.path, scheme_of(task.config.signatures)):
        bands = band_keys(
            signed.values, num_bands=task.config.num_bands, rows_per_band=task.config.rows_per_band
        )
        sieved = np.flatnonzero(np.isin(bands, wanted).any(axis=1) & (signed.num_shingles > 0))
        highs, lows = (batch.column(name).to_numpy() for name in ("exact_high", "exact_low"))
        for row in sieved.tolist():
            same = copies.get((int(highs[row]), int(lows[row])), set())
            near = cast("list[int]", index.query(sketch(signed.values[row])))
            pairs += [(query, first + row, query in same) for query in sorted({*near, *same})]
        first += batch.num_rows
    return {"pairs": pairs}


def _sketcher(config: DedupConfig) -> Any:
    """Return a function from a stored row to a datasketch MinHash; the permutations are made once."""
    prototype = MinHash(
        num_perm=config.signatures.num_perm, seed=config.signatures.seed, scheme="affine32"
    )

    def sketch(values: np.ndarray) -> MinHash:
        return MinHash(hashvalues=values, permutations=prototype.permutations, scheme="affine32")

    return sketch


def _verified(
    task: _Task,
    found: Mapping[str, Any],
    normalized: Artifact,
    keep: Artifact | None,
    min_similarity: float,
) -> Iterator[Match]:
    """Compare candidates of one part exactly, and say what became of them."""
    pairs = found["pairs"]
    rows = np.unique([row for _, row, _ in pairs]).astype(np.int64)
    if not len(rows):
        return
    batches = take_batches(normalized.path / task.path.name, rows, ["doc_id", "url", "text"])
    documents = pa.Table.from_batches(list(batches)).combine_chunks()
    scheme = scheme_of(task.config.signatures)
    sets = scheme.shingle_sets(dedup_key_batch(documents.column("text").combine_chunks()))
    place = np.searchsorted(rows, [row for _, row, _ in pairs])
    queries = np.array([query for query, _, _ in pairs])
    measured = similarities(
        sets.joined(task.queries.sets),
        place,
        queries + sets.num_docs,
        min_similarity=min_similarity,
        measure=Measure(task.config.measure),
    )
    fates = _fates(keep, task.path.name)
    for (query, row, is_copy), where, similarity in zip(pairs, place, measured, strict=True):
        if similarity >= min_similarity or is_copy:
            document = documents.slice(int(where), 1).to_pylist()[0]
            fate, kept_duplicate = fates.get(
                row, ("kept" if keep is not None else "undecided", None)
            )
            yield Match(
                query=query,
                doc_id=document["doc_id"],
                dump=task.dump,
                similarity=1.0 if is_copy else float(similarity),
                is_copy=is_copy,
                fate=fate,
                kept_doc_id=kept_duplicate,
                url=document["url"],
                text=document["text"][:_EXCERPT_CHARS],
            )


def _fates(keep: Artifact | None, part: str) -> dict[int, tuple[str, str | None]]:
    """Return (reason, kept duplicate) of the dropped documents of a part, by row."""
    if keep is None or not (keep.path / "dropped" / part).is_file():
        return {}
    table = read_part(keep.path / "dropped" / part, ["row_in_part", "reason", "kept_doc_id"])
    return {row["row_in_part"]: (row["reason"], row["kept_doc_id"]) for row in table.to_pylist()}
