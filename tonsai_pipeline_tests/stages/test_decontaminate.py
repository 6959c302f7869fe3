"""Evaluation sets are kept out of the corpus, and the report says which documents held what."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tonsai_pipeline.errors import DataError, RecipeError
from tonsai_pipeline.metrics.suite import load_suite
from tonsai_pipeline.recipe.dedup import DecontaminateConfig, DedupConfig, EvaluationSet
from tonsai_pipeline.text import normalize_batch_report
from tonsai_pipeline_tests.stages.deduplication import House


def words(seed: int, count: int) -> str:
    return " ".join(f"w{n}" for n in np.random.default_rng(seed).integers(0, 9999, count))


QUESTIONS = [words(seed, 30) for seed in range(5)]


@pytest.fixture
def house(tmp_path):
    return House(tmp_path / "home")


@pytest.fixture
def questions(tmp_path) -> Path:
    path = tmp_path / "quiz.jsonl"
    rows = [{"question": text, "answer": words(90 + n, 3)} for n, text in enumerate(QUESTIONS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def config(path: Path, **settings) -> DedupConfig:
    one = EvaluationSet(name="quiz", path=path, text_columns=("question", "answer"))
    settings = {"prompt_suite": False, **settings}
    return DedupConfig(decontaminate=DecontaminateConfig(evaluation_sets=(one,), **settings))


def test_a_document_that_quotes_an_item_goes_and_its_copies_with_it(house, questions):
    quoting = f"{words(50, 80)} {QUESTIONS[3].upper()}! {words(51, 80)}"
    partly = f"{words(52, 80)} {' '.join(QUESTIONS[2].split()[:12])} {words(53, 80)}"
    texts = {
        "a@20260101": [words(60, 50), quoting, partly],
        "b@20260101": [quoting, words(61, 50), QUESTIONS[0]],
    }
    artifact = house.deduplicate(texts, config(questions))
    assert artifact.kept() == {"a@20260101": [0, 2], "b@20260101": [1]}
    rows = {row["doc_id"]: row for row in artifact.dropped()}
    assert {row["reason"] for row in rows.values()} == {"contaminated"}
    assert rows["a@20260101/0/1"]["evaluation_item"] == "quiz/question/3"
    assert rows["a@20260101/0/1"]["similarity"] == 1
    assert rows["b@20260101/0/2"]["evaluation_item"] == "quiz/question/0"
    assert rows["b@20260101/0/2"]["kept_doc_id"] is None
    report = artifact.report
    assert (report["num_contaminated"], report["num_kept"], report["num_exact"]) == (3, 3, 0)
    # The answers have three words: one n-gram each, that only a document of just these words has.
    evaluation = artifact.builder.build("evaluation_ngrams").report
    assert evaluation["sets"] == {"quiz": {"num_items": 10, "num_short_items": 5}}
    found = {dump: one.report for dump, one in artifact.contaminated().items()}
    assert {dump: one["by_set"] for dump, one in found.items()} == {
        "a@20260101": {"quiz": 1},
        "b@20260101": {"quiz": 2},
    }
    assert found["a@20260101"]["examples"][0]["item_text"] == QUESTIONS[3]
    assert "W" not in found["a@20260101"]["examples"][0]["item_text"]


def test_the_limit_is_a_share_of_the_item(house, questions):
    # 12 words of 30: 5 of the 23 n-grams of 8 words.
    partly = f"{words(52, 80)} {' '.join(QUESTIONS[2].split()[:12])} {words(53, 80)}"
    kept = {
        limit: house.deduplicate(
            {"a@20260101": [partly]}, config(questions, min_overlap_frac=limit)
        ).kept()
        for limit in (0.21, 0.22)
    }
    assert kept == {0.21: {"a@20260101": []}, 0.22: {"a@20260101": [0]}}


def test_a_contaminated_document_is_nobodys_twin(house, questions):
    page = words(70, 200)
    quoting = f"{page} {QUESTIONS[1]}"
    near = f"{page} {' '.join(QUESTIONS[1].split()[:12])}"
    clean = DedupConfig()
    texts = {"a@20260101": [quoting], "b@20260101": [near], "c@20260101": [near + " end"]}
    assert house.deduplicate(texts, clean).kept() == {
        "a@20260101": [0],
        "b@20260101": [],
        "c@20260101": [],
    }
    kept = house.deduplicate(texts, config(questions)).kept()
    assert kept == {"a@20260101": [], "b@20260101": [0], "c@20260101": []}


def test_a_new_dump_is_searched_alone_and_a_new_set_searches_all_again(house, questions):
    texts = {"a@20260101": [QUESTIONS[0], words(1, 40)], "b@20260101": [words(2, 40)]}
    house.deduplicate({"a@20260101": texts["a@20260101"]}, config(questions))
    house.deduplicate(texts, config(questions))
    found = house.store.layout.root / "artifacts" / "contaminated_documents"
    assert sorted(path.parent.name for path in found.glob("*/*")) == ["a@20260101", "b@20260101"]
    questions.write_text(json.dumps({"question": texts["b@20260101"][0], "answer": "no"}) + "\n")
    assert house.deduplicate(texts, config(questions)).kept() == {
        "a@20260101": [0, 1],
        "b@20260101": [],
    }
    assert len(list(found.glob("*/*"))) == 4


def test_a_set_is_named_by_its_bytes_and_not_by_its_folder(house, questions, tmp_path):
    elsewhere = tmp_path / "other"
    elsewhere.mkdir()
    shutil.copy(questions, elsewhere)
    texts = {"a@20260101": ["a text"]}
    one, two = (
        house.builder(texts, config(path)).key("evaluation_ngrams")
        for path in (questions, elsewhere / questions.name)
    )
    assert one == two


def test_a_broken_or_missing_set_is_named(house, tmp_path):
    texts = {"a@20260101": ["text"]}
    with pytest.raises(RecipeError, match=r"evaluation_sets\.0\.path: .*none\.jsonl: no such file"):
        house.deduplicate(texts, config(tmp_path / "none.jsonl"))
    (tmp_path / "bad.jsonl").write_text('{"question": "fine", "answer": "fine"}\n{"question": 7}\n')
    with pytest.raises(DataError, match=r"'quiz', column 'question', row 1: text_not_string"):
        house.deduplicate(texts, config(tmp_path / "bad.jsonl"))
    (tmp_path / "other.jsonl").write_text('{"question": "fine"}\n{"answer": null}\n')
    with pytest.raises(DataError, match=r"'quiz': no row has text in column 'answer'"):
        house.deduplicate(texts, config(tmp_path / "other.jsonl"))


@pytest.mark.parametrize("lang", ["khm", "eng"])
def test_real_evaluation_sentences_are_found_and_real_text_is_left_alone(house, real_data, lang):
    def read(name: str) -> list[str]:
        with gzip.open(real_data / lang / f"{name}.jsonl.gz", "rt", encoding="utf-8") as stream:
            texts = [json.loads(line)["text"] for line in stream]
        return normalize_batch_report(pa.array(texts, pa.large_string()))[0].to_pylist()

    sentences = read("ntrex128")
    pages = read("news" if lang == "khm" else "abc_news")[:300]
    # Shorter than one n-gram, a quoted sentence leaves no trace in a longer page.
    long = [text for text in sentences if len(text) > 150]
    planted = [f"{page}\n{long[7 * n]}\n{page[:50]}" for n, page in enumerate(pages[:60])]
    one = EvaluationSet(name="ntrex128", path=real_data / lang / "ntrex128.jsonl.gz")
    settings = DedupConfig(decontaminate=DecontaminateConfig(evaluation_sets=(one,)))
    texts = {"test@20260101": sentences, "planted@20260101": planted, "news@20260101": pages}
    artifact = house.deduplicate(texts, settings)
    by_dump = {dump: one.report["num_documents"] for dump, one in artifact.contaminated().items()}
    assert by_dump["test@20260101"] == len(sentences)
    assert by_dump["news@20260101"] == 0
    assert by_dump["planted@20260101"] == 60


def test_the_prompt_suite_is_kept_out_without_being_asked_for(house):
    item = next(item for item in load_suite() if item.id == "qc-003")
    page = f"{words(50, 80)} {item.asked[0]} {words(51, 80)}"
    artifact = house.deduplicate({"a@20260101": [words(60, 50), page]}, DedupConfig())
    assert artifact.kept() == {"a@20260101": [0]}
    (row,) = artifact.dropped()
    assert row["evaluation_item"] == "khmer-1/qc-003"
    without = DedupConfig(decontaminate=DecontaminateConfig(prompt_suite=False))
    assert house.deduplicate({"a@20260101": [page]}, without).kept() == {"a@20260101": [0]}
