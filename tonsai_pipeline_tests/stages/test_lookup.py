"""Texts are found in the corpus where they stand, whatever their encoding; datasketch is asked and answers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from datasketch import MinHash, MinHashLSH

from tonsai_pipeline.cli.dedup_lookup import read_queries
from tonsai_pipeline.errors import DataError
from tonsai_pipeline.lookup import lookup, make_lsh, prepare
from tonsai_pipeline.recipe.dedup import DedupConfig, SignatureConfig
from tonsai_pipeline.stages.sign.stage import read_signatures, scheme_of
from tonsai_pipeline.text import codepoints as cp
from tonsai_pipeline_tests.stages.corpora import signed_corpus
from tonsai_pipeline_tests.stages.deduplication import House, corpus


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


def search(house, texts, corpus_texts, tmp_path, *, min_similarity=0.8, decided=True):
    kept = house.deduplicate(corpus_texts).links() if decided else {}
    signed, normalized = signed_corpus(house.store, corpus_texts, house.engine)
    return lookup(
        texts,
        signed,
        normalized,
        kept,
        config=DedupConfig(),
        min_similarity=min_similarity,
        engine=house.engine,
        work=tmp_path / "work",
    )


def test_a_copy_a_near_copy_and_a_stranger(house, tmp_path):
    page = " ".join(f"word{n}" for n in range(100))
    texts = {"a@20260101": ["other", page], "b@20260101": [page.upper()]}
    matches = search(house, ["Stranger", page[: page.index("word95")], page + "!"], texts, tmp_path)
    assert [(m.query, m.doc_id, m.is_copy, m.fate, m.kept_doc_id) for m in matches] == [
        (1, "a@20260101/0/1", False, "kept", None),
        (1, "b@20260101/0/0", False, "exact", "a@20260101/0/1"),
        (2, "a@20260101/0/1", True, "kept", None),
        (2, "b@20260101/0/0", True, "exact", "a@20260101/0/1"),
    ]
    assert matches[0].similarity == pytest.approx(91 / 96)
    assert page.startswith(matches[0].text)


def test_a_text_in_another_encoding_is_a_copy(house, tmp_path):
    # Vowel before coeng, and zero-width spaces: what people type, and what normalization mends.
    written = f"{chr(0x1780)}{chr(0x17B6)}{chr(cp.COENG)}{chr(0x179A)}{chr(0x200B)}" * 20
    stored = f"{chr(0x1780)}{chr(cp.COENG)}{chr(0x179A)}{chr(0x17B6)}" * 20
    (match,) = search(house, [written], {"a@20260101": [stored]}, tmp_path, decided=False)
    assert (match.is_copy, match.fate) == (True, "undecided")


def test_the_candidates_are_those_of_datasketch_over_all_stored_signatures(house, tmp_path):
    texts = corpus(3, {"a@20260101": 80, "b@20260101": 60})
    queries = [*texts["a@20260101"][:40], "", "?!", *texts["b@20260101"][:5]]
    config = DedupConfig()
    signed, _ = signed_corpus(house.store, texts, house.engine)
    ids, sketches = [], []
    for artifact in signed.values():
        for path in artifact.parts():
            for batch, signatures in read_signatures(path, scheme_of(SignatureConfig())):
                ids += batch.column("doc_id").to_pylist()
                sketches += [MinHash(hashvalues=v, scheme="affine32") for v in signatures.values]
    index = MinHashLSH(num_perm=128, params=(config.num_bands, config.rows_per_band))
    for doc_id, sketch in zip(ids, sketches, strict=True):
        index.insert(doc_id, sketch)
    prepared = prepare(queries, config)
    expected = {
        (number, doc_id)
        for number in np.flatnonzero(prepared.signed.num_shingles)
        for doc_id in index.query(
            MinHash(hashvalues=prepared.signed.values[number], scheme="affine32")
        )
    }
    found = search(house, queries, texts, tmp_path, min_similarity=1e-9)
    assert {(match.query, match.doc_id) for match in found} == expected
    assert len(expected) > 60
    assert len(make_lsh(prepared, config).keys) == 45


def test_signatures_of_another_scheme_are_refused(house, tmp_path):
    signed, normalized = signed_corpus(house.store, {"a@20260101": ["text"]}, house.engine)
    with pytest.raises(DataError, match="materialize minhash_signatures again"):
        lookup(
            ["text"], signed, normalized, {}, config=DedupConfig(signatures=SignatureConfig(seed=2)),
            min_similarity=0.8, engine=house.engine, work=tmp_path / "work",
        )  # fmt: skip


def test_an_argument_is_a_file_of_records_a_plain_file_or_the_text_itself(tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"body": text}) + "\n" for text in ("one", "two")))
    plain, odd = tmp_path / "page.txt", tmp_path / "page.unknown"
    for path in (plain, odd):
        path.write_text("first\n\nsecond")
    assert read_queries(str(rows), "body") == ["one", "two"]
    assert read_queries(str(plain), "text") == read_queries(str(odd), "text")
    assert read_queries(str(odd), "text") == ["first\n\nsecond"]
    for said in (
        "a text " * 1000,
        "a text of more bytes than a name may have " * 10,
        "word" * 90,
        "a\0b",
    ):
        assert read_queries(said, "text") == [said]
    with pytest.raises(DataError, match=r"rows\.jsonl: row 0: missing_text"):
        read_queries(str(rows), "text")
    with pytest.raises(DataError, match=r"none\.jsonl: no such file"):
        read_queries(str(tmp_path / "none.jsonl"), "text")
    assert read_queries("see none.jsonl", "text") == ["see none.jsonl"]
