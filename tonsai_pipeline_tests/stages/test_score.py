"""Scoring: verdicts on a small corpus, the same bytes every time, a cache for each dump, a classifier where it is asked for."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.engine.local import LocalEngine
from tonsai_pipeline.errors import DataError, RecipeError
from tonsai_pipeline.recipe.quality import ClassifierConfig, QualityConfig, Thresholds
from tonsai_pipeline.schema import SCORED_DOCUMENTS, DumpKey
from tonsai_pipeline.stages.score.stage import drift
from tonsai_pipeline.storage.documents import read_part
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Store
from tonsai_pipeline_tests.quality.pages import english_prose, khmer_prose, menu
from tonsai_pipeline_tests.stages.scored import Corpus, Made, build, score_corpus, small_corpus

#: Documents of a dump of 60 in parts of 25 that the keep-lists keep.
NUM_KEPT = 53
CLASSIFIED = QualityConfig(
    classifiers={
        "khm": ClassifierConfig(
            positives=("khm_news", "khm_web"),
            negatives=("khm_menus",),
            held_out=("khm_web",),
            num_buckets=2000,
            dim=8,
        )
    }
)


def table_of(scored: Made, dump: str) -> pa.Table:
    parts = scored.dumps("scored_documents_of_dump")[DumpKey(dump)].parts()
    return pa.concat_tables([read_part(path) for path in parts])


def classifier_of(scored: Made, language: str = "khm") -> Path:
    return scored.builder.build("quality_classifiers").path / language


def test_prose_stays_and_junk_goes_with_its_reason(store: Store, engine: Engine) -> None:
    scored = score_corpus(small_corpus(), store, engine)
    by_source = scored.report["by_source"]
    for name in ("khm_news", "khm_web", "eng_news"):
        assert by_source[name]["num_kept"] == by_source[name]["num_documents"] == NUM_KEPT, name
    assert by_source["eng_titles"]["dropped_by_reason"] == {"too_many_symbols": NUM_KEPT}
    assert by_source["khm_menus"]["num_kept"] == 0
    assert scored.report["num_documents"] == 5 * NUM_KEPT
    assert sum(scored.report["dropped_by_reason"].values()) == 2 * NUM_KEPT


def test_only_kept_documents_are_scored_and_point_at_their_rows(
    store: Store, engine: Engine
) -> None:
    corpus = small_corpus()
    scored = score_corpus(corpus, store, engine)
    table = table_of(scored, "eng_news@20240101")
    assert table.schema.equals(SCORED_DOCUMENTS)
    assert set(table.column("group_size").to_pylist()) == {1, 2, 3, 4, 5, 6}
    rows = table.column("row_in_part").to_numpy()
    assert not (rows % 7 == 6).any()
    parts = scored.dumps("normalized_documents")[DumpKey("eng_news@20240101")].parts()
    texts = pa.concat_tables(
        [
            read_part(p, ["doc_id"]).filter(pa.array(np.arange(len(read_part(p))) % 7 != 6))
            for p in parts
        ]
    )
    assert texts.column("doc_id").to_pylist() == table.column("doc_id").to_pylist()


def test_an_english_page_in_a_khmer_source_is_dropped_for_its_language(
    store: Store, engine: Engine
) -> None:
    texts = {"khm_news@20240101": [english_prose(12, 1), khmer_prose(12, 1)]}
    corpus = Corpus(texts, every_nth_dropped=0)
    dropped = score_corpus(corpus, store, engine).report["dropped_by_reason"]
    assert dropped == {"wrong_language": 1}
    kept = score_corpus(corpus, store, engine, QualityConfig(wrong_language="keep"))
    assert kept.report["num_kept"] == 2


def test_sentences_stay_where_the_recipe_says_that_a_source_has_sentences(
    store: Store, engine: Engine
) -> None:
    texts = ["The farmer said that it was with her.", "Of the", "The house of the man and his dog"]
    corpus = Corpus({"eng_a@20240101": texts}, every_nth_dropped=0)
    page = score_corpus(corpus, store, engine)
    assert page.report["dropped_by_reason"] == {"too_few_words": 3}
    short = score_corpus(corpus, store, engine, QualityConfig(short_text=("eng_a",)))
    assert short.report["dropped_by_reason"] == {"short_without_sentence": 1}
    scores = [
        table_of(scored, "eng_a@20240101").column("score").to_pylist() for scored in (page, short)
    ]
    assert scores[0] == scores[1]


def test_signals_lie_beside_the_scores(store: Store, engine: Engine) -> None:
    text = english_prose(12, 1) + " Write to sok@example.org or call 012 345 678."
    corpus = Corpus({"eng_a@20240101": [text]}, every_nth_dropped=0)
    scored = score_corpus(corpus, store, engine)
    dump = scored.dumps("scored_documents_of_dump")[DumpKey("eng_a@20240101")]
    signals = read_part(dump.parts("signals")[0])
    assert signals.column("num_email").to_pylist() == [1]
    assert signals.column("num_phone").to_pylist() == [1]
    assert signals.column("num_lines").to_pylist() == [3]
    assert scored.report["pii"] == {"email": 1, "ip": 0, "national_id": 0, "phone": 1}


def test_the_number_of_workers_does_not_show_in_the_bytes(
    tmp_path: Path, two_workers: Engine
) -> None:
    versions = []
    for name, engine in (("one", LocalEngine(1)), ("two", two_workers)):
        store = Store(Layout(tmp_path / name, "test"))
        scored = score_corpus(small_corpus(), store, engine, CLASSIFIED)
        versions.append(scored.data_version)
    assert versions[0] == versions[1]


def test_a_new_dump_costs_its_own_scoring_only(store: Store, engine: Engine) -> None:
    texts = {f"eng_a@2024010{day}": [english_prose(12, day)] for day in (1, 2)}
    score_corpus(Corpus(texts), store, engine)
    made = store.current("scored_documents_of_dump", "eng_a@20240101").path / "manifest.json"
    first = made.stat().st_mtime_ns
    texts["eng_a@20240103"] = [english_prose(12, 3)]
    scored = score_corpus(Corpus(texts), store, engine)
    assert scored.report["num_documents"] == 3
    again = store.current("scored_documents_of_dump", "eng_a@20240101").path / "manifest.json"
    assert again == made
    assert again.stat().st_mtime_ns == first


def test_a_killed_dump_goes_on_to_the_same_bytes(tmp_path: Path, engine: Engine) -> None:
    from tonsai_pipeline.stages.score import stage

    calm = Store(Layout(tmp_path / "calm", "test"))
    wanted = score_corpus(small_corpus(), calm, engine).data_version
    store = Store(Layout(tmp_path / "killed", "test"))
    corpus = small_corpus()
    done: list[Path] = []
    whole = stage.score_part

    def dying(task: object, folder: Path) -> dict[str, object]:
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(folder)
        return whole(task, folder)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "score_part", dying)
        with pytest.raises(KeyboardInterrupt):
            score_corpus(corpus, store, engine)
    assert score_corpus(corpus, store, engine).data_version == wanted


def test_word_lists_are_counted_and_dropped_by_share(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    listed = tmp_path / "words.txt"
    listed.write_text("# mine\nvile word\n", encoding="utf-8")
    texts = [english_prose(12, 1), english_prose(12, 2) + " A vile word." + " Vile word!" * 20]
    corpus = Corpus({"eng_a@20240101": texts}, every_nth_dropped=0)
    lenient = Thresholds(max_top_2_gram_frac=1, max_top_3_gram_frac=1, max_top_4_gram_frac=1)
    config = QualityConfig(word_lists={"eng": listed}, eng=lenient)
    report = score_corpus(corpus, store, engine, config).report
    assert report["num_with_listed_words"] == 1
    assert report["dropped_by_reason"] == {"listed_words": 1}


def test_a_word_list_that_is_not_there_is_named(store: Store, engine: Engine) -> None:
    config = QualityConfig(word_lists={"khm": Path("nowhere.txt")})
    with pytest.raises(RecipeError, match=r"quality.word_lists.khm: nowhere.txt: no such file"):
        score_corpus(small_corpus(), store, engine, config)


# --- classifier ------------------------------------------------------------------------------


def test_a_classifier_tells_a_source_it_has_never_seen(store: Store, engine: Engine) -> None:
    scored = score_corpus(small_corpus(), store, engine, CLASSIFIED)
    measured = scored.report["classifiers"]["khm"]
    assert measured["auc_by_source"]["khm_web"]["khm_menus"] == 1.0
    assert measured["held_out_sources"] == ["khm_web"]
    assert measured["telling_features"]["good"]
    news = table_of(scored, "khm_news@20240101").column("score").to_numpy()
    menus = table_of(scored, "khm_menus@20240101").column("score").to_numpy()
    assert news.min() > 0.5
    # A menu in English is judged by the English rules, which have no classifier.
    assert menus.max() < news.max()


def test_the_line_of_a_classifier_is_for_pages_alone(store: Store, engine: Engine) -> None:
    khmer = CLASSIFIED.classifiers["khm"].model_copy(update={"max_lost_frac": 0.5})
    pages = QualityConfig(classifiers={"khm": khmer})
    sentences = pages.model_copy(update={"short_text": ("khm_news",)})
    low = [
        score_corpus(small_corpus(), store, engine, quality).report["by_source"]
        for quality in (pages, sentences)
    ]
    dropped = [
        {name: source["dropped_by_reason"].get("low_score", 0) for name, source in found.items()}
        for found in low
    ]
    assert min(dropped[0]["khm_news"], dropped[0]["khm_web"]) > 0
    assert dropped[1]["khm_news"] == 0
    assert dropped[1]["khm_web"] == dropped[0]["khm_web"]


def test_training_twice_gives_the_same_file(tmp_path: Path, engine: Engine) -> None:
    hashes = []
    for name in ("one", "two"):
        store = Store(Layout(tmp_path / name, "test"))
        scored = score_corpus(small_corpus(), store, engine, CLASSIFIED)
        files = scored.builder.build("quality_classifiers").manifest.files
        hashes.append({entry.path: entry.sha256 for entry in files})
    assert hashes[0] == hashes[1]
    assert set(hashes[0]) == {
        f"khm/{name}" for name in ("model.bin", "calibration.json", "evaluation.json")
    }


def test_a_ready_model_is_taken_over(store: Store, engine: Engine, tmp_path: Path) -> None:
    corpus = small_corpus()
    trained = score_corpus(corpus, store, engine, CLASSIFIED)
    assert trained.report["classifiers"]["khm"]["trained"]
    model = tmp_path / "ready.bin"
    model.write_bytes((classifier_of(trained) / "model.bin").read_bytes())
    ready = QualityConfig(classifiers={"khm": ClassifierConfig(model=model)})
    report = score_corpus(corpus, store, engine, ready).report["classifiers"]["khm"]
    assert report == {"trained": False}


def test_a_source_without_dumps_cannot_be_trained_on(store: Store, engine: Engine) -> None:
    wanted = ClassifierConfig(positives=("khm_news",), negatives=("khm_forum",))
    quality = QualityConfig(classifiers={"khm": wanted})
    sources = [{"name": name, "lang": "khm"} for name in ("khm_news", "khm_forum")]
    corpus = Corpus({"khm_news@20240101": [khmer_prose(12, 1)]})
    with pytest.raises(RecipeError, match="khm_forum: no dump of that source is there"):
        build(corpus, store, engine, quality=quality, sources=sources)


def test_too_few_examples_are_an_error_that_says_so(store: Store, engine: Engine) -> None:
    wanted = ClassifierConfig(positives=("khm_news",), negatives=("khm_menus",))
    corpus = small_corpus(num_docs=2)
    with pytest.raises(DataError, match=r"positives have \d documents held out"):
        score_corpus(corpus, store, engine, QualityConfig(classifiers={"khm": wanted}))


# --- the report ------------------------------------------------------------------------------


def test_buckets_divide_the_kept_documents_and_there_is_something_to_read(
    store: Store, engine: Engine
) -> None:
    scored = score_corpus(small_corpus(), store, engine, QualityConfig(num_buckets=4))
    for language, wanted in (("khm", 2 * NUM_KEPT), ("eng", NUM_KEPT)):
        found = scored.report["buckets"][language]
        assert sum(found["num_documents"]) == wanted
        assert len(found["borders"]) == 3
    to_read = read_json(scored.path / "to_read.json")
    assert {entry["drop_reason"] for entry in to_read["eng"]} >= {None, "too_many_symbols"}  # type: ignore[index]


def test_drift_is_none_against_oneself_and_large_against_junk(store: Store, engine: Engine) -> None:
    good = Corpus({"eng_a@20240101": [english_prose(12, s) for s in range(40)]})
    bad = Corpus({"eng_a@20240101": [menu(s) for s in range(40)]})
    reports = [score_corpus(corpus, store, engine).report for corpus in (good, bad)]
    assert drift(reports[0], reports[0]) == {"eng_a": 0.0}
    assert drift(reports[0], reports[1])["eng_a"] > 0.25


# --- real text -------------------------------------------------------------------------------

CLEAN = (
    "khm/news",
    "khm/udhr",
    "khm/law_clean",
    "eng/abc_news",
    "eng/state_union",
    "eng/debian_handbook",
)
JUNK = ("khm/junk_ui_strings", "eng/junk_ui_strings", "eng/junk_bug_titles", "khm/junk_legacy_font")


def test_real_junk_is_dropped_and_real_prose_stays(
    real_data: Path, store: Store, engine: Engine
) -> None:
    texts = {}
    for name in CLEAN + JUNK:
        with gzip.open(real_data / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            texts[name.replace("/", "_") + "@20240101"] = [
                json.loads(line)["text"] for line in lines
            ]
    corpus = Corpus(texts, rows_per_part=5000, every_nth_dropped=0)
    by_source = score_corpus(corpus, store, engine).report["by_source"]
    kept = {name: found["num_kept"] / found["num_documents"] for name, found in by_source.items()}
    for name in JUNK:
        assert kept[name.replace("/", "_")] <= 0.05, name
    clean = [by_source[name.replace("/", "_")] for name in CLEAN]
    assert sum(s["num_kept"] for s in clean) / sum(s["num_documents"] for s in clean) >= 0.97
    for name in ("khm_news", "khm_udhr", "eng_abc_news", "eng_state_union", "eng_debian_handbook"):
        assert kept[name] >= 0.97, name
