"""`tonsai quality`, as a process would use it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tonsai_pipeline.cli import app
from tonsai_pipeline.errors import DumpError
from tonsai_pipeline_tests.quality.pages import english_prose, menu

PAGES = [english_prose(12, 1), menu(1), "See www.a.org " * 40, "She likes her new dog."]


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["quality", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0
    return result.stdout


@pytest.fixture
def pages(tmp_path: Path) -> str:
    file = tmp_path / "pages.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in PAGES), encoding="utf-8")
    return str(file)


def test_the_table_counts_every_document_once(pages: str) -> None:
    shown = run(pages, "-n", "1")
    assert shown.startswith("4 documents")
    assert "kept " in shown
    counts = [
        int(line.split()[1]) for line in shown.splitlines()[2:] if "/" in line and " / " in line
    ]
    assert sum(counts) == 4
    assert "pages.jsonl:3" in shown, "an example says where it stands"


def test_as_a_filter_each_line_has_verdict_score_reasons_and_places(pages: str) -> None:
    lines = [json.loads(line) for line in run(pages, "--json").splitlines()]
    assert [line["verdict"] for line in lines] == ["keep", "drop", "drop", "drop"]
    links = next(line for line in lines if "too_many_links" in line["reasons"])
    start, end = links["spans"]["too_many_links"][0]
    assert links["text"][start:end] == "www.a.org"
    kept = [json.loads(line) for line in run(pages, "--json", "--only", "kept").splitlines()]
    assert [line["row"] for line in kept] == [0]
    assert 0 <= kept[0]["score"] <= 1


def test_a_kind_keeps_what_prose_drops(pages: str) -> None:
    kept = [
        json.loads(line)["row"]
        for line in run(pages, "--json", "--only", "kept", "--kind", "sentences").splitlines()
    ]
    assert 3 in kept


def test_another_language_is_a_reason_where_one_is_asked_for(pages: str) -> None:
    lines = [json.loads(line) for line in run(pages, "--json", "--lang", "khm").splitlines()]
    assert all("wrong_language" in line["reasons"] for line in lines)


def test_two_recipes_are_compared_with_samples(tmp_path: Path, pages: str) -> None:
    from tonsai_pipeline.recipe import shipped_recipes

    demo = shipped_recipes()["demo"].read_text(encoding="utf-8")
    strict = tmp_path / "strict.yaml"
    strict.write_text(demo + "\nquality:\n  eng: {min_words: 5000}\n", encoding="utf-8")
    shown = run(pages, "--compare", "demo", str(strict))
    assert "only by demo" in shown
    assert "pages.jsonl:0  too_few_words" in shown


def test_the_page_has_every_reason_and_marks_its_places(tmp_path: Path, pages: str) -> None:
    page = tmp_path / "reasons.html"
    run(pages, "--page", str(page), "-n", "30")
    written = page.read_text(encoding="utf-8")
    assert "<h2>kept (1)</h2>" in written
    assert "<mark>" in written


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DumpError, match=r"none\.jsonl"):
        run(str(tmp_path / "none.jsonl"))
