from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from tonsai_pipeline.errors import DumpError
from tonsai_pipeline.storage.dumps.locations import (
    expand_path,
    is_unfinished,
    name_files,
    name_root,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "b.jsonl",
        "a.jsonl.gz",
        "deep/er/c.txt",
        "README",
        ".hidden.txt",
        "d.jsonl.part",
        ".git/e.txt",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("b.jsonl", ["b.jsonl"]),
        ("*.jsonl*", ["a.jsonl.gz", "b.jsonl"]),
        ("**/*.txt", ["deep/er/c.txt"]),
        ("deep", ["deep/er/c.txt"]),
        (".", ["a.jsonl.gz", "b.jsonl", "deep/er/c.txt"]),
        ("*.csv", []),
        ("nowhere", []),
    ],
)
def test_a_path_means_the_files_it_says(folder: Path, pattern: str, expected: list[str]) -> None:
    found = expand_path(pattern, folder, [])
    assert [Path(path).relative_to(folder).as_posix() for path in found] == expected
    assert expand_path(str(folder / pattern), Path("/elsewhere"), []) == found


def test_a_file_of_unknown_format_in_a_folder_is_reported_and_not_passed_over_in_silence(
    folder: Path,
) -> None:
    problems: list[str] = []
    expand_path(".", folder, problems)
    assert len(problems) == 1
    assert "README: unknown file format" in problems[0]
    assert any(
        path.endswith("README") for path in expand_path(".", folder, problems, any_format=True)
    )
    assert len(problems) == 1


def test_a_saved_data_set_is_one_location(tmp_path: Path) -> None:
    saved = tmp_path / "in" / "saved"
    saved.mkdir(parents=True)
    (saved / "state.json").write_text("{}")
    (saved / "data-00000-of-00001.arrow").write_bytes(b"")
    assert expand_path("in/saved", tmp_path, []) == [str(saved)]
    assert expand_path("in/*", tmp_path, []) == [str(saved)]
    assert expand_path("in", tmp_path, []) == [str(saved)]


def test_urls_are_files_folders_and_globs_too() -> None:
    for name in ("a.jsonl", "b.jsonl", "c.txt"):
        with fsspec.open(f"memory://expand/{name}", "w") as stream:
            stream.write("x")  # pyright: ignore[reportAttributeAccessIssue]
    found = expand_path("memory://expand/*.jsonl", Path("/"), [])
    assert found == ["memory:///expand/a.jsonl", "memory:///expand/b.jsonl"]
    assert expand_path("memory://expand/c.txt", Path("/"), []) == ["memory://expand/c.txt"]
    assert len(expand_path("memory://expand", Path("/"), [])) == 3


def test_a_store_that_cannot_be_asked_is_an_error_that_names_the_url() -> None:
    with pytest.raises(DumpError, match=r"^nosuch://a/b: cannot be asked: ValueError: .*nosuch"):
        expand_path("nosuch://a/b", Path("/"), [])


@pytest.mark.parametrize(
    "name", [".a", "a.part", "a.crdownload", "a.jsonl~", "a.filepart", "A.TMP"]
)
def test_files_that_are_still_being_copied_are_known_by_their_names(name: str) -> None:
    assert is_unfinished(Path(name))
    assert not is_unfinished(Path("a.jsonl"))


def test_names_do_not_hold_the_folders_of_this_machine() -> None:
    locations: dict[str, Path | None] = {
        "/data/km/a.jsonl": Path("/data"),
        "/mnt/x/b.jsonl": Path("/data"),
        "/mnt/x/deep/c.jsonl": Path("/mnt/x"),
        "/mnt/y/c.jsonl": None,
        "/mnt/z/c.jsonl": None,
        "https://host.example/d.jsonl?token=secret": None,
        "https://host.example/d.jsonl?token=other": None,
        "hub://org/data?config=khm&split=train&revision=abc&max_samples=3": None,
    }
    assert list(name_files(locations).values()) == [
        "km/a.jsonl",
        "b.jsonl",
        "deep/c.jsonl",
        "c.jsonl",
        "z/c.jsonl",
        "host.example/d.jsonl",
        "host.example/d.jsonl#a77e6981",
        "hub://org/data?config=khm&split=train",
    ]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("km/*.jsonl", "/data"),
        ("/data/km", "/data"),
        ("/mnt/x/*/a.jsonl", "/mnt/x"),
        ("/mnt/x/a.jsonl", "/mnt/x"),
        ("s3://bucket/a", None),
    ],
)
def test_names_begin_at_the_data_folder_or_where_the_pattern_begins(
    pattern: str, expected: str | None
) -> None:
    assert name_root(pattern, Path("/data")) == (expected and Path(expected))
