from __future__ import annotations

import os
from pathlib import Path

import fsspec
import pytest

from tonsai_pipeline.errors import DumpError
from tonsai_pipeline.storage.dumps.locations import (
    expand_path,
    is_unfinished,
    name_files,
    name_root,
    why_nothing,
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
    assert found == ["memory://expand/a.jsonl", "memory://expand/b.jsonl"]
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


def names_in(pattern: str, base: Path, problems: list[str] | None = None) -> list[str]:
    found = expand_path(pattern, base, [] if problems is None else problems)
    return [Path(path).relative_to(base).as_posix() for path in found]


@pytest.mark.parametrize("pattern", [".", "**/*.jsonl"])
def test_a_link_to_a_folder_above_is_followed_once(tmp_path: Path, pattern: str) -> None:
    for index in range(20):
        path = tmp_path / "a" / f"{index:02d}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")
    for name in ("0-up", "up", "self"):
        (tmp_path / "a" / name).symlink_to(tmp_path)
    assert names_in(pattern, tmp_path) == [f"a/{index:02d}.jsonl" for index in range(20)]


@pytest.mark.parametrize("pattern", [".", "*.jsonl", "**/*.jsonl"])
def test_a_file_reached_by_several_names_counts_once_by_its_own(
    tmp_path: Path, pattern: str
) -> None:
    (tmp_path / "m.jsonl").write_text("{}")
    for name in ("a.jsonl", "z.jsonl"):
        (tmp_path / name).symlink_to(tmp_path / "m.jsonl")
    assert names_in(pattern, tmp_path) == ["m.jsonl"]


def test_a_linked_folder_elsewhere_is_read(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.jsonl").write_text("{}")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "elsewhere")
    for pattern in ("data", "data/**/*.jsonl", "data/*/x.jsonl"):
        assert names_in(pattern, tmp_path) == ["data/link/x.jsonl"]


def test_what_cannot_be_read_in_a_folder_has_a_line_each(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}")
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "broken.jsonl").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.jsonl")
    problems: list[str] = []
    assert names_in(".", tmp_path, problems) == ["a.jsonl", "empty.jsonl"]
    assert [problem.removeprefix(f"{tmp_path}/") for problem in problems] == [
        "pipe.jsonl: is no file",
        "broken.jsonl: is a link to nothing",
        "empty.jsonl: is empty (0 bytes)",
    ]


@pytest.mark.parametrize(
    ("files", "pattern", "kept", "said"),
    [
        (
            [
                "README.md",
                "data/train-00000-of-1.parquet",
                "data/test-00000-of-1.parquet",
                "data/validation-0.parquet",
            ],
            ".",
            ["data/train-00000-of-1.parquet"],
            ["data/test-00000-of-1.parquet, data/validation-0.parquet", "README.md"],
        ),
        (["train.jsonl", "dev.jsonl", "val.jsonl"], ".", ["train.jsonl"], ["dev.jsonl, val.jsonl"]),
        (["train/0.txt", "test/0.txt"], ".", ["train/0.txt"], ["test/0.txt"]),
        (
            ["train.csv", "test.csv"],
            "*.csv",
            ["test.csv", "train.csv"],
            ["test.csv: validation or test splits"],
        ),
        (["test.csv"], ".", ["test.csv"], ["read; name the files"]),
        (
            ["contest.csv", "latest.csv", "devotion.csv"],
            ".",
            ["contest.csv", "devotion.csv", "latest.csv"],
            [],
        ),
        (["README.md", "chapter1.md"], ".", ["README.md", "chapter1.md"], []),
        (["dataset_infos.json", "a.jsonl"], ".", ["a.jsonl"], ["dataset_infos.json"]),
    ],
)
def test_splits_to_measure_with_and_cards_are_no_training_text(
    tmp_path: Path, files: list[str], pattern: str, kept: list[str], said: list[str]
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    problems: list[str] = []
    assert names_in(pattern, tmp_path, problems) == kept
    assert len(problems) == len(said)
    assert all(part in problem for part, problem in zip(said, problems, strict=True))


def test_brackets_in_a_name_are_found_and_in_a_pattern_are_explained(tmp_path: Path) -> None:
    path = tmp_path / "wiki [2026]" / "a [1].jsonl"
    path.parent.mkdir()
    path.write_text("{}")
    for pattern in ("wiki [2026]/*.jsonl", "wiki [2026]/a [1].jsonl", "wiki [2026]"):
        assert names_in(pattern, tmp_path) == ["wiki [2026]/a [1].jsonl"]
    assert names_in("a[0-9].jsonl", tmp_path) == []
    assert "write [[] for a bracket" in why_nothing("a[0-9].jsonl")
