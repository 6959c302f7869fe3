"""The pack stage: every token of the run in exactly one row, tokenized once, the same bytes twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from tonsai_pipeline.defs.stage_asset import Made
from tonsai_pipeline.defs.training_data.packed_shards import PAGE
from tonsai_pipeline.engine import Engine
from tonsai_pipeline.engine.local import LocalEngine
from tonsai_pipeline.errors import DataError
from tonsai_pipeline.export.shards import export_arrow, export_megatron
from tonsai_pipeline.metrics.canary import CANARIES_NAME
from tonsai_pipeline.recipe.packing import PackingConfig
from tonsai_pipeline.storage.documents import read_part
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.storage.store import Store
from tonsai_pipeline.text import normalize
from tonsai_pipeline_tests.stages.mixtures import (
    build_mixture,
    english_texts,
    khmer_texts,
)
from tonsai_pipeline_tests.stages.packs import (
    CONFIG,
    TEXTS,
    Packed,
    packed_mixture,
    run_pack,
    segments_of,
)


def documents_of(packed: Packed, split: str) -> list[str]:
    """The texts of a split, in catalog order."""
    texts = []
    for dump, pointers in packed.builder.arguments("packed_shards")["mixed"].items():
        normalized = packed.builder.build("normalized_documents", dump)
        for path in pointers.parts():
            table = read_part(path)
            said = read_part(normalized.path / path.name)["text"].to_pylist()
            for row, chosen in zip(
                table["row_in_part"].to_pylist(), table["split"].to_pylist(), strict=True
            ):
                if chosen == split:
                    texts.append(said[row])
    return texts


def test_every_document_of_an_epoch_is_in_the_rows_and_nothing_else(
    packed: Packed,
) -> None:
    cutter = packed.tokenizer
    reader = RowReader(packed.path / "train")
    whole = Counter()
    for ids, _, _ in segments_of(reader):
        if ids[0] == reader.bos_id and ids[-1] == reader.eos_id:
            whole[cutter.decode(list(ids[1:-1]))] += 1
    short = {
        text: n
        for text, n in Counter(documents_of(packed, "train")).items()
        if len(cutter.encode(text, add_special_tokens=False).ids) + 2 <= CONFIG.seq_len
    }
    assert set(whole) == set(short)
    # Epochs differ by source; within a source each document is read floor or ceil of them.
    for name, lang in (("khm_news", "khm"), ("eng_news", "eng")):
        epochs = packed.report["sources"][name]["epochs"]
        of_source = {t for t in short if ("\u1780" <= t[0] <= "\u17ff") == (lang == "khm")}
        for text in of_source:
            low, high = int(epochs) * short[text], (int(epochs) + 1) * short[text]
            assert low <= whole[text] <= high


def test_a_part_of_the_documents_lies_in_every_larger_one(
    packed: Packed, shared_store: Store, engine: Engine
) -> None:
    found = set[tuple[int, ...]]()
    for frac in (0.25, 0.6, 1.0):
        config = CONFIG.model_copy(update={"documents_frac": frac})
        part = run_pack(shared_store, packed_mixture(), engine, config)
        segments = {ids for ids, _, _ in segments_of(RowReader(part.path / "train"))}
        assert found < segments
        found, total = segments, packed.report["num_tokens"]
        assert part.report["num_tokens"] == pytest.approx(frac * total, rel=0.2)
        for name, source in part.report["sources"].items():
            whole = packed.report["sources"][name]
            # As long as the languages of the part allow, which lack other documents.
            assert source["epochs"] == pytest.approx(whole["epochs"], rel=0.4)
            assert source["available_tokens"] <= whole["available_tokens"]
        for split in ("val_khm", "val_eng"):
            assert part.report["splits"][split] == packed.report["splits"][split]
    assert part.artifact.data_version == packed.artifact.data_version


def test_tokens_in_are_tokens_out(packed: Packed) -> None:
    reader = RowReader(packed.path / "train")
    report = packed.report
    assert reader.num_tokens == report["num_tokens"]
    assert reader.num_tokens == sum(one["num_tokens"] for one in report["sources"].values())
    assert report["fill_frac"] == reader.num_tokens / (reader.num_rows * CONFIG.seq_len)
    assert report["fill_frac"] > 0.96


def test_only_documents_longer_than_a_row_are_cut(packed: Packed) -> None:
    for split in packed.report["splits"].values():
        assert split["num_cut"] == split["num_long"]
    assert packed.report["splits"]["train"]["num_long"] > 0


def test_shares_are_realised_in_tokens(packed: Packed) -> None:
    sources = packed.report["sources"]
    assert sources["khm_news"]["share"] == pytest.approx(0.6, abs=0.02)
    assert packed.report["languages"]["eng"] == pytest.approx(0.4, abs=0.02)
    assert max(one["epochs"] for one in sources.values()) == pytest.approx(4.0, abs=0.1)


def test_bytes_of_predicted_tokens_are_exact(packed: Packed) -> None:
    cutter = packed.tokenizer
    reader = RowReader(packed.path / "train")
    seen_fragment = False
    for ids, _, num_bytes in segments_of(reader):
        predicted = list(ids[1:])
        text = [number for number in predicted if number != reader.eos_id]
        assert num_bytes == len(cutter.decode(text).encode())
        seen_fragment = seen_fragment or ids[0] != reader.bos_id
    assert seen_fragment


def test_held_out_documents_keep_their_order_and_their_language(
    packed: Packed,
) -> None:
    cutter = packed.tokenizer
    texts = documents_of(packed, "validation")
    found = []
    for name in ("val_khm", "val_eng"):
        reader = RowReader(packed.path / name)
        ids = [number for segment, _, _ in segments_of(reader) for number in segment]
        found += _documents(ids, reader, cutter)
        assert len(found) > 5
    assert found == texts


def _documents(ids: list[int], reader: RowReader, cutter: Tokenizer) -> list[str]:
    texts, current = [], []
    for number in ids:
        if number == reader.eos_id:
            texts.append(cutter.decode(current))
        elif number == reader.bos_id:
            current = []
        else:
            current.append(number)
    return texts


def test_held_out_documents_are_not_trained_on(
    packed: Packed,
) -> None:
    cutter = packed.tokenizer
    reader = RowReader(packed.path / "train")
    trained = {cutter.decode(list(ids)) for ids, _, _ in segments_of(reader)}
    assert trained.isdisjoint(documents_of(packed, "validation"))


def test_the_same_bytes_whatever_the_number_of_workers(
    tmp_path: Path, packed: Packed, two_workers: Engine
) -> None:
    other = Store(Layout(tmp_path, "test"))
    mixture = packed_mixture()
    again = run_pack(other, mixture, two_workers)
    assert again.artifact.manifest.files == packed.artifact.manifest.files
    assert sum(file.path.startswith("train/shard-") for file in again.artifact.manifest.files) >= 3


def test_a_later_stage_of_the_run_has_shares_of_its_own(
    shared_store: Store,
) -> None:
    stages = [
        {"frac": 0.7, "shares": {"khm_news": 0.3, "eng_news": 0.7}},
        {"frac": 0.3, "shares": {"khm_news": 1.0, "eng_news": 0.0}},
    ]
    overall = {"khm_news": 0.51, "eng_news": 0.49}
    mixture = build_mixture(TEXTS, shares=overall, stages=stages)
    packed = run_pack(shared_store, mixture, LocalEngine(1))
    reader = RowReader(packed.path / "train")
    khmer = reader.sources.index("khm_news")
    shares = [(reader.row(i).sources == khmer).mean() for i in range(reader.num_rows)]
    border = round(0.7 * reader.num_rows)
    assert min(shares[border + 3 :]) == 1.0
    assert np.mean(shares[: border - 3]) < 0.6
    assert packed.report["sources"]["khm_news"]["share"] == pytest.approx(0.51, abs=0.02)


def test_concat_fills_every_row_but_the_last_of_a_window(
    shared_store: Store,
) -> None:
    mixture = packed_mixture()
    config = CONFIG.model_copy(update={"strategy": "concat"})
    artifact = run_pack(shared_store, mixture, LocalEngine(1), config)
    reader = RowReader(artifact.path / "train")
    num_shards = sum(
        file.path.startswith("train/shard-") for file in artifact.artifact.manifest.files
    )
    filled = np.array([reader.row(i).cu_seqlens[-1] for i in range(reader.num_rows)])
    assert (filled < CONFIG.seq_len).sum() <= num_shards
    assert (
        artifact.report["splits"]["train"]["num_cut"]
        > artifact.report["splits"]["train"]["num_long"]
    )
    assert reader.num_tokens == artifact.report["num_tokens"]


def test_a_single_long_document_that_does_not_fit_leaves_its_share_to_its_language(
    store: Store, engine: Engine
) -> None:
    texts = {
        "khm_speech@20260101": [" ".join(khmer_texts(60, seed=9))],
        "khm_news@20260101": khmer_texts(200, seed=1),
        "eng_news@20260101": english_texts(200, seed=3),
    }
    shares = {"khm_speech": 0.1, "khm_news": 0.5, "eng_news": 0.4}
    mixture = build_mixture(
        texts, shares=shares, total_tokens=20_000, every_nth_held_out=0, every_nth_dropped=0
    )
    report = run_pack(store, mixture, engine).report
    sources = report["sources"]
    assert sources["khm_speech"]["available_tokens"] > 4_000
    assert sources["khm_speech"]["num_tokens"] == 0
    assert abs(report["languages"]["khm"] - 0.6) < 0.01
    assert [line.partition(":")[0] for line in report["shortfalls"]] == ["khm_speech"]
    assert "read whole or not at all" in report["shortfalls"][0]


def test_a_run_longer_than_the_text_allows_is_refused(store: Store, engine: Engine) -> None:
    mixture = build_mixture({"khm_a@20260101": khmer_texts(20, 1)}, total_tokens=10**9)
    with pytest.raises(DataError, match=r"does not fit its shares.*lower total_tokens"):
        run_pack(store, mixture, engine)


def test_canaries_are_in_the_rows_so_often_and_nowhere_else(
    packed: Packed, shared_store: Store, tmp_path: Path
) -> None:
    canaries = {"copies": (1, 5), "num_each": 2, "num_clusters": 24, "seed": 3}
    config = PackingConfig.model_validate({**CONFIG.model_dump(), "canaries": canaries})
    planted = run_pack(shared_store, packed_mixture(), LocalEngine(1), config)
    assert planted.path != packed.path
    told = read_json(planted.path / CANARIES_NAME)["canaries"]
    assert [one["copies"] for one in told] == [1, 1, 5, 5]
    found, cutter = segments_of(RowReader(planted.path / "train")), planted.tokenizer
    texts = Counter(
        cutter.decode(list(ids)[1:-1]) for ids, source, _ in found if source == "canary"
    )
    assert texts == {normalize(one["text"]): one["copies"] for one in told}
    size = sum(len(ids) for ids, source, _ in found if source == "canary")
    assert planted.report["num_canary_tokens"] == size
    assert PAGE.blocked(Made(planted.artifact, planted.builder, None)) is None
    # Rows are filled otherwise, and a long document may be cut elsewhere; not a token more or less.
    before = segments_of(RowReader(packed.path / "train"))
    for source in ("khm_news", "eng_news"):
        tokens = [
            Counter(i for ids, name, _ in one if name == source for i in ids)
            for one in (before, found)
        ]
        assert tokens[0] == tokens[1]
    for stage in ("tokenizer", "tokenized_documents", "training_mixture"):
        assert planted.builder.build(stage).path == packed.builder.build(stage).path
    for export in (export_megatron, export_arrow):
        with pytest.raises(DataError, match="has canaries"):
            export(planted.path / "train", tmp_path / "out")
    long = {**config.model_dump(), "canaries": {**canaries, "num_clusters": 400}}
    with pytest.raises(DataError, match=r"lower packing\.canaries\.num_clusters"):
        run_pack(shared_store, packed_mixture(), LocalEngine(1), PackingConfig.model_validate(long))
