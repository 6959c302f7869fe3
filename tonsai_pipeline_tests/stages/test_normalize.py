"""raw_documents -> normalized_documents."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.recipe.sources import IngestConfig
from tonsai_pipeline.schema import NORMALIZED_DOCUMENTS, REJECTED_DOCUMENTS, DumpKey
from tonsai_pipeline.stages.train_classifiers.fit import fit_model
from tonsai_pipeline.storage.documents import is_converted, read_part
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline.text import NormalizeOptions
from tonsai_pipeline.text import normalize as normalize_text
from tonsai_pipeline_tests.stages.test_ingest import builder_of, content, write_dump
from tonsai_pipeline_tests.text.legacy.encoder import encode
from tonsai_pipeline_tests.text.legacy.test_documents import PAGE as LEGACY_PAGE
from tonsai_pipeline_tests.text.samples import ENGLISH_SENTENCE, KHMER_SENTENCE
from tonsai_pipeline_tests.text.test_legacy_fonts import LIMON

DUMP = DumpKey("web@20261101")
PARTS = IngestConfig(part_bytes=1024)
MIXED = f"{KHMER_SENTENCE}\n\n{ENGLISH_SENTENCE}"
TEXTS = [
    KHMER_SENTENCE,
    "\u1780\u17c1\u17b8\u200b\u1780\u178e\u17d2\u178a\u17b6\u179b \u17cb",
    LIMON,
    ENGLISH_SENTENCE,
    "\u200b\ufeff \u1780"[:3],
    MIXED,
    # Two vowels; and an open coeng that would take the next letter if it were moved.
    "\u1780\u17b7\u17b6 \u1780\u17c6\u200d\u17d2\u17b6\u1781",
]


def _run(
    store: Store, engine: Engine, folder: Path, texts: Sequence[str | None], **config: Any
) -> Artifact:
    """Take texts from a dump to normalized documents, in parts of about 300 bytes."""
    dump = write_dump(folder, [[json.dumps({"text": text, "n": 1}) for text in texts]], DUMP)
    builder = builder_of(store, dump, engine, PARTS, normalize=config)
    return builder.build("normalized_documents", DUMP)


def _rows(artifact: Artifact, folder: str = ".") -> list[dict[str, Any]]:
    tables = [read_part(path) for path in artifact.parts(folder)]
    schema = NORMALIZED_DOCUMENTS if folder == "." else REJECTED_DOCUMENTS
    assert all(table.schema == schema for table in tables)
    return [row for table in tables for row in table.to_pylist()]


def test_a_dump_without_a_readable_document_is_reported_as_empty(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    artifact = _run(store, engine, tmp_path / "in", [None])
    assert not artifact.parts()
    counts = [value for value in artifact.report.values() if isinstance(value, int | float)]
    assert len(counts) > 5
    assert not any(counts)


def test_every_document_is_normalized_and_labelled_or_rejected_with_a_reason(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    artifact = _run(store, engine, tmp_path / "in", TEXTS)
    kept, rejected = _rows(artifact), _rows(artifact, "rejected")
    assert {int(row["doc_id"].rpartition("/")[2]): row["reason"] for row in rejected} == {
        2: "legacy_khmer_font",
        4: "empty",
    }
    assert [row["text"] for row in rejected] == [TEXTS[2], TEXTS[4]]
    places = [int(row["doc_id"].rpartition("/")[2]) for row in kept]
    assert places == [0, 1, 3, 5, 6]
    assert [row["text"] for row in kept] == [normalize_text(TEXTS[place]) for place in places]
    assert [row["lang"] for row in kept] == ["khm", "khm", "eng", "mixed", "khm"]
    assert [row["num_bytes"] for row in kept] == [len(row["text"].encode()) for row in kept]
    assert all(json.loads(row["meta"]) == {"n": 1} for row in kept)
    names = ("num_repairs", "num_zwsp", "num_orphan_marks", "num_invalid_clusters")
    assert [tuple(row[name] for name in names) for row in kept] == [
        (0, 0, 0, 0),
        (3, 1, 1, 0),
        (0, 0, 0, 0),
        (0, 0, 0, 0),
        (0, 0, 0, 2),
    ]


def test_the_report_adds_up(store: Store, engine: Engine, tmp_path: Path) -> None:
    artifact = _run(store, engine, tmp_path / "in", TEXTS * 20)
    report, kept = artifact.report, _rows(artifact)
    assert len(artifact.parts()) > 1
    assert (report["num_documents"], report["num_rejected"]) == (100, 40)
    assert report["rejected_by_reason"] == {"empty": 20, "legacy_khmer_font": 20}
    assert report["documents_by_language"] == {"eng": 20, "khm": 60, "mixed": 20}
    assert report["num_bytes"] == sum(row["num_bytes"] for row in kept)
    for name in ("num_clusters", "num_orphan_marks", "num_invalid_clusters"):
        assert report[name] == sum(row[name] for row in kept) > 0
    assert report["num_left_as_typed"] == 20
    assert "num_left_as_typed" not in report["repairs_by_rule"]
    assert report["num_zwsp"] == 40  # one of them in a document that was nothing else
    assert report["zwsp_per_cluster"] == 40 / report["num_clusters"]
    assert report["damaged_per_million"] == 60 * 1e6 / report["num_clusters"]
    assert report["repairs_by_rule"]["num_composed_vowel"] == 20
    assert report["repairs_by_rule"]["num_coeng_da"] == 20
    assert report["mixed_bytes_by_language"] == {
        "eng": 20 * len(ENGLISH_SENTENCE),
        "khm": 20 * len(KHMER_SENTENCE.encode()),
    }
    assert report["samples"][0]["before"] != report["samples"][0]["after"]


def test_the_same_dump_gives_the_same_bytes_in_one_process_and_in_two(
    store: Store, engine: Engine, two_workers: Engine, tmp_path: Path
) -> None:
    once = _run(store, engine, tmp_path / "in", TEXTS * 20)
    other = Store(type(store.layout)(tmp_path / "other", "test"))
    again = _run(other, two_workers, tmp_path / "in", TEXTS * 20)
    assert not again.cached
    assert content(once) == content(again)
    assert once.report == again.report


def test_preserve_keeps_coeng_da(store: Store, engine: Engine, tmp_path: Path) -> None:
    artifact = _run(store, engine, tmp_path / "in", TEXTS[:2], coeng_da="preserve")
    options = NormalizeOptions(coeng_da="preserve")
    assert _rows(artifact)[1]["text"] == normalize_text(TEXTS[1], options)
    assert "\u17d2\u178a" in _rows(artifact)[1]["text"]


@pytest.fixture(scope="module")
def lid_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fastText model that calls every text of "market" Dutch, and every other one English."""
    folder = tmp_path_factory.mktemp("lid")
    lines = ["__label__nld_Latn market", "__label__eng_Latn fish house tree"] * 50
    (folder / "lines.txt").write_text("\n".join(lines), "utf-8")
    settings = {"epoch": 50, "lr": 0.5, "dim": 8, "bucket": 0}
    fit_model(folder / "lines.txt", folder / "lid.bin", settings)
    return folder / "lid.bin"


def test_a_language_model_named_in_the_recipe_is_used(
    store: Store, engine: Engine, tmp_path: Path, lid_model: Path
) -> None:
    texts = ["market " * 9, "tree fish house tree fish house tree fish house"]
    by_words = _run(store, engine, tmp_path / "in", texts)
    by_model = _run(store, engine, tmp_path / "in", texts, lid_model=str(lid_model))
    assert [row["lang"] for row in _rows(by_words)] == ["eng", "eng"]
    assert [row["lang"] for row in _rows(by_model)] == ["other", "eng"]
    assert not by_model.cached


def test_other_bytes_in_the_language_model_are_other_work(
    store: Store, engine: Engine, tmp_path: Path, lid_model: Path
) -> None:
    config = {"lid_model": str(tmp_path / "lid.bin")}
    (tmp_path / "lid.bin").write_bytes(lid_model.read_bytes())
    before = _run(store, engine, tmp_path / "in", TEXTS, **config)
    assert _run(store, engine, tmp_path / "in", TEXTS, **config).cached
    (tmp_path / "copy.bin").write_bytes(lid_model.read_bytes())
    assert _run(store, engine, tmp_path / "in", TEXTS, lid_model=str(tmp_path / "copy.bin")).cached
    (tmp_path / "lid.bin").write_bytes(lid_model.read_bytes() + b"\0")
    after = _run(store, engine, tmp_path / "in", TEXTS, **config)
    assert not after.cached
    assert after.manifest.fingerprint != before.manifest.fingerprint


def test_a_language_model_that_is_none_is_named(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=r"normalize\.lid_model: nowhere\.bin: no such file"):
        _run(store, engine, tmp_path / "in", TEXTS, lid_model="nowhere.bin")
    (tmp_path / "no.bin").write_bytes(b"not a model")
    with pytest.raises(RecipeError, match=r"normalize\.lid_model: .*no\.bin has wrong file format"):
        _run(store, engine, tmp_path / "in", TEXTS, lid_model=str(tmp_path / "no.bin"))


def test_text_in_legacy_fonts_is_converted_where_the_source_asks_for_it(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    good = encode(LEGACY_PAGE, "limon")
    bad = "".join(random.Random(1).sample(good, len(good)))
    runs = {"fonts": ["LimonS1"], "font_runs": [0, 0], "page_starts": [0, len(good)]}
    lines = [
        json.dumps({"text": good, "n": 1}),
        json.dumps({"text": good + bad, **runs}),
        json.dumps({"text": bad, **runs, "page_starts": [0]}),
        json.dumps({"text": KHMER_SENTENCE}),
    ]
    dump = write_dump(tmp_path / "in", [lines], DUMP)
    builder = builder_of(store, dump, engine, PARTS, source={"legacy_fonts": "convert"})
    artifact = builder.build("normalized_documents", DUMP)
    kept, rejected = _rows(artifact), _rows(artifact, "rejected")
    assert [is_converted(row["meta"]) for row in kept] == [True, True, False]
    assert kept[0]["text"] == kept[1]["text"] == normalize_text(LEGACY_PAGE)
    meta = json.loads(kept[1]["meta"])
    assert "font_runs" not in meta
    assert (meta["legacy"]["families"], meta["legacy"]["num_pages_refused"]) == ({"limon": 1}, 1)
    assert sorted(row["page"] or 0 for row in rejected) == [0, 1, 2]
    assert all(row["reason"].startswith("legacy_") for row in rejected)
    assert json.loads(next(row["detail"] for row in rejected if row["page"]))["family"] == "limon"
    legacy = artifact.report["legacy"]
    assert (legacy["num_converted"], legacy["num_pages"]) == (2, 4)
    assert sum(legacy["refused_by_reason"].values()) == 2
    assert artifact.report["num_rejected"] == 1
    assert [sample["after"] != "" for sample in legacy["samples"]] == [True, True, False, False]


def test_a_table_that_is_none_is_named(store: Store, engine: Engine, tmp_path: Path) -> None:
    table = tmp_path / "mine.tsv"
    table.write_text("codes\tunicode\n41\t1780\n")
    dump = write_dump(tmp_path / "in", [[json.dumps({"text": "AA"})]], DUMP)
    source = {"legacy_fonts": "convert", "legacy_tables": [str(table)]}
    builder = builder_of(store, dump, engine, PARTS, source=source)
    with pytest.raises(RecipeError, match=r"mine\.tsv: begin it with '# family'"):
        builder.build("normalized_documents", DUMP)
