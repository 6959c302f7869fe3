"""Splits pushed to a URL and opened from it: the same rows, unfinished and damaged ones refused."""

from __future__ import annotations

import uuid
from pathlib import Path

import fsspec
import pytest

from tonsai_pipeline.errors import DataError, StorageError
from tonsai_pipeline.storage.remote_rows import open_rows, push_rows
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline_tests.storage.test_shards import files_of, header_of, random_block, write


@pytest.fixture
def split(tmp_path: Path) -> Path:
    write(tmp_path / "train", random_block(17, seed=1), header_of())
    return tmp_path / "train"


@pytest.fixture(params=["memory", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    place = uuid.uuid4().hex if request.param == "memory" else str(tmp_path / "bucket")
    return f"{request.param}://{place}/train"


def test_a_pushed_split_opens_with_the_same_bytes(split: Path, url: str, tmp_path: Path) -> None:
    sent = push_rows(split, url)
    reader = open_rows(url, tmp_path / "cache", tokenizer_digest="a" * 64)
    assert files_of(reader.folder) == files_of(split)
    assert sent == sum(map(len, files_of(split).values()))
    reader.verify()


def test_a_second_push_sends_nothing_and_a_second_open_fetches_nothing(
    split: Path, url: str, tmp_path: Path
) -> None:
    push_rows(split, url)
    assert push_rows(split, url) == 0
    folder = open_rows(url, tmp_path / "cache").folder
    system, root = fsspec.core.url_to_fs(url)
    system.rm_file(f"{root}/shard-00000.bin")
    assert open_rows(url, tmp_path / "cache").folder == folder


def test_another_split_replaces_the_first(split: Path, url: str, tmp_path: Path) -> None:
    push_rows(split, url)
    write(tmp_path / "other", random_block(4, seed=2), header_of())
    push_rows(tmp_path / "other", url)
    assert open_rows(url, tmp_path / "cache").num_rows == 4


def test_a_push_that_did_not_finish_is_no_split(split: Path, url: str, tmp_path: Path) -> None:
    push_rows(split, url)
    system, root = fsspec.core.url_to_fs(url)
    system.rm_file(f"{root}/index.json")
    with pytest.raises(DataError, match=r"no index\.json"):
        open_rows(url, tmp_path / "cache")


def test_a_fetch_that_was_interrupted_goes_on(split: Path, url: str, tmp_path: Path) -> None:
    push_rows(split, url)
    system, root = fsspec.core.url_to_fs(url)
    system.mv(f"{root}/segments.npy", f"{root}/elsewhere")
    with pytest.raises(StorageError):
        open_rows(url, tmp_path / "cache")
    system.mv(f"{root}/elsewhere", f"{root}/segments.npy")
    system.rm_file(f"{root}/shard-00000.bin")  # fetched before, not needed again
    reader = open_rows(url, tmp_path / "cache")
    assert files_of(reader.folder) == files_of(split)


def test_a_file_damaged_on_the_other_side_is_named(split: Path, url: str, tmp_path: Path) -> None:
    push_rows(split, url)
    system, root = fsspec.core.url_to_fs(url)
    data = bytearray(system.cat_file(f"{root}/shard-00001.bin"))
    data[3] ^= 1
    system.pipe_file(f"{root}/shard-00001.bin", bytes(data))
    with pytest.raises(DataError, match=r"shard-00001\.bin: damaged"):
        open_rows(url, tmp_path / "cache")


def test_a_damaged_split_is_not_pushed(split: Path, url: str) -> None:
    path = split / "shard-00000.bin"
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    with pytest.raises(DataError, match="damaged"):
        push_rows(split, url)
    system, root = fsspec.core.url_to_fs(url)
    assert not system.exists(f"{root}/index.json")


def test_another_tokenizer_is_refused(split: Path, url: str, tmp_path: Path) -> None:
    push_rows(split, url)
    assert RowReader(split).tokenizer_digest == "a" * 64
    with pytest.raises(DataError, match="tokenizer"):
        open_rows(url, tmp_path / "cache", tokenizer_digest="b" * 64)


def test_an_index_that_names_a_file_elsewhere_is_refused(
    split: Path, url: str, tmp_path: Path
) -> None:
    push_rows(split, url)
    system, root = fsspec.core.url_to_fs(url)
    index = system.cat_file(f"{root}/index.json").replace(b"shard-00000.bin", b"../../evil.bin")
    system.pipe_file(f"{root}/index.json", index)
    with pytest.raises(DataError, match="is not a name"):
        open_rows(url, tmp_path / "cache")


def test_an_unknown_protocol_is_refused(split: Path) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        push_rows(split, "nowhere://bucket/train")
