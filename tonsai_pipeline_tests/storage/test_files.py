from __future__ import annotations

import errno
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonsai_pipeline.errors import StorageError
from tonsai_pipeline.storage.files import (
    atomic_path,
    digest_file,
    digest_json,
    read_json,
    write_bytes,
    write_json,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=8,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.bin"
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        assert not path.exists()
        assert temporary.parent == path.parent
        assert temporary.name.startswith(".tmp-")
    assert path.read_bytes() == b"half"
    assert names(path.parent) == ["a.bin"]


def _fail_after_writing(path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"new")
        raise RuntimeError


def test_after_an_error_the_old_file_is_unchanged_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")
    with pytest.raises(RuntimeError):
        _fail_after_writing(path)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize(
    ("code", "way_out"),
    [
        (errno.ENOSPC, r"the disk is full: free space or point TONSAI_HOME at another disk"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EROFS, "read-only: point TONSAI_HOME at a writable folder"),
        (errno.EACCES, "permission denied: make the folder writable"),
    ],
)
def test_a_disk_that_says_no_names_the_file_and_the_way_out(
    tmp_path: Path, code: int, way_out: str
) -> None:
    with (
        pytest.raises(StorageError, match=rf"a\.bin: .*{way_out}"),
        atomic_path(tmp_path / "a.bin"),
    ):
        raise OSError(code, os.strerror(code))
    assert names(tmp_path) == []


def _write_to_full_disk(path: Path) -> None:
    with Path("/dev/full").open("wb", buffering=0) as stream, atomic_path(path):
        stream.write(b"x")


def test_a_real_full_disk_is_a_storage_error(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(StorageError, match="the disk is full"):
        _write_to_full_disk(tmp_path / "a.bin")


def test_a_file_where_a_folder_is_needed_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("file")
    with pytest.raises(StorageError, match="a file stands where a folder is needed"):
        write_bytes(tmp_path / "a" / "b", b"x")


@given(value=JSON)
def test_json_survives_its_file_and_has_one_form(
    tmp_path_factory: pytest.TempPathFactory, value: Any
) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    write_json(path, value)
    assert read_json(path) == value
    assert path.read_bytes().endswith(b"\n")


def test_a_digest_does_not_depend_on_the_order_of_keys_but_on_that_of_lists() -> None:
    assert digest_json({"a": 1, "b": [1, 2]}) == digest_json({"b": [1, 2], "a": 1})
    assert digest_json([1, 2]) != digest_json([2, 1])
    assert digest_json({"a": 1}) != digest_json({"a": 1.5})


def test_a_file_digest_is_sha256_of_its_bytes(tmp_path: Path) -> None:
    data = os.urandom(3_000_001)
    write_bytes(tmp_path / "a", data)
    assert digest_file(tmp_path / "a") == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("content", [None, b"", b"{"])
def test_json_that_cannot_be_read_is_an_error_that_names_the_file(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StorageError, match=r"a\.json: cannot be read as JSON"):
        read_json(path)


def test_threads_that_write_one_file_do_not_take_each_others_half_files(tmp_path: Path) -> None:
    path, texts = tmp_path / "file", [bytes([65 + number]) * 100_000 for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda text: write_bytes(path, text), texts * 10))
    assert path.read_bytes() in texts
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
