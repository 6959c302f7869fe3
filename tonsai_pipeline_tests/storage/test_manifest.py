from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tonsai_pipeline.errors import ManifestError
from tonsai_pipeline.storage.files import read_json, write_json
from tonsai_pipeline.storage.manifest import (
    Manifest,
    data_version,
    describe_files,
    fingerprint,
    read_manifest,
    verify_files,
    write_manifest,
)

REPORT = {"n": 2}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("part-1", "sub/part-0", ".done/part-1.json", "sub/.tmp-1-x", "timings.json"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    return tmp_path


def manifest_of(folder: Path) -> Manifest:
    files = describe_files(folder)
    return Manifest(
        "asset",
        None,
        "1",
        "f" * 64,
        data_version(files, REPORT),
        {"a": 1},
        {"in": "v"},
        files,
        REPORT,
    )


def test_a_manifest_survives_its_file_and_lists_what_counts(folder: Path) -> None:
    manifest = manifest_of(folder)
    assert [entry.path for entry in manifest.files] == ["part-1", "sub/part-0"]
    write_manifest(folder, manifest)
    assert read_manifest(folder) == manifest
    assert describe_files(folder) == manifest.files
    assert manifest.num_bytes == len("part-1") + len("sub/part-0")
    verify_files(folder, manifest)


def test_a_data_version_is_names_bytes_and_report_and_nothing_else(folder: Path) -> None:
    def data_version_now() -> str:
        return data_version(describe_files(folder), REPORT)

    version = data_version_now()
    assert data_version(describe_files(folder), {"n": 3}) != version
    (folder / "timings.json").write_text("other")
    (folder / "part-1").touch()
    assert data_version_now() == version
    (folder / "part-1").rename(folder / "part-2")
    assert data_version_now() != version
    (folder / "part-2").rename(folder / "part-1")
    (folder / "part-1").write_text("part-2")
    assert data_version_now() != version


@pytest.mark.parametrize("changed", ["asset", "partition", "version", "settings", "inputs"])
def test_a_fingerprint_depends_on_everything_that_decides_the_work(changed: str) -> None:
    def name(word: str = "") -> str:
        return fingerprint(
            "asset" + word * (changed == "asset"),
            "web@20261101" + word * (changed == "partition"),
            "1" + word * (changed == "version"),
            {"a": 1, "b": word * (changed == "settings")},
            {"in": "v" + word * (changed == "inputs")},
        )

    assert name() == name()
    assert name() != name("x")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda folder: (folder / "manifest.json").unlink(),
            r"no manifest\.json: the stage .* did not finish",
        ),
        (lambda folder: (folder / "manifest.json").write_bytes(b""), "damaged"),
        (
            lambda folder: write_json(folder / "manifest.json", {"format": "other/9"}),
            "not a tonsai-artifact/2",
        ),
        (
            lambda folder: write_json(folder / "manifest.json", {"format": "tonsai-artifact/2"}),
            "damaged",
        ),
        (lambda folder: (folder / "part-1").unlink(), r"part-1: is missing, the manifest says 6"),
        (
            lambda folder: (folder / "part-1").write_bytes(b"x"),
            r"part-1: has 1 bytes, the manifest says 6",
        ),
    ],
)
def test_a_damaged_folder_is_told_by_file_and_way_out(
    folder: Path, damage: object, message: str
) -> None:
    write_manifest(folder, manifest_of(folder))
    damage(folder)  # pyright: ignore[reportCallIssue]
    with pytest.raises(ManifestError, match=message):
        read_manifest(folder)


def test_an_unknown_field_is_damage(folder: Path) -> None:
    write_manifest(folder, manifest_of(folder))
    raw = read_json(folder / "manifest.json")
    write_json(folder / "manifest.json", {**raw, "more": 1})  # pyright: ignore[reportGeneralTypeIssues]
    with pytest.raises(ManifestError, match="damaged"):
        read_manifest(folder)


def test_bytes_that_changed_under_the_same_size_are_found_by_hashing(folder: Path) -> None:
    manifest = manifest_of(folder)
    (folder / "part-1").write_text("PART-1")
    with pytest.raises(ManifestError, match="part-1: its bytes changed"):
        verify_files(folder, manifest)
    verify_files(folder, replace(manifest, files=manifest.files[1:]))
