"""normalized_documents -> minhash_signatures."""

from __future__ import annotations

import dataclasses

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasketch import MinHash

from tonsai_pipeline.dedup.exact import exact_keys
from tonsai_pipeline.dedup.minhash import fold32
from tonsai_pipeline.dedup.shingles import shingle
from tonsai_pipeline.engine import open_engine
from tonsai_pipeline.errors import DataError
from tonsai_pipeline.recipe.dedup import SignatureConfig
from tonsai_pipeline.schema import SCHEME_ID_KEY
from tonsai_pipeline.stages.sign.stage import read_signatures, scheme_of
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Store
from tonsai_pipeline.text.dedup_key import dedup_key
from tonsai_pipeline_tests.stages.corpora import normalized_dump, signed_dump

_TEXTS = [f"Document number {n}, with a few words of its own: {n * 7} {n * 11}." for n in range(25)]
_TEXTS[3] = "ភាសាខ្មែរជាភាសាផ្លូវការរបស់ព្រះរាជាណាចក្រកម្ពុជា"
_TEXTS[4] = "!!!"


@pytest.fixture
def store(tmp_path):
    return Store(Layout(tmp_path, "test"))


@pytest.fixture
def engine():
    return open_engine("local", num_workers=1)


def test_every_row_has_the_keys_and_the_signature_of_its_text(store, engine):
    normalized = normalized_dump(
        store, "a@20260101", _TEXTS, engine, rows_per_part=10, rows_per_group=4
    )
    signed = signed_dump(store, "a@20260101", _TEXTS, engine, rows_per_part=10, rows_per_group=4)
    assert [path.name for path in signed.parts()] == [path.name for path in normalized.parts()]
    scheme = scheme_of(SignatureConfig())
    place = 0
    for path in signed.parts():
        for batch, signatures in read_signatures(path, scheme):
            for row in range(batch.num_rows):
                key = pa.array([dedup_key(_TEXTS[place])])
                oracle = MinHash(num_perm=128, seed=1, scheme="affine32", hashfunc=int)
                oracle.update_batch([int(fold32(value)) for value in shingle(key).hashes])
                assert batch.column("doc_id")[row].as_py() == f"a@20260101/0/{place}"
                assert (signatures.values[row] == oracle.hashvalues).all()
                high, low = exact_keys(key)[0].tolist()
                assert batch.column("exact_high")[row].as_py() == high
                assert batch.column("exact_low")[row].as_py() == low
                place += 1
    assert place == len(_TEXTS)


def test_the_report_counts_what_was_signed(store, engine):
    signed = signed_dump(store, "a@20260101", _TEXTS, engine)
    assert signed.report["num_documents"] == len(_TEXTS)
    assert signed.report["num_bytes"] == sum(len(text.encode()) for text in _TEXTS)
    assert signed.report["num_without_shingles"] == 1
    assert signed.report["scheme_id"] == scheme_of(SignatureConfig()).scheme_id


def test_signatures_of_another_scheme_are_refused(store, engine):
    config = SignatureConfig(seed=9)
    signed = signed_dump(store, "a@20260101", _TEXTS, engine, config)
    path = signed.parts()[0]
    assert pq.read_schema(path).metadata[SCHEME_ID_KEY].decode() == scheme_of(config).scheme_id
    with pytest.raises(
        DataError, match=r"signed by scheme .* materialize minhash_signatures again"
    ):
        list(read_signatures(path, scheme_of(SignatureConfig())))
    assert list(read_signatures(path, dataclasses.replace(scheme_of(SignatureConfig()), seed=9)))


def test_twice_is_the_same_bytes(tmp_path, engine):
    versions = set()
    for name in ("one", "two"):
        store = Store(Layout(tmp_path / name, "test"))
        signed = signed_dump(store, "a@20260101", _TEXTS, engine)
        versions.add(signed.data_version)
    assert len(versions) == 1


def test_an_empty_dump_is_signed(store, engine):
    signed = signed_dump(store, "a@20260101", [], engine)
    assert signed.report["num_documents"] == 0
