"""normalized_documents[dump] -> minhash_signatures[dump]: an exact key and a MinHash signature a document.

    part-*.parquet ──dedup key──▶ 128-bit key, shingles ──minhash──▶ part-*.parquet     same rows, same part names

The scheme that made a signature is written into every part; `read_signatures` refuses parts of another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tonsai_pipeline.dedup.exact import exact_keys
from tonsai_pipeline.dedup.minhash import Permutations, Signatures, SignatureScheme, sign_keys
from tonsai_pipeline.dedup.shingles import SHINGLE_VERSION, string_buffers
from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.errors import DataError
from tonsai_pipeline.lineage import Fields, Stage, Table, same_dump
from tonsai_pipeline.recipe.dedup import SignatureConfig
from tonsai_pipeline.schema import MINHASH_SIGNATURES, SCHEME_ID_KEY
from tonsai_pipeline.storage.documents import read_batches, write_part
from tonsai_pipeline.storage.store import Artifact
from tonsai_pipeline.text.dedup_key import DEDUP_KEY_VERSION, dedup_key_batch


@dataclass(frozen=True)
class SignReport:
    """What was signed."""

    num_documents: int
    num_bytes: int
    num_shingles: int
    num_without_shingles: int
    scheme_id: str


def sign(
    normalized: Artifact, folder: Path, *, config: SignatureConfig, engine: Engine
) -> SignReport:
    """Sign every document of a dump.

    Args:
        normalized: The dump's normalized_documents.
        folder: The building folder.
        config: The recipe's `dedup.signatures` section.
        engine: Where parts are processed.
    """
    scheme = scheme_of(config)
    permutations = scheme.permutations()
    parts = [Part(path.stem, (path, scheme, permutations)) for path in normalized.parts()]
    results = map_parts(engine, _sign_part, parts, folder=folder, label="sign")
    return SignReport(
        **{key: sum(result[key] for result in results) for key in _COUNTS},
        scheme_id=scheme.scheme_id,
    )


def scheme_of(config: SignatureConfig) -> SignatureScheme:
    """Return the signature scheme that the settings and the dedup key's version name."""
    return SignatureScheme(
        num_perm=config.num_perm,
        seed=config.seed,
        clusters_per_shingle=config.clusters_per_shingle,
        words_per_shingle=config.words_per_shingle,
        key_version=str(DEDUP_KEY_VERSION),
    )


def read_signatures(
    path: Path, scheme: SignatureScheme
) -> Iterator[tuple[pa.RecordBatch, Signatures]]:
    """Read a part of minhash_signatures, one row group at a time.

    Yields:
        The batch, and its signatures as numpy arrays.

    Raises:
        DataError: The part was signed by another scheme, or is not readable.
    """
    found = (pq.read_schema(path).metadata or {}).get(SCHEME_ID_KEY, b"none").decode()
    if found != scheme.scheme_id:
        raise DataError(
            f"{path}: signed by scheme {found}, this recipe and version use {scheme.scheme_id}; "
            "materialize minhash_signatures again"
        )
    for batch in read_batches(path):
        column = batch.column("signature")
        raw = column.buffers()[1]
        width = 4 * scheme.num_perm
        values = np.frombuffer(
            raw, dtype="<u4", count=len(column) * scheme.num_perm, offset=column.offset * width
        )
        counts = batch.column("num_shingles").to_numpy()
        yield batch, Signatures(values.reshape(len(column), scheme.num_perm), counts)


#: Fields of the report that are sums over parts.
_COUNTS = ("num_documents", "num_bytes", "num_shingles", "num_without_shingles")


def _sign_part(payload: tuple[Path, SignatureScheme, Permutations], folder: Path) -> dict[str, Any]:
    """Sign one part, one row group at a time."""
    path, scheme, permutations = payload
    totals: dict[str, int] = dict.fromkeys(_COUNTS, 0)

    def signed() -> Iterator[pa.RecordBatch]:
        for batch in read_batches(path, ["doc_id", "text"]):
            yield _sign_batch(batch, scheme, permutations, totals)

    write_part(folder / path.name, signed(), _schema(scheme))
    return totals


def _sign_batch(
    batch: pa.RecordBatch,
    scheme: SignatureScheme,
    permutations: Permutations,
    totals: dict[str, int],
) -> pa.RecordBatch:
    text = batch.column("text")
    keys = dedup_key_batch(text)
    exact = exact_keys(keys)
    signed = sign_keys(keys, scheme, permutations)
    totals["num_documents"] += len(text)
    totals["num_bytes"] += len(string_buffers(text)[0])
    totals["num_shingles"] += int(signed.num_shingles.sum())
    totals["num_without_shingles"] += int((signed.num_shingles == 0).sum())
    raw = pa.py_buffer(signed.values.astype("<u4", copy=False))
    signature = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(4 * scheme.num_perm), len(text), [None, raw]
    )
    columns = [
        batch.column("doc_id"),
        pa.array(exact[:, 0]),
        pa.array(exact[:, 1]),
        pa.array(signed.num_shingles),
        signature,
    ]
    return pa.RecordBatch.from_arrays(columns, schema=_schema(scheme))


def _schema(scheme: SignatureScheme) -> pa.Schema:
    """Return the table's schema with the signature's width and scheme."""
    place = MINHASH_SIGNATURES.get_field_index("signature")
    field = pa.field("signature", pa.binary(4 * scheme.num_perm), nullable=False)
    return MINHASH_SIGNATURES.set(place, field).with_metadata(
        {SCHEME_ID_KEY: scheme.scheme_id.encode()}
    )


STAGE = Stage(
    "minhash_signatures",
    version=f"1+shingles{SHINGLE_VERSION}+key{DEDUP_KEY_VERSION}",
    make=sign,
    each_dump=True,
    fields={"config": Fields("dedup.signatures")},
    reads={"normalized": same_dump("normalized_documents")},
    table=Table(MINHASH_SIGNATURES, same="normalized", made_from={"*": ("normalized.text",)}),
)
