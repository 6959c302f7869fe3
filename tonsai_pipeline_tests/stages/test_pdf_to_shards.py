"""PDFs, some in a legacy font, through every stage of the corpus into packed shards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.lineage import Builder
from tonsai_pipeline.pipeline import dumps_on_disk, open_builder
from tonsai_pipeline.recipe import parse_recipe
from tonsai_pipeline.storage.documents import read_part
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.storage.store import Store
from tonsai_pipeline.text import normalize
from tonsai_pipeline_tests.lineage.worlds import bring_up_to_date
from tonsai_pipeline_tests.quality.pages import english_prose, khmer_prose
from tonsai_pipeline_tests.storage.dumps.pdf.files import new_pdf, write_page
from tonsai_pipeline_tests.storage.dumps.pdf.test_pdf import scanned_pdf
from tonsai_pipeline_tests.text.legacy.encoder import encode
from tonsai_pipeline_tests.text.legacy.test_documents import PAGE

TYPED_IN_LIMON, TYPED_IN_UNICODE = PAGE + khmer_prose(10, 77), khmer_prose(12, 5)


def _write_corpus(folder: Path) -> None:
    """Write a law in Limon whose last page is noise, one in Unicode, a scanned one, and news as JSON."""
    law, news = folder / "khm_law", folder / "khm_news"
    law.mkdir(parents=True)
    news.mkdir()
    pdf = new_pdf()
    write_page(pdf, "legacy", encode(TYPED_IN_LIMON, "limon"))
    write_page(pdf, "legacy", encode(TYPED_IN_LIMON, "limon")[::-1])
    pdf.add_page()
    pdf.output(str(law / "limon.pdf"))
    pdf = new_pdf()
    write_page(pdf, "khmer", TYPED_IN_UNICODE)
    pdf.output(str(law / "unicode.pdf"))
    (law / "scanned.pdf").write_bytes(scanned_pdf())
    texts = [khmer_prose(8, 100 + n) for n in range(16)]
    (news / "a.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    english = folder / "eng_news"
    english.mkdir()
    texts = [english_prose(8, n) for n in range(16)]
    (english / "a.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))


def _builder(
    folder: Path, store: Store, engine: Engine, *, held_out_frac: float = 0.1, **law: object
) -> Builder:
    sources = [
        {
            "name": "khm_law",
            "lang": "khm",
            "path": "khm_law/*.pdf",
            "legacy_fonts": "convert",
            **law,
        },
        {"name": "khm_news", "lang": "khm", "path": "khm_news/*.jsonl"},
        {"name": "eng_news", "lang": "eng", "path": "eng_news/*.jsonl"},
    ]
    raw = {
        "name": "test", "sources": sources,
        "mixture": {"languages": {"khm": 0.6, "eng": 0.4}, "validation": {"frac": held_out_frac}, "on_shortage": "redistribute"},
        "tokenizer": {"vocab_size": 600, "compare_gpt2": False}, "packing": {"seq_len": 64},
    }  # fmt: skip
    recipe = parse_recipe(raw, where="law.yaml", folder=folder)
    return open_builder(recipe, store, dumps_on_disk(recipe, store, folder), engine=lambda: engine)


def _packed_frac(builder: Builder, text: str) -> float:
    """Return which share of a text's 20-character stretches stands in the rows; a row may end in any of them."""
    tokenizer = Tokenizer.from_file(str(builder.build("tokenizer").path / "tokenizer.json"))
    folder = builder.build("packed_shards").path
    readers = [
        RowReader(folder / split) for split in ("train", "val_khm") if (folder / split).is_dir()
    ]
    rows = [reader.row(n).input_ids.tolist() for reader in readers for n in range(reader.num_rows)]
    packed = "".join("".join(tokenizer.decode_batch(rows)).split())
    # Spaces at which a line was wrapped are not in a PDF.
    wanted = "".join(normalize(text).split())
    found = [wanted[i : i + 20] in packed for i in range(len(wanted) - 20)]
    return sum(found) / len(found)


@pytest.mark.slow
def test_laws_in_pdfs_come_to_the_shards_with_every_page_accounted_for(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    _write_corpus(tmp_path / "data")
    builder = _builder(tmp_path / "data", store, engine)
    dump = next(key for key in builder.dumps.versions if key.source == "khm_law")
    bring_up_to_date(builder)
    raw = builder.build("raw_documents", dump)
    assert raw.report["pages_by_kind"] == {"read": 3, "needs_ocr": 1, "blank": 1}
    assert raw.report["bad_by_reason"] == {"needs_ocr": 1}
    normal = builder.build("normalized_documents", dump)
    legacy = normal.report["legacy"]
    assert legacy["converted_by_family"] == {"limon": 1}
    assert sum(legacy["refused_by_reason"].values()) == 1
    (rejected,) = [row for path in normal.parts("rejected") for row in read_part(path).to_pylist()]
    assert (rejected["page"], rejected["reason"]) == (2, *legacy["refused_by_reason"])
    assert _packed_frac(builder, PAGE) > 0.5
    assert _packed_frac(builder, TYPED_IN_UNICODE) > 0.5
    without = _builder(tmp_path / "data", store, engine, converted_weight=0)
    bring_up_to_date(without)
    assert without.build("normalized_documents", dump).path == normal.path
    assert _packed_frac(without, PAGE) == 0
    assert _packed_frac(without, TYPED_IN_UNICODE) > 0.5
    twice = _builder(
        tmp_path / "data", store, engine, held_out_frac=0.0, converted_weight=2.0
    ).build("mixture_documents", dump)
    repeats = [r for path in twice.parts() for r in read_part(path)["repeats"].to_pylist()]
    assert sorted(repeats) == [1.0, 2.0]
