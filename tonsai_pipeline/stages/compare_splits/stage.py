"""training_mixture + minhash_signatures -> proof that no held-out document is trained on, not even nearly.

    held-out documents ──bands, exact keys, texts──▶ .held_out/
    part of training documents ──meet in a band, estimate, measure exactly──▶ copies, near copies

Deduplication decides first and the split comes after, so there should be none; this looks again, by itself, with
bands that miss less: a pair of similarity 0.8 is a candidate with a chance of 1 - 5e-8, against 98.6 % there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tonsai_pipeline.dedup.lsh import band_keys
from tonsai_pipeline.dedup.minhash import SignatureScheme, estimate_jaccard
from tonsai_pipeline.dedup.shingles import SHINGLE_VERSION, Shingles
from tonsai_pipeline.dedup.verify import similarities
from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.lineage import Fields, Stage, every_dump
from tonsai_pipeline.quality.pii import mask_pii
from tonsai_pipeline.recipe.dedup import DedupConfig
from tonsai_pipeline.schema import DumpKey, Split
from tonsai_pipeline.stages.mix.shares import mixed_sources
from tonsai_pipeline.stages.mix.texts import TextPart, mixture_parts
from tonsai_pipeline.stages.sign.stage import read_signatures, scheme_of
from tonsai_pipeline.storage.documents import read_part, take_batches
from tonsai_pipeline.storage.store import Artifact
from tonsai_pipeline.text.dedup_key import DEDUP_KEY_VERSION, dedup_key_batch

#: Hash values in a band: 32 bands of 4 out of 128.
_ROWS_PER_BAND = 4
#: An estimate from 128 values has a standard error of 0.035 at 0.8: three of them below, pairs are not looked at.
_ESTIMATE_SLACK = 0.12
_NUM_EXAMPLES = 10
_HELD_OUT = ".held_out"


@dataclass(frozen=True)
class LeakReport:
    """What the two splits have in common.

    Args:
        num_train: Documents to train on that have words.
        num_validation: Documents held out, likewise.
        num_shared_ids: Held-out documents that are also trained on.
        num_copies: Held-out documents with a copy, up to what the dedup key folds, among the training documents.
        num_near_copies: Held-out documents with a near copy there, copies included.
        min_similarity: From which Jaccard similarity of shingles on, that is.
        examples: Some pairs: both ids and their similarity.
    """

    num_train: int
    num_validation: int
    num_shared_ids: int
    num_copies: int
    num_near_copies: int
    min_similarity: float
    examples: list[Mapping[str, Any]]


def find_leaks(
    mixed: Mapping[DumpKey, Artifact],
    normalized: Mapping[DumpKey, Artifact],
    signatures: Mapping[DumpKey, Artifact],
    folder: Path,
    *,
    config: DedupConfig,
    engine: Engine,
) -> LeakReport:
    """Compare every training document with every held-out one.

    Args:
        mixed: mixture_documents by dump.
        normalized: normalized_documents by dump, in catalog order.
        signatures: minhash_signatures by dump.
        folder: The building folder.
        config: Of the recipe's `dedup` section: shingles, signatures, and which similarity is a copy.
        engine: Where parts are compared.

    Raises:
        DataError: An input does not belong to the others.
    """
    scheme = scheme_of(config.signatures)
    parts = [
        _Part(part, signatures[part.dump].path / part.pointers.name)
        for part in mixture_parts(mixed, normalized)
    ]
    held_out = folder / _HELD_OUT
    num_held_out = _save_held_out(parts, scheme, held_out)
    tasks = [
        Part(part.texts.name, (part, held_out, scheme, config.min_similarity)) for part in parts
    ]
    found = map_parts(engine, _compare_part, tasks, folder=folder, label="compare splits")
    return LeakReport(
        num_train=sum(one["num_train"] for one in found),
        num_validation=num_held_out,
        num_shared_ids=len({row for one in found for row in one["shared_ids"]}),
        num_copies=len({row for one in found for row in one["copies"]}),
        num_near_copies=len({row for one in found for row in (*one["copies"], *one["near"])}),
        min_similarity=config.min_similarity,
        examples=[example for one in found for example in one["examples"]][:_NUM_EXAMPLES],
    )


class _Part(NamedTuple):
    """A part of the mixture and its signatures."""

    texts: TextPart
    signatures: Path


class _Documents(NamedTuple):
    """Some documents.

    Args:
        ids: Document ids.
        exact: 128-bit keys, uint64, shape (num_docs, 2).
        values: Signatures, uint32, shape (num_docs, num_perm).
        rows: Rows of the normalized part, ascending.
    """

    ids: list[str]
    exact: npt.NDArray[np.uint64]
    values: npt.NDArray[np.uint32]
    rows: npt.NDArray[np.int64]


def _read(part: _Part, split: Split, scheme: SignatureScheme) -> Iterator[_Documents]:
    """Yield the documents of one side of a part, a row group at a time."""
    pointers = read_part(part.texts.pointers, ["row_in_part", "split"])
    mine = np.array([value == split for value in pointers.column("split").to_pylist()], dtype=bool)
    rows = pointers.column("row_in_part").to_numpy()[mine].astype(np.int64)
    base = 0
    for batch, signed in read_signatures(part.signatures, scheme):
        here = rows[slice(*np.searchsorted(rows, [base, base + batch.num_rows]))]
        # Documents without a shingle are all alike and say nothing.
        here = here[signed.num_shingles[here - base] > 0]
        at = here - base
        exact = [batch.column(name).to_numpy()[at] for name in ("exact_high", "exact_low")]
        ids = batch.column("doc_id").take(pa.array(at)).to_pylist()
        yield _Documents(ids, np.stack(exact, axis=1), signed.values[at], here)
        base += batch.num_rows


def _save_held_out(parts: list[_Part], scheme: SignatureScheme, folder: Path) -> int:
    """Write what every worker compares with: a few thousand documents; return how many they are."""
    found = [(part, docs) for part in parts for docs in _read(part, Split.VALIDATION, scheme)]
    texts = [text for part, docs in found for text in _texts(part, docs.rows)]
    folder.mkdir(parents=True, exist_ok=True)
    ids = [doc_id for _, docs in found for doc_id in docs.ids]
    np.savez(
        folder / "documents.npz",
        ids=np.array(ids, dtype=np.str_),
        exact=np.concatenate([np.zeros((0, 2), np.uint64), *(docs.exact for _, docs in found)]),
        values=np.concatenate(
            [np.zeros((0, scheme.num_perm), np.uint32), *(docs.values for _, docs in found)]
        ),
    )
    sets = scheme.shingle_sets(_keys(texts))
    np.savez(folder / "shingles.npz", hashes=sets.hashes, offsets=sets.offsets)
    return len(set(ids))


class _HeldOut(NamedTuple):
    """The held-out documents and two indices into them: by exact key and by band key."""

    ids: dict[str, int]
    exact: dict[tuple[int, int], int]
    values: npt.NDArray[np.uint32]
    keys: npt.NDArray[np.uint64]
    owners: npt.NDArray[np.int64]
    sets: Shingles


@cache
def _held_out(folder: Path) -> _HeldOut:
    """Load them once in each worker."""
    saved, sets = np.load(folder / "documents.npz"), np.load(folder / "shingles.npz")
    keys = _bands(saved["values"])
    owners = np.repeat(np.arange(len(keys)), keys.shape[1])
    order = np.argsort(keys, axis=None, kind="stable")
    return _HeldOut(
        ids={doc_id: row for row, doc_id in enumerate(saved["ids"].tolist())},
        exact={(high, low): row for row, (high, low) in enumerate(saved["exact"].tolist())},
        values=saved["values"],
        keys=keys.ravel()[order],
        owners=owners[order],
        sets=Shingles(sets["hashes"], sets["offsets"]),
    )


def _compare_part(
    payload: tuple[_Part, Path, SignatureScheme, float], folder: Path
) -> dict[str, Any]:
    """Return which held-out documents the training documents of one part have copies of."""
    del folder
    part, where, scheme, min_similarity = payload
    held = _held_out(where)
    found: dict[str, Any] = {
        "num_train": 0, "shared_ids": [], "copies": [], "near": [], "examples": []
    }  # fmt: skip
    names = list(held.ids)
    for docs in _read(part, Split.TRAIN, scheme):
        found["num_train"] += len(docs.ids)
        found["shared_ids"] += [held.ids[doc_id] for doc_id in docs.ids if doc_id in held.ids]
        copies = [
            (row, held.exact[key])
            for row, key in enumerate(map(tuple, docs.exact.tolist()))
            if key in held.exact
        ]
        near = _near(part, docs, held, scheme, min_similarity)
        found["copies"] += sorted({theirs for _, theirs in copies})
        found["near"] += sorted({theirs for _, theirs, _ in near})
        found["examples"] += [
            {"train": docs.ids[mine], "validation": names[theirs], "similarity": round(value, 4)}
            for mine, theirs, value in [*((a, b, 1.0) for a, b in copies), *near][:_NUM_EXAMPLES]
        ]
    return found


def _near(
    part: _Part,
    docs: _Documents,
    held: _HeldOut,
    scheme: SignatureScheme,
    min_similarity: float,
) -> list[tuple[int, int, float]]:
    """Return (training document, held-out document, similarity) of every pair that is similar enough."""
    mine, theirs = _meet(_bands(docs.values), held)
    likely = estimate_jaccard(docs.values[mine], held.values[theirs])
    chosen = likely >= min_similarity - _ESTIMATE_SLACK
    mine, theirs = mine[chosen], theirs[chosen]
    if not len(mine):
        return []
    involved, place = np.unique(mine, return_inverse=True)
    sets = scheme.shingle_sets(_keys(_texts(part, docs.rows[involved])))
    values = similarities(
        held.sets.joined(sets), theirs, len(held.ids) + place, min_similarity=min_similarity
    ).tolist()
    pairs = zip(mine.tolist(), theirs.tolist(), values, strict=True)
    return [(a, b, value) for a, b, value in pairs if value >= min_similarity]


def _meet(
    keys: npt.NDArray[np.uint64], held: _HeldOut
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the pairs (training document, held-out document) that share a band, each once."""
    flat = keys.ravel()
    first = np.searchsorted(held.keys, flat, side="left")
    counts = np.searchsorted(held.keys, flat, side="right") - first
    mine = np.repeat(np.arange(len(flat)) // max(1, keys.shape[1]), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    theirs = held.owners[np.repeat(first, counts) + within]
    pairs = np.unique(np.stack([mine, theirs], axis=1), axis=0)
    return pairs[:, 0], pairs[:, 1]


def _bands(values: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    return band_keys(
        values, num_bands=values.shape[1] // _ROWS_PER_BAND, rows_per_band=_ROWS_PER_BAND
    )


def _texts(part: _Part, rows: npt.NDArray[np.int64]) -> list[str]:
    batches = take_batches(part.texts.texts, rows, ["text"])
    found = (mask_pii(batch.column("text"), part.texts.mask).to_pylist() for batch in batches)
    return [cast("str", text) for texts in found for text in texts]


def _keys(texts: list[str]) -> pa.LargeStringArray:
    return dedup_key_batch(pa.array(texts, pa.large_string()))


STAGE = Stage(
    "split_comparison",
    version=f"2+shingles{SHINGLE_VERSION}+key{DEDUP_KEY_VERSION}",
    make=find_leaks,
    part_of="training_mixture",
    fields={"config": Fields("dedup", only=("signatures", "min_similarity"))},
    reads={
        "mixed": every_dump("mixture_documents", of=mixed_sources),
        "normalized": every_dump("normalized_documents", of=mixed_sources),
        "signatures": every_dump("minhash_signatures", of=mixed_sources),
    },
)
