"""Ingest: a loss that is more than its own row has a verdict of its own, and every record is accounted for."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.recipe.sources import IngestConfig
from tonsai_pipeline.schema import QUARANTINE
from tonsai_pipeline.stages.ingest import chunks as ingest_chunks
from tonsai_pipeline.stages.ingest.report import say_empty, say_losses
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline_tests.stages.test_ingest import Files, ingest_dump, table_of

LINES = [json.dumps({"text": f"text {n} {n * 7919 % 10007}", "n": n}) for n in range(2000)]


def dump_of(folder: Path, **files: bytes) -> Files:
    folder.mkdir(parents=True, exist_ok=True)
    names = tuple(name.replace("__", ".") for name in files)
    for name, data in zip(names, files.values(), strict=True):
        (folder / name).write_bytes(data)
    return Files("web@20261101", tuple(str(folder / name) for name in names), names)


def members(lines: list[str], size: int = 100) -> list[bytes]:
    pieces = [lines[start : start + size] for start in range(0, len(lines), size)]
    return [
        gzip.compress("".join(f"{line}\n" for line in piece).encode(), mtime=0) for piece in pieces
    ]


def is_whole(artifact: Artifact, config: IngestConfig | None = None) -> bool:
    found = artifact.report["max_lost_frac"]
    return (1.0 if found is None else found) <= (config or IngestConfig()).max_lost_frac


def test_a_cut_file_is_never_hidden_behind_one_bad_row(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    whole = gzip.compress("\n".join(LINES).encode(), mtime=0)
    dump = dump_of(
        tmp_path / "in", a__jsonl__gz=whole[: len(whole) // 2], b__jsonl=b'{"text": "b"}\n'
    )
    artifact = ingest_dump(store, dump, engine)
    assert artifact.report["bad_by_reason"] == {"truncated_file": 1}
    assert artifact.report["max_lost_frac"] is None
    assert not is_whole(artifact)
    said = say_losses(artifact.report, 0.01)
    assert said.startswith("a.jsonl.gz: cut, nobody knows how much is lost at row ")
    assert "ingest.max_lost_frac" in said
    assert [entry["lost_frac"] for entry in artifact.report["files"]] == [None, 0.0]
    [bad] = table_of(artifact.parts("quarantine"), QUARANTINE)
    assert bad["lost_bytes"] is None


def test_a_damaged_stretch_is_measured_and_what_follows_it_is_read(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    pieces = members(LINES)
    lost = len(pieces[5]) + len(pieces[6])
    pieces[5] = b"\x1f\x8b\x08" + b"\xff" * (len(pieces[5]) - 3)
    pieces[6] = b"\xff" * len(pieces[6])
    dump = dump_of(tmp_path / "in", a__jsonl__gz=b"".join(pieces))
    artifact = ingest_dump(store, dump, engine)
    assert artifact.report["num_documents"] == 1800
    frac = artifact.report["max_lost_frac"]
    assert frac == pytest.approx(lost / len(b"".join(pieces)), rel=0.05)
    assert not is_whole(artifact)
    assert is_whole(artifact, IngestConfig(max_lost_frac=0.2))
    [loss] = artifact.report["losses"]
    assert (loss["file"], loss["row"], loss["lost_frac"]) == ("a.jsonl.gz", 500, frac)
    assert f"a.jsonl.gz: {frac:.2%} lost at row 500, byte " in say_losses(artifact.report, 0.01)


def test_a_bad_row_that_costs_only_itself_is_no_loss(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    lines = LINES.copy()
    lines[10] = lines[10].replace("text 10", 'text "10')
    dump = dump_of(tmp_path / "in", a__json=f"[{', '.join(lines)}]".encode())
    artifact = ingest_dump(store, dump, engine)
    assert (artifact.report["num_documents"], artifact.report["num_bad_rows"]) == (1999, 1)
    assert (artifact.report["max_lost_frac"], artifact.report["losses"]) == (0.0, [])
    assert say_losses(artifact.report, 0.01) == "every file was read to its end"


def test_a_file_without_the_column_is_lost_as_a_whole(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    dump = dump_of(tmp_path / "in", a__csv=b"id,body\n1,a\n2,b\n", b__csv=b"text\nc\n")
    artifact = ingest_dump(store, dump, engine)
    assert artifact.report["bad_by_reason"] == {"missing_text_column": 2}
    assert artifact.report["max_lost_frac"] == 1.0


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ({"ok": True}, [0, 2]),
        ({"ok": "true"}, [0, 2]),
        ({"ok": False}, [1]),
        ({"n": 1}, [1]),
        ({"n": "1"}, [1]),
        ({"score": 1.0}, [2]),
        ({"title": "B"}, [1]),
        ({"url": "http://a"}, [0]),
        ({"more.kind": "x"}, [2]),
        ({"nothing": None}, [0, 1, 2]),
    ],
)
def test_where_matches_every_kind_of_value_and_url_and_title(
    store: Store, engine: Engine, tmp_path: Path, where: dict[str, object], kept: list[int]
) -> None:
    rows = [
        {"text": "0", "ok": True, "n": 0, "url": "http://a", "title": "A"},
        {"text": "1", "ok": False, "n": 1, "url": "http://b", "title": "B"},
        {"text": "2", "ok": True, "n": 2, "score": 1, "more": {"kind": "x"}},
    ]
    dump = dump_of(
        tmp_path / "in", a__jsonl="".join(f"{json.dumps(row)}\n" for row in rows).encode()
    )
    artifact = ingest_dump(store, dump, engine, where=where)
    report = artifact.report
    assert report["num_documents"] == len(kept)
    assert report["skipped_by_reason"] == ({"where": 3 - len(kept)} if len(kept) < 3 else {})
    texts = [row["text"] for path in artifact.parts() for row in table_of([path], stage_schema())]
    assert texts == [str(n) for n in kept]


def stage_schema():
    from tonsai_pipeline.schema import RAW_DOCUMENTS

    return RAW_DOCUMENTS


def test_an_empty_dump_says_what_its_records_were(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    wiki = "<mediawiki><page><title>Talk:a</title><ns>1</ns></page></mediawiki>"
    dump = dump_of(tmp_path / "in", a__xml=wiki.encode())
    report = ingest_dump(store, dump, engine).report
    assert say_empty(report) == (
        "no document: 1 skipped (the page is no article (talk, template, file, ...)); change the source's "
        "`where` or its files and run again, or switch the dump off: tonsai dumps remove"
    )
    dump = dump_of(tmp_path / "in2", a__jsonl=b'{"text": null}\n{"text": "x"}\n')
    report = ingest_dump(store, dump, engine, where={"lang": "km"}).report
    assert "1 bad rows (missing_text), 1 skipped (a field beside the text" in say_empty(report)
    dump = dump_of(tmp_path / "in3", a__jsonl=b"\n\n")
    assert "the files hold no records" in say_empty(
        ingest_dump(store, dump, engine, force=True).report
    )


def test_fields_left_out_and_skipped_records_survive_a_kill(
    store: Store, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was counted before a killed run is counted once."""
    body = "".join(f"{n},{n},{'x' * 100}\nid,id,text\n" for n in range(200))
    dump = dump_of(tmp_path / "in", a__csv=f"id,id,text\n{body}".encode())
    write, calls = ingest_chunks.write_part, []

    def failing(path: Path, *arguments: object) -> int:
        calls.append(path)
        if len(calls) == 3:
            raise RuntimeError("killed")
        return write(path, *arguments)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(ingest_chunks, "write_part", failing)
    with pytest.raises(Exception, match="killed"):
        ingest_dump(store, dump, engine)
    report = ingest_dump(store, dump, engine).report
    assert report["num_documents"] == 200
    assert report["skipped_by_reason"] == {"repeated_header": 200}
    assert report["fields_left_out"] == {"id": 200}


def test_a_dialect_of_the_recipe_reaches_the_reader(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    dump = dump_of(tmp_path / "in", a__csv=b"id;text\n1;'a\\;b\n")
    dialect = {"delimiter": ";", "quoting": "none", "escape": "\\"}
    artifact = ingest_dump(store, dump, engine, dialect=dialect)
    assert artifact.report["samples"][0]["text"] == "'a;b"
