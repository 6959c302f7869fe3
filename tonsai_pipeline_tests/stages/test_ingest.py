from __future__ import annotations

import gzip
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import xxhash

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.errors import DumpError
from tonsai_pipeline.lineage import Builder, DumpView
from tonsai_pipeline.pipeline import open_builder
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.recipe.sources import IngestConfig
from tonsai_pipeline.schema import QUARANTINE, RAW_DOCUMENTS, DumpKey
from tonsai_pipeline.storage.documents import read_batches, read_part
from tonsai_pipeline.storage.files import digest_file, digest_json
from tonsai_pipeline.storage.store import Artifact, Store

SMALL = IngestConfig(part_bytes=2000, max_document_bytes=5000)
BROKEN = '{"text": "cut'


@dataclass(frozen=True)
class Files:
    """A dump made of files, as the catalog gives it."""

    key: str
    files: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def version(self) -> str:
        contents = [digest_file(Path(f)) if Path(f).exists() else "gone" for f in self.files]
        return digest_json([self.names, contents])

    def stamp(self) -> str:
        return self.version

    def current_version(self) -> str:
        return self.version


def write_dump(folder: Path, files: Sequence[Sequence[object]], key: str = "web@20261101") -> Files:
    """Write lists of lines as files; a line is a text, or a raw line if it begins with a brace."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, lines in enumerate(files):
        rows = [line if str(line).startswith("{") else json.dumps({"text": line}) for line in lines]
        path = folder / f"{index}.jsonl.gz"
        path.write_bytes(gzip.compress("".join(f"{row}\n" for row in rows).encode(), mtime=0))
        paths.append(path)
    return Files(key, tuple(map(str, paths)), tuple(path.name for path in paths))


def builder_of(
    store: Store,
    dump: Files,
    engine: Engine,
    config: IngestConfig = SMALL,
    *,
    source: dict[str, Any] | None = None,
    **sections: Any,
) -> Builder:
    """Return a builder of the product's stages over one dump."""
    key = DumpKey(dump.key)
    described = {"name": key.source, "lang": "khm", **(source or {})}
    recipe = Recipe.model_validate(
        {"name": "test", "sources": [described], "ingest": config, **sections}
    )
    view = DumpView({key: dump.version}, lambda _: dump)
    return open_builder(recipe, store, view, engine=lambda: engine)


def ingest_dump(
    store: Store,
    dump: Files,
    engine: Engine,
    config: IngestConfig = SMALL,
    *,
    force: bool = False,
    **source: Any,
) -> Artifact:
    builder = builder_of(store, dump, engine, config, source=source)
    return builder.build("raw_documents", DumpKey(dump.key), force=force)


def table_of(paths: Sequence[Path], schema: pa.Schema) -> list[dict[str, Any]]:
    tables = [read_part(path) for path in paths]
    assert all(table.schema == schema for table in tables)
    return [row for table in tables for row in table.to_pylist()]


def content(artifact: Artifact) -> dict[str, bytes]:
    return {
        entry.path: (artifact.path / entry.path).read_bytes() for entry in artifact.manifest.files
    }


FILES = [
    [f"first file, document {index} " + "x" * (index % 300) for index in range(80)],
    ["second file", BROKEN, "x" * 6000, "", '{"n": 1}', "last"],
    [],
]


def test_every_good_row_becomes_a_document_and_every_bad_row_is_in_quarantine(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    artifact = ingest_dump(store, write_dump(tmp_path / "in", FILES), engine)
    documents = table_of(artifact.parts(), RAW_DOCUMENTS)
    assert [row["text"] for row in documents] == [*FILES[0], "second file", "", "last"]
    assert documents[81] | {"meta": None} == {
        "doc_id": f"web@20261101/{xxhash.xxh3_64_hexdigest(b'1.jsonl.gz')}/3",
        "text": "",
        "source": "web",
        "dump": "web@20261101",
        "file": "1.jsonl.gz",
        "row": 3,
        "url": None,
        "title": None,
        "meta": None,
    }
    bad = table_of(artifact.parts("quarantine"), QUARANTINE)
    assert [(row["file"], row["row"], row["reason"]) for row in bad] == [
        ("1.jsonl.gz", 1, "broken_json"),
        ("1.jsonl.gz", 2, "too_long"),
        ("1.jsonl.gz", 4, "missing_text"),
    ]
    assert bad[0]["excerpt"] == BROKEN
    report = artifact.report
    assert (report["num_documents"], report["num_bad_rows"], report["num_files"]) == (83, 3, 3)
    assert report["num_bytes"] == sum(len(row["text"].encode()) for row in documents)
    assert report["bad_by_reason"] == {"broken_json": 1, "missing_text": 1, "too_long": 1}
    assert report["num_raw_bytes"] == sum(
        path.stat().st_size for path in (tmp_path / "in").iterdir()
    )
    assert [row["num_documents"] for row in report["files"]] == [80, 3, 0]
    assert report["samples"][0]["text"] == FILES[0][0][:300]
    assert report["bad_samples"][0]["file"] == "1.jsonl.gz"


def test_a_file_is_cut_into_parts_of_about_part_bytes(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    artifact = ingest_dump(store, write_dump(tmp_path / "in", FILES[:1]), engine)
    assert [path.name for path in artifact.parts()] == [
        "part-00000-00000.parquet",
        "part-00000-00001.parquet",
        "part-00000-00002.parquet",
    ]
    parts = [read_part(path)["text"].to_pylist() for path in artifact.parts()]
    sizes = [sum(len(text.encode()) for text in texts) for texts in parts]
    assert all(2000 <= size < 2000 + 330 for size in sizes[:-1])


def test_many_small_files_share_parts_and_keep_their_names(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    texts = {f"{index:04d}.txt": f"page {index}\n\n" + "y" * (index % 50) for index in range(500)}
    for name, text in texts.items():
        (folder / name).write_text(text)
    dump = Files("web@20261101", tuple(str(folder / name) for name in texts), tuple(texts))
    config = IngestConfig(part_bytes=40_000)
    artifact = ingest_dump(store, dump, engine, config, text_layout="file")
    documents = table_of(artifact.parts(), RAW_DOCUMENTS)
    assert {row["file"]: row["text"] for row in documents} == texts
    ids = [f"web@20261101/{xxhash.xxh3_64_hexdigest(name.encode())}/0" for name in texts]
    assert [row["doc_id"] for row in documents] == ids
    assert 1 < len(artifact.parts()) < 10
    assert [row["name"] for row in artifact.report["files"]] == list(texts)


def test_a_file_added_before_the_others_changes_no_documents_id(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    dump = write_dump(tmp_path / "in", FILES)
    before = {
        row["doc_id"]: row["text"]
        for row in table_of(ingest_dump(store, dump, engine).parts(), RAW_DOCUMENTS)
    }
    (tmp_path / "in" / "0-new.jsonl").write_text('{"text": "new"}\n')
    names = ("0-new.jsonl", *dump.names)
    more = Files(dump.key, tuple(str(tmp_path / "in" / name) for name in names), names)
    after = {
        row["doc_id"]: row["text"]
        for row in table_of(ingest_dump(store, more, engine, force=True).parts(), RAW_DOCUMENTS)
    }
    assert len(after) == len(before) + 1
    assert before.items() <= after.items()


def test_two_files_of_one_name_are_an_error_and_not_one_id_twice(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    dump = write_dump(tmp_path / "in", FILES)
    with pytest.raises(DumpError, match=r"1\.jsonl\.gz: its name 'same' .*0\.jsonl\.gz.*rename"):
        ingest_dump(store, Files(dump.key, dump.files[:2], ("same", "same")), engine)


def test_only_records_with_the_wanted_fields_are_taken(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    lines = [f'{{"text": "{n}", "lang": "{"km" if n % 3 else "en"}", "n": {n}}}' for n in range(90)]
    artifact = ingest_dump(
        store, write_dump(tmp_path / "in", [lines]), engine, where={"lang": "km"}
    )
    documents = table_of(artifact.parts(), RAW_DOCUMENTS)
    assert [row["row"] for row in documents] == [n for n in range(90) if n % 3]
    assert artifact.report["num_skipped"] == 30
    assert artifact.report["skipped_by_reason"] == {"where": 30}
    assert artifact.report["num_bad_rows"] == 0


def test_any_number_of_workers_writes_the_same_bytes(
    store: Store, engine: Engine, two_workers: Engine, tmp_path: Path
) -> None:
    dump = write_dump(tmp_path / "in", [FILES[0], FILES[1], FILES[0][::-1], FILES[1]])
    alone = content(ingest_dump(store, dump, engine))
    other = Store(type(store.layout)(tmp_path / "other", "test"))
    assert content(ingest_dump(other, dump, two_workers)) == alone


def test_a_truncated_file_keeps_its_beginning_and_names_the_rest(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    dump = write_dump(tmp_path / "in", FILES)
    path = Path(dump.files[0])
    path.write_bytes(path.read_bytes()[:-100])
    artifact = ingest_dump(store, dump, engine)
    kept = artifact.report["files"][0]["num_documents"]
    assert 0 < kept < 80
    [bad] = [
        row
        for row in table_of(artifact.parts("quarantine"), QUARANTINE)
        if row["file"] == "0.jsonl.gz"
    ]
    assert (bad["row"], bad["reason"]) == (kept, "truncated_file")


@pytest.mark.parametrize(
    ("files", "num_bad"), [([], 0), ([[]], 0), ([[BROKEN] * 7], 7), ([[], [BROKEN], []], 1)]
)
def test_a_dump_without_a_readable_row_is_an_artifact_that_says_so(
    store: Store, engine: Engine, tmp_path: Path, files: list[list[object]], num_bad: int
) -> None:
    artifact = ingest_dump(store, write_dump(tmp_path / "in", files), engine)
    assert artifact.parts() == []
    assert (artifact.report["num_documents"], artifact.report["num_bad_rows"]) == (0, num_bad)
    assert len(table_of(artifact.parts("quarantine"), QUARANTINE)) == num_bad


def test_very_many_bad_rows_are_kept_in_several_bounded_parts(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    artifact = ingest_dump(store, write_dump(tmp_path / "in", [[BROKEN] * 10_000]), engine)
    sizes = [read_part(path).num_rows for path in artifact.parts("quarantine")]
    assert sizes == [4096, 4096, 1808]


@pytest.mark.parametrize("limit", [1, 79, 80, 81, 83, 1000])
def test_max_documents_takes_the_first_ones_of_the_whole_dump(
    store: Store, engine: Engine, tmp_path: Path, limit: int
) -> None:
    dump = write_dump(tmp_path / "in", FILES)
    everything = table_of(ingest_dump(store, dump, engine).parts(), RAW_DOCUMENTS)
    limited = ingest_dump(store, dump, engine, max_documents=limit)
    assert table_of(limited.parts(), RAW_DOCUMENTS) == everything[:limit]
    assert limited.report["num_documents"] == min(limit, 83)


def test_row_groups_hold_about_eight_megabytes(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    texts = ["y" * 1_000_000] * 20
    artifact = ingest_dump(store, write_dump(tmp_path / "in", [texts]), engine, IngestConfig())
    [part] = artifact.parts()
    assert [batch.num_rows for batch in read_batches(part, ["row"])] == [9, 9, 2]


def test_a_missing_file_stops_the_stage_and_names_stage_part_and_file(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    dump = Files("web@20261101", (str(tmp_path / "gone.jsonl"),), ("gone.jsonl",))
    with pytest.raises(DumpError, match=r"^ingest: part file-00000: .*gone\.jsonl: no such file"):
        ingest_dump(store, dump, engine)


def test_a_file_of_unknown_format_stops_the_stage(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    path = tmp_path / "a.xyz"
    path.write_text("text")
    dump = Files("web@20261101", (str(path),), ("a.xyz",))
    with pytest.raises(DumpError, match="unknown file format"):
        ingest_dump(store, dump, engine)
    assert ingest_dump(store, dump, engine, format="text").report["num_documents"] == 1


def test_a_rerun_after_an_error_goes_on_behind_the_finished_chunks(
    store: Store, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tonsai_pipeline.stages.ingest import chunks, stage

    dump = write_dump(tmp_path / "in", FILES)
    undisturbed = content(
        ingest_dump(Store(type(store.layout)(tmp_path / "other", "test")), dump, engine)
    )
    starts: list[int] = []
    read, write = stage.read_dump_file, chunks.write_part
    num_written = 0

    def noted(location: str, *, start_row: int, **options: Any) -> Any:
        starts.append(start_row)
        return read(location, start_row=start_row, **options)

    def failing(path: Path, *arguments: Any) -> int:
        nonlocal num_written
        num_written += 1
        if num_written == 3:
            raise RuntimeError("killed")
        return write(path, *arguments)

    monkeypatch.setattr(stage, "read_dump_file", noted)
    monkeypatch.setattr(chunks, "write_part", failing)
    with pytest.raises(Exception, match="killed"):
        ingest_dump(store, dump, engine)
    assert content(ingest_dump(store, dump, engine)) == undisturbed
    assert starts[0] == 0
    assert starts[1] > 10


def test_an_unchanged_dump_is_a_cache_hit_and_a_weight_does_not_matter(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    dump = write_dump(tmp_path / "in", FILES)
    assert not ingest_dump(store, dump, engine).cached
    assert ingest_dump(store, dump, engine, weight=2.0, license="CC0-1.0").cached
    assert ingest_dump(store, dump, engine, lang="eng").cached
    assert ingest_dump(store, dump, engine, SMALL.model_copy(update={"max_bad_frac": 0.1})).cached
    assert not ingest_dump(store, dump, engine, text_column="body").cached


def test_real_files_come_through_whole(store: Store, two_workers: Engine, real_data: Path) -> None:
    paths = sorted((real_data / "khm").glob("*.jsonl.gz"))
    dump = Files("real@20260101", tuple(map(str, paths)), tuple(path.name for path in paths))
    report = ingest_dump(store, dump, two_workers, IngestConfig()).report
    assert report["num_bad_rows"] == 0
    rows = re.findall(
        r"\| khm/\S+ \| ([\d,]+) \| ([\d,]+) \|", (real_data / "MANIFEST.md").read_text()
    )
    counts = [[int(number.replace(",", "")) for number in row] for row in rows]
    assert report["num_documents"] == sum(num_documents for num_documents, _ in counts) > 0
    assert report["num_bytes"] == sum(num_bytes for _, num_bytes in counts)
