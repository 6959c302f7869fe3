"""The page says what was measured, needs nothing from elsewhere, and no text can break out of its box."""

from __future__ import annotations

import re
from pathlib import Path

import orjson
import pytest

from tonsai_pipeline.errors import DataError, RecipeError
from tonsai_pipeline.evaluate.compare import compare, name_places
from tonsai_pipeline.evaluate.corpus import corpus_tables
from tonsai_pipeline.evaluate.curve import loss_curve
from tonsai_pipeline.evaluate.job import write
from tonsai_pipeline.evaluate.measure import Material
from tonsai_pipeline.evaluate.report import html
from tonsai_pipeline.evaluate.results import Results, read_models
from tonsai_pipeline.evaluate.texts import Document, TextSet
from tonsai_pipeline.model.held_out import held_out
from tonsai_pipeline.model.samples import Sample, shipped_prompts
from tonsai_pipeline.recipe.evaluate import EvaluateConfig
from tonsai_pipeline.text import NormalizeOptions

NASTY = "a ``` fence\n<script>alert(1)</script>\n# not a title"
TRAINING = {
    "num_parameters": 1234, "step": 10, "tokens": 5120, "train_s": 2.0, "world_size": 2, "device": "cpu",
    "precision": "fp32", "backend": "deepspeed", "zero_stage": 1,
}  # fmt: skip
LEGACY = {
    "converted_by_family": {"limon": 4}, "refused_by_reason": {"legacy_too_short": 1},
    "samples": [{"doc_id": "a/7", "page": 2, "reason": None, "family": "limon", "before": "Pasa<b>", "after": "\u1797\u17b6\u179f\u17b6"}],
}  # fmt: skip
CORPUS = {
    "raw_documents": [{"num_documents": 9, "num_bytes": 900, "bad_by_reason": {"not_json": 1}, "pages_by_kind": {"read": 8, "needs_ocr": 3}}],
    "normalized_documents": [{"num_documents": 9, "num_rejected": 2, "num_bytes": 700, "rejected_by_reason": {"garbage_ocr": 2}, "legacy": LEGACY}],
    "deduplicated_documents": [{"by_source": {"a": {"num_documents": 7, "num_dropped": 1}}, "by_dump": {"a@1": {"num_exact": 1}}}],
    "packed_shards": [{"sources": {"a": {"lang": "khm", "num_tokens": 100, "target_share": 1.0, "share": 1.0, "epochs": 2.0}}}],
    "tokenizer": [{"fertility": {"khm": {"bytes_per_token": 9.1}}}],
}  # fmt: skip


@pytest.fixture(scope="module")
def results(model_dir: Path) -> Results:
    """The same untrained model under two names, over the whole suite and one missing set."""
    config = EvaluateConfig.model_validate(
        {"texts": [{"name": "gone", "lang": "khm", "path": "/nowhere/gone.jsonl"}]}
    )
    texts = TextSet("held out", (Document("ទឹកឡើង។ The river rises.", "khm", "a"),))
    return compare(
        {"first": str(model_dir), "second": str(model_dir)},
        config,
        Material(texts=(texts,)),
        NormalizeOptions(),
        title="tiny",
        log=lambda _: None,
        untrained={"khm": 9.0},
    )


def test_everything_is_measured_or_named(results: Results) -> None:
    assert [model.name for model in results.models] == ["first", "second"]
    first = results.models[0]
    assert {row.kind for row in first.suite} >= {"minimal_pair", "choice", "qa", "summarize"}
    assert first.health["continue"]["num_texts"] == 60
    assert all(difference.value.value == 0 for difference in results.differences)
    gone = next(one for one in results.not_measured if "gone" in one.name)
    assert "/nowhere/gone.jsonl" in gone.why
    assert gone.how
    assert len(results.corpus_health) == 1


def test_the_page_shows_it_and_needs_nothing_from_elsewhere(results: Results) -> None:
    page = html(results)
    for wanted in (
        "Before it is given to others",
        "Bits per byte",
        "Not measured",
        "held out",
        "nc:6|nw:0",
    ):
        assert wanted in page
    assert "<script" not in page
    assert not re.search(r'(src|href)="?(https?:)?//', page)
    assert not re.search(r"url\((?!data:)", page)
    assert page.count("font/woff2;base64") == 2
    assert page.count("<article>") == 150  # every item that is answered with a text


def test_texts_cannot_leave_their_box(results: Results) -> None:
    sample = Sample("khm", "a | b", NASTY, 3, True, 0.25)
    page = html(Results("tiny", "2026-01-02", results.models[:1], samples=[sample]))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert page.count("<h1>") == 1


def test_the_training_run_and_the_corpus_stand_in_the_page(results: Results) -> None:
    pair = {"before": held_out(5.5 * 100, 100, 200, 2), "after": held_out(2.2 * 100, 100, 200, 2)}
    whole = Results(
        "tiny",
        "2026-01-02",
        results.models[:1],
        languages={"khm": pair},
        training=TRAINING,
        corpus=CORPUS,
    )
    page = html(whole, curve=b"png")
    for wanted in (
        "3.967",
        "<b>1.587</b>",
        "2,560",
        "data:image/png;base64,cG5n",
        "garbage ocr 2",
        "9.10 bytes a token",
        "3 needs ocr (PDF)",
        "4 converted from limon (legacy font)",
        "<td>Pasa&lt;b&gt;</td><td>\u1797\u17b6\u179f\u17b6</td>",
    ):
        assert wanted in page


def test_the_funnel_counts_what_is_left_and_why() -> None:
    tables = corpus_tables(CORPUS)
    assert [(row["name"], row["num_documents"]) for row in tables["funnel"]] == [
        ("read", 9), ("normalized", 7), ("not duplicated", 6),
    ]  # fmt: skip
    assert ("deduplicated", "exact", 1) in tables["reasons"]
    assert corpus_tables({}) == {
        "funnel": [], "reasons": [], "pages": [], "converted_pages": [], "mixture": [], "fertility": {}, "gpt2_fertility": {},
    }  # fmt: skip


def test_results_come_back_as_they_were_written(results: Results, tmp_path: Path) -> None:
    write(results, tmp_path)
    assert orjson.loads((tmp_path / "results.json").read_bytes())["gate"]["verdicts"]
    models, suite = read_models(tmp_path / "results.json")
    assert models == list(results.models)
    assert suite == "khmer-1"
    with pytest.raises(DataError, match="no such file"):
        read_models(tmp_path / "gone.json")
    (tmp_path / "other.json").write_text('{"format": "other"}')
    with pytest.raises(DataError, match="evaluate the model again"):
        read_models(tmp_path / "other.json")


def test_runs_are_compared_on_one_page(results: Results, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from tonsai_pipeline.cli import app

    for name in ("a", "b"):
        write(results, tmp_path / name)
    command = ["report", "--compare", str(tmp_path / "a"), "--compare", str(tmp_path / "b")]
    done = CliRunner().invoke(app, [*command, "--output", str(tmp_path / "both.html")])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "both.html").read_text(encoding="utf-8")
    assert "a: first" in page
    assert "The same documents and items, compared" in page
    assert isinstance(CliRunner().invoke(app, command[:3]).exception, RecipeError)


def test_another_model_that_cannot_be_opened_is_named_and_the_first_is_an_error(
    model_dir: Path,
) -> None:
    def measured(**places: str) -> Results:
        texts = TextSet("t", (Document("ទឹកឡើង។", "khm", "a"),))
        config, options = EvaluateConfig(suite=False), NormalizeOptions()
        return compare(places, config, Material((texts,)), options, title="t", log=lambda _: None)

    found = measured(first=str(model_dir), gone="/nowhere/model", last=str(model_dir))
    assert [model.name for model in found.models] == ["first", "last"]
    [told] = [one for one in found.not_measured if one.name == "model: gone"]
    assert "/nowhere/model: no such folder" in told.why
    assert [one.second for one in found.differences] == ["last"]
    with pytest.raises(DataError, match="no such folder"):
        measured(gone="/nowhere/model", first=str(model_dir))


def test_places_are_named_apart() -> None:
    assert name_places(["a/model", "b/model"]) == {"a/model": "a/model", "b/model": "b/model"}


def test_the_curve_is_a_picture_and_the_same_one_each_time() -> None:
    point = {"loss": 5.0, "bits_per_byte": 2.0}
    records = [
        {"kind": "validation", "step": 0, "khm": point, "eng": point},
        {"kind": "train", "step": 1, "loss": 5.0},
        {"kind": "train", "step": 2, "loss": None},
        {"kind": "event", "step": 2, "message": "skipped"},
        {"kind": "validation", "step": 2, "khm": point, "eng": point},
    ]
    first = loss_curve(records)
    assert first is not None
    assert first.startswith(b"\x89PNG")
    assert first == loss_curve(records)
    assert loss_curve(records[:1]) is None


def test_shipped_prompts_are_khmer_and_english() -> None:
    prompts = shipped_prompts()
    assert set(prompts) == {"khm", "eng"}
    assert all("\u1780" <= char <= "\u17ff" or char == " " for p in prompts["khm"] for char in p)
    assert all(p.isascii() for p in prompts["eng"])


def test_a_native_reader_sees_every_item_on_one_page() -> None:
    from tonsai_pipeline.evaluate.review import page
    from tonsai_pipeline.metrics.suite import load_suite

    text = page()
    assert all(f">{item.id}<" in text for item in load_suite())
    assert "Found by the script: nothing." in text
    assert "Read by:" in text
