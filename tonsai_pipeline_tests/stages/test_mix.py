"""Mixing: pointers, a split that does not move, shares that follow the recipe, errors that say what would fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.errors import DataError
from tonsai_pipeline.recipe.mixture import MixtureConfig, MixtureStage, ValidationSplit
from tonsai_pipeline.recipe.quality import QualityConfig
from tonsai_pipeline.schema import MIXTURE_DOCUMENTS, DumpKey
from tonsai_pipeline.stages.mix.texts import mixture_parts, read_texts
from tonsai_pipeline.storage.documents import read_part
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Store
from tonsai_pipeline_tests.quality.pages import english_prose, khmer_prose
from tonsai_pipeline_tests.stages.scored import Corpus, Made, build, small_corpus

SPLIT = ValidationSplit(frac=0.1)


def mixed(
    corpus: Corpus, store: Store, engine: Engine, config: MixtureConfig | None = None, **more: Any
) -> Made:
    config = config or MixtureConfig(validation=SPLIT)
    return build(corpus, store, engine, "training_mixture", mixture=config, **more)


def pointers(mixture: Made) -> pa.Table:
    dumps = mixture.builder.arguments("training_mixture")["mixed"]
    return pa.concat_tables([read_part(path) for dump in dumps.values() for path in dump.parts()])


def shares(mixture: Made) -> dict[str, Any]:
    return cast("dict[str, Any]", read_json(mixture.path / "shares.json"))


def test_kept_documents_are_in_it_once_and_dropped_ones_are_not(
    store: Store, engine: Engine
) -> None:
    mixture = mixed(small_corpus(), store, engine)
    table = pointers(mixture)
    assert table.schema.equals(MIXTURE_DOCUMENTS)
    assert table.num_rows == len(set(table.column("doc_id").to_pylist())) == 3 * 53
    assert set(table.column("source").to_pylist()) == {"khm_news", "khm_web", "eng_news"}
    assert (
        mixture.report["num_documents"] + sum(mixture.report["num_validation"].values()) == 3 * 53
    )


def test_each_language_has_its_validation_documents(store: Store, engine: Engine) -> None:
    mixture = mixed(small_corpus(), store, engine)
    table = pointers(mixture)
    held = table.filter(pc.equal(table.column("split"), "validation"))
    counts = {code: held.column("lang").to_pylist().count(code) for code in ("khm", "eng")}
    assert counts == mixture.report["num_validation"]
    assert all(1 <= count <= 25 for count in counts.values())


def test_a_document_does_not_change_sides_when_a_dump_comes(store: Store, engine: Engine) -> None:
    texts = {"eng_a@20240101": [english_prose(12, seed) for seed in range(200)]}
    config = MixtureConfig(languages={"eng": 1.0}, validation=ValidationSplit(frac=0.1))
    before = pointers(mixed(Corpus(texts), store, engine, config))
    texts["eng_a@20240201"] = [english_prose(12, 1000 + seed) for seed in range(200)]
    after = pointers(mixed(Corpus(texts), store, engine, config))
    sides = dict(zip(after["doc_id"].to_pylist(), after["split"].to_pylist(), strict=True))
    old = zip(before["doc_id"].to_pylist(), before["split"].to_pylist(), strict=True)
    assert all(sides[doc_id] == side for doc_id, side in old)


def test_shares_follow_languages_and_weights(store: Store, engine: Engine) -> None:
    texts = {
        "khm_a@20240101": [khmer_prose(12, s) for s in range(30)],
        "khm_b@20240101": [khmer_prose(12, 100 + s) for s in range(30)],
        "eng_c@20240101": [english_prose(12, s) for s in range(30)],
    }
    corpus = Corpus(texts, weights={"khm_a": 3.0})
    made = shares(mixed(corpus, store, engine))
    found = {name: entry["share"] for name, entry in made["sources"].items()}
    assert found == pytest.approx({"khm_a": 0.45, "khm_b": 0.15, "eng_c": 0.4})
    assert made["max_epochs"] == {"khm_a": 4, "khm_b": 4, "eng_c": 4}
    assert made["total_tokens"] is None


def test_a_source_that_was_dropped_leaves_its_share_to_the_others_and_is_named(
    store: Store, engine: Engine
) -> None:
    mixture = mixed(small_corpus(), store, engine)
    found = {name: entry["share"] for name, entry in shares(mixture)["sources"].items()}
    assert found == pytest.approx(
        {"khm_news": 0.3, "khm_web": 0.3, "khm_menus": 0, "eng_news": 0.4, "eng_titles": 0}
    )
    assert any("khm_menus" in said for said in mixture.report["warnings"])


def test_a_source_of_weight_zero_is_neither_trained_on_nor_held_out(
    store: Store, engine: Engine
) -> None:
    texts = {
        "khm_a@20240101": [khmer_prose(12, s) for s in range(30)],
        "eng_b@20240101": [english_prose(12, s) for s in range(30)],
        "eng_test@20240101": [english_prose(12, 500 + s) for s in range(30)],
    }
    corpus = Corpus(texts, weights={"eng_test": 0.0})
    table = pointers(mixed(corpus, store, engine))
    assert set(table.column("source").to_pylist()) == {"khm_a", "eng_b"}


def test_a_language_without_documents_is_an_error_that_says_so(
    store: Store, engine: Engine
) -> None:
    corpus = Corpus({"khm_a@20240101": [khmer_prose(12, s) for s in range(9)]})
    with pytest.raises(DataError, match=r"language 'eng' is to give 40\.0% of all tokens"):
        mixed(corpus, store, engine)


def test_a_run_longer_than_the_text_is_refused_with_what_would_do(
    store: Store, engine: Engine
) -> None:
    config = MixtureConfig(validation=SPLIT, total_tokens=10**9)
    with pytest.raises(DataError, match="Feasible: lower total_tokens to"):
        mixed(small_corpus(), store, engine, config)


def test_a_source_with_a_cap_of_its_own_is_read_no_more_often(store: Store, engine: Engine) -> None:
    texts = {
        "eng_a@20240101": [english_prose(12, seed) for seed in range(40)],
        "eng_b@20240101": [english_prose(12, 100 + seed) for seed in range(40)],
    }
    config = MixtureConfig(
        languages={"eng": 1.0}, validation=SPLIT, source_max_epochs={"eng_a": 0.5, "eng_b": 6}
    )
    mixture = mixed(Corpus(texts), store, engine, config)
    found = mixture.report["by_source"]
    assert found["eng_a"]["estimated_epochs"] == pytest.approx(0.5, abs=0.01)
    assert found["eng_b"]["estimated_epochs"] == pytest.approx(6, abs=0.01)
    assert shares(mixture)["max_epochs"] == {"eng_a": 0.5, "eng_b": 6}
    assert any("eng_b: up to 6 epochs" in said for said in mixture.report["warnings"])


def test_quality_buckets_and_group_sizes_become_repeats(store: Store, engine: Engine) -> None:
    config = MixtureConfig(
        validation=SPLIT, bucket_repeats=(0.5, 2.0), rehydrate={1: 1.0, 2: 2.0, 5: 3.0}
    )
    table = pointers(mixed(small_corpus(), store, engine, config))
    train = table.filter(pc.equal(table.column("split"), "train"))
    repeats = train.column("repeats").to_numpy()
    assert set(repeats.tolist()) <= {0.5, 1.0, 1.5, 2.0, 4.0, 6.0}
    assert {0.5, 6.0} <= set(repeats.tolist())
    scores = train.column("score").to_numpy()
    assert scores[repeats == 6.0].mean() > scores[repeats == 0.5].mean()


def test_the_copies_in_all_dumps_count_and_not_those_of_one(store: Store, engine: Engine) -> None:
    # In their own dump documents stand for 1 to 6, in the corpus for 1 and 3 to 7.
    wanted = {size: float(10 * size) for size in range(1, 8)}
    config = MixtureConfig(validation=SPLIT, rehydrate=wanted)
    table = pointers(mixed(small_corpus(), store, engine, config))
    train = table.filter(pc.equal(table.column("split"), "train"))
    rows = train.column("row_in_part").to_pylist()
    expected = [10.0 if row % 6 == 0 else 10.0 * (2 + row % 6) for row in rows]
    assert train.column("repeats").to_pylist() == expected


def test_the_lowest_bucket_can_be_left_out(store: Store, engine: Engine) -> None:
    whole = mixed(small_corpus(), store, engine)
    config = MixtureConfig(validation=SPLIT, bucket_repeats=(0, 1))
    half = mixed(small_corpus(), store, engine, config)
    assert 0.3 < half.report["num_documents"] / whole.report["num_documents"] < 0.7
    assert half.report["num_validation"] == whole.report["num_validation"]


def test_stages_have_shares_of_their_own(store: Store, engine: Engine) -> None:
    late = MixtureStage(last_frac=0.2, languages={"khm": 0.9, "eng": 0.1}, weights={"khm_web": 0})
    config = MixtureConfig(validation=SPLIT, stages=(late,))
    made = shares(mixed(small_corpus(), store, engine, config))
    assert [stage["frac"] for stage in made["stages"]] == pytest.approx([0.8, 0.2])
    assert made["stages"][1]["shares"] == pytest.approx(
        {"khm_news": 0.9, "khm_web": 0, "eng_news": 0.1}
    )
    assert made["sources"]["khm_news"]["share"] == pytest.approx(0.8 * 0.3 + 0.2 * 0.9)


def test_the_number_of_workers_does_not_show_in_the_bytes(
    tmp_path: Path, engine: Engine, two_workers: Engine
) -> None:
    versions = []
    for name, used in (("one", engine), ("two", two_workers)):
        store = Store(Layout(tmp_path / name, "test"))
        versions.append(mixed(small_corpus(), store, used).data_version)
    assert versions[0] == versions[1]


def test_the_report_says_what_each_source_comes_to(store: Store, engine: Engine) -> None:
    report = mixed(small_corpus(), store, engine).report
    entry = report["by_source"]["khm_news"]
    assert entry["estimated_epochs"] <= 4
    assert entry["estimated_effective_tokens"] <= entry["estimated_tokens_in_run"]
    total = sum(found["estimated_tokens_in_run"] for found in report["by_source"].values())
    assert total == report["estimated_total_tokens"]
    khmer = sum(f["estimated_share"] for f in report["by_source"].values() if f["lang"] == "khm")
    assert khmer == pytest.approx(0.6, abs=0.005)


def test_masked_personal_data_is_gone_for_whoever_reads_through_the_mixture(
    store: Store, engine: Engine
) -> None:
    texts = {
        "eng_a@20240101": [
            english_prose(12, seed) + " Write to sok@example.org or call 012 345 678."
            for seed in range(30)
        ]
    }
    corpus = Corpus(texts)
    config = MixtureConfig(languages={"eng": 1.0}, validation=SPLIT)
    read, versions = {}, {}
    for mask in ((), ("email", "phone")):
        mixture = mixed(corpus, store, engine, config, quality=QualityConfig(mask=mask))
        dumps = mixture.builder.arguments("split_comparison")
        parts = mixture_parts(dumps["mixed"], dumps["normalized"])
        rows = [read_part(p.pointers, ["row_in_part"])["row_in_part"].to_numpy() for p in parts]
        read[mask] = [
            text
            for part, wanted in zip(parts, rows, strict=True)
            for batch in read_texts(part, wanted)
            for text in batch.texts.to_pylist()
        ]
        versions[mask] = mixture.dumps("chosen_documents")[DumpKey("eng_a@20240101")].data_version
    plain, masked = read.values()
    assert len(plain) == len(masked) > 20
    assert all("sok@example.org" in text and "012 345 678" in text for text in plain)
    assert [
        t.replace("sok@example.org", "<EMAIL>").replace("012 345 678", "<PHONE>") for t in plain
    ] == masked
    assert len(set(versions.values())) == 2


def test_a_text_stays_on_its_side_in_another_file_dump_and_corpus(
    store: Store, engine: Engine
) -> None:
    said = [english_prose(12, seed) for seed in range(80)]
    config = MixtureConfig(languages={"eng": 1.0}, validation=ValidationSplit(frac=0.3))

    def sides(texts: dict[str, list[str]]) -> dict[str, str]:
        mixture = mixed(Corpus(texts, every_nth_dropped=0), store, engine, config)
        table, found = pointers(mixture), {}
        for doc_id, side in zip(
            table["doc_id"].to_pylist(), table["split"].to_pylist(), strict=True
        ):
            dump, _, row = doc_id.split("/")
            found[texts[dump][int(row)]] = side
        return found

    before = sides({"eng_a@20240101": said})
    moved = sides(
        {"eng_b@20250101": [text + " !!" for text in reversed(said)], "eng_a@20240101": [said[0]]}
    )
    assert 10 < list(before.values()).count("validation") < 40
    assert {text.removesuffix(" !!"): side for text, side in moved.items()} == before
