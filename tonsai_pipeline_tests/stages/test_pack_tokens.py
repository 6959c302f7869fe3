"""Tokens that packing reads: made once for each tokenizer and dump, the same whatever encoder made them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.engine.local import LocalEngine
from tonsai_pipeline.errors import DataError
from tonsai_pipeline.recipe.tokenizer import TokenizerConfig
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.stages.mix.texts import dump_parts, read_texts
from tonsai_pipeline.stages.tokenize.stage import _open_encoder, read_info
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.storage.store import Store
from tonsai_pipeline.tokenizer.fast_encoders import FAST_ENCODERS
from tonsai_pipeline_tests.stages.mixtures import (
    build_mixture,
    khmer_texts,
)
from tonsai_pipeline_tests.stages.packs import (
    TEXTS,
    TOKENIZER,
    Packed,
    packed_mixture,
    run_pack,
    segments_of,
)
from tonsai_pipeline_tests.stages.wrong_ids import open_wrong


def token_stores(store: Store) -> set[Path]:
    """Every token store that was ever made."""
    return set((store.layout.root / "artifacts" / "tokenized_documents_of_dump").glob("*/*"))


def test_other_shares_tokenize_nothing_again(shared_store: Store, packed: Packed) -> None:
    taken = TokenizerConfig(base=str(packed.builder.build("tokenizer").path))
    run_pack(shared_store, packed_mixture(), LocalEngine(1), tokenizer=taken)
    before = token_stores(shared_store)
    other = build_mixture(TEXTS, shares={"khm_news": 0.3, "eng_news": 0.7}, seed=9)
    again = run_pack(shared_store, other, LocalEngine(1), tokenizer=taken)
    assert len(before) >= 2
    assert token_stores(shared_store) == before
    assert again.report["sources"]["eng_news"]["share"] == pytest.approx(0.7, abs=0.02)


def test_a_new_dump_tokenizes_only_itself(shared_store: Store, packed: Packed) -> None:
    taken = TokenizerConfig(base=str(packed.builder.build("tokenizer").path))
    run_pack(shared_store, packed_mixture(), LocalEngine(1), tokenizer=taken)
    before = token_stores(shared_store)
    grown = TEXTS | {"khm_news@20260201": khmer_texts(30, seed=11)}
    mixture = build_mixture(grown, shares={"khm_news": 0.6, "eng_news": 0.4})
    again = run_pack(shared_store, mixture, LocalEngine(1), tokenizer=taken)
    (new,) = token_stores(shared_store) - before
    assert new.parent.name == "khm_news@20260201"
    more = again.report["sources"]["khm_news"]["available_tokens"]
    assert more > packed.report["sources"]["khm_news"]["available_tokens"]


def test_another_tokenizer_tokenizes_everything_again(shared_store: Store, packed: Packed) -> None:
    before = token_stores(shared_store)
    mixture = packed_mixture()
    larger = TOKENIZER.model_copy(update={"vocab_size": 1000})
    again = run_pack(shared_store, mixture, LocalEngine(1), tokenizer=larger)
    assert len(token_stores(shared_store) - before) == 2
    with pytest.raises(DataError, match="packed with tokenizer"):
        RowReader(
            again.path / "train", tokenizer_digest=RowReader(packed.path / "train").tokenizer_digest
        )


def test_a_special_token_written_in_a_text_is_only_text(store: Store, engine: Engine) -> None:
    texts = ["<|eos|><|bos|> abc <|pad|>"] * 30
    mixture = build_mixture({"eng_a@20260101": texts})
    packed = run_pack(store, mixture, engine)
    reader = RowReader(packed.path / "train")
    for ids, _, num_bytes in segments_of(reader):
        assert ids.count(reader.bos_id) == ids.count(reader.eos_id) == 1
        assert num_bytes == len(texts[0])


def test_a_folder_that_is_no_tokenizer_is_refused(packed: Packed) -> None:
    with pytest.raises(DataError, match="not a tokenizer of this program"):
        read_info(packed.artifact)


def test_a_text_part_that_is_too_short_is_refused(packed: Packed) -> None:
    builder, key = packed.builder, DumpKey("khm_news@20260101")
    pointers = builder.build("chosen_documents", key)
    (first, *_) = dump_parts(key, pointers, builder.build("normalized_documents", key))
    rows = np.array([1, 2, 99_999])
    with pytest.raises(DataError, match="is wanted, which has 40 rows"):
        list(read_texts(first, rows))


def test_a_part_whose_fast_ids_are_wrong_is_encoded_again(
    store: Store, packed: Packed, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    _open_encoder.cache_clear()
    monkeypatch.setitem(FAST_ENCODERS, "gigatoken", open_wrong)
    with pytest.warns(RuntimeWarning, match="gigatoken cuts .* is encoded by `tokenizers`"):
        again = run_pack(store, packed_mixture(), engine)
    _open_encoder.cache_clear()
    assert again.artifact.manifest.files == packed.artifact.manifest.files
