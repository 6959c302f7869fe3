"""What goes to object stores and comes from them beside a data root, and what is said when they refuse."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from tonsai_pipeline.errors import DumpError, StorageError
from tonsai_pipeline.publish.files import write_manifest
from tonsai_pipeline.publish.targets import push
from tonsai_pipeline.storage.dumps import fetch
from tonsai_pipeline.storage.dumps.compression.streams import open_stream
from tonsai_pipeline.storage.dumps.locations import expand_path
from tonsai_pipeline.storage.dumps.stored import ask_store
from tonsai_pipeline.storage.file_systems import reason_of
from tonsai_pipeline.storage.files import write_json
from tonsai_pipeline.storage.remote_rows import open_rows, push_rows
from tonsai_pipeline.train.checkpoints.remote import Remote, download_newest
from tonsai_pipeline_tests.object_store import PROTOCOLS, ObjectStore, served
from tonsai_pipeline_tests.storage.test_shards import files_of, header_of, random_block, write


@pytest.fixture(scope="module", params=PROTOCOLS)
def objects(request: pytest.FixtureRequest) -> Iterator[ObjectStore]:
    with served(request.param) as store:
        yield store


@pytest.fixture
def url(objects: ObjectStore) -> str:
    return objects.url("place")


def put(url: str, data: bytes) -> None:
    """Put an object as another machine would: nothing in this process knows of it."""
    system, path = fsspec.core.url_to_fs(url, skip_instance_cache=True)
    system.pipe_file(path, data)


def keys_below(url: str) -> list[str]:
    system, path = fsspec.core.url_to_fs(url, skip_instance_cache=True)
    return sorted(name.removeprefix(f"{path}/") for name in system.find(path))


@pytest.mark.parametrize("pattern", ["", "/*.jsonl", "/**"])
def test_files_that_came_since_are_found_by_the_url_that_was_written(
    url: str, pattern: str
) -> None:
    for num_files in (1, 2):
        put(f"{url}/{num_files}.jsonl", b"{}")
        found = expand_path(url + pattern, Path(), [])
        assert found == [f"{url}/{index + 1}.jsonl" for index in range(num_files)]


@pytest.mark.parametrize("size", [0, 11_199, 37_000_000])
def test_a_file_is_fetched_at_the_first_try(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(fetch, "WAITS_S", ())
    data = bytes(range(251)) * (size // 251) + bytes(size % 251)
    put(f"{url}/a.bin", data)
    fetch.fetch(f"{url}/a.bin", tmp_path / "a.bin", ask_store(f"{url}/a.bin"))
    assert (tmp_path / "a.bin").read_bytes() == data
    with open_stream(f"{url}/a.bin") as stream:
        assert stream.read() == data
    with pytest.raises(DumpError, match="no such file"), open_stream(f"{url}/b.bin"):
        pass


def test_a_release_stands_there_and_a_later_one_takes_its_place(url: str, tmp_path: Path) -> None:
    write_json(tmp_path / "gate.json", {"verdicts": []})
    release = tmp_path / "release"
    for names in (["a.safetensors", "sub/b.json"], ["a.safetensors"]):
        shutil.rmtree(release, ignore_errors=True)
        for name in names:
            (release / name).parent.mkdir(parents=True, exist_ok=True)
            (release / name).write_text(name * len(names))
        write_manifest(release)
        assert push(tmp_path, f"{url}/model", log=print) == f"{url}/model"
        assert keys_below(url) == sorted(f"model/{name}" for name in [*names, "manifest.json"])


def test_rows_come_back(url: str, tmp_path: Path) -> None:
    write(tmp_path / "train", random_block(17, seed=1), header_of())
    assert push_rows(tmp_path / "train", url) > 0
    assert push_rows(tmp_path / "train", url) == 0
    assert files_of(open_rows(url, tmp_path / "cache").folder) == files_of(tmp_path / "train")


def test_a_checkpoint_comes_back_and_an_unfinished_one_does_not(url: str, tmp_path: Path) -> None:
    remote, problems = Remote(url, "run"), []
    assert remote.names() == []
    (tmp_path / "manifest.json").write_text('{"files": {"state/a": {}}}')
    (tmp_path / "a").write_text("weights")
    for name in ("step-1", "step-2", "step-3"):
        remote.send(tmp_path / "a", name, "state/a")
        if name != "step-3":
            remote.send(tmp_path / "manifest.json", name, "manifest.json")
    remote.remove("step-1")
    assert remote.names() == ["step-2", "step-3"]
    got = download_newest(
        remote, tmp_path / "got", is_whole=lambda _: True, on_trouble=problems.append
    )
    assert got is not None
    assert (got / "state" / "a").read_text() == "weights"
    assert problems == [f"{url}/run/step-3: an unfinished upload, skipped"]


def test_a_bucket_that_is_not_there_is_named(objects: ObjectStore, tmp_path: Path) -> None:
    write(tmp_path / "train", random_block(3, seed=1), header_of())
    nowhere = f"{objects.protocol}://tests-nowhere/x"
    with pytest.raises(StorageError, match=r"bucket does not exist.*'tests-nowhere'"):
        push_rows(tmp_path / "train", nowhere)
    with pytest.raises(StorageError, match=r"bucket does not exist.*'tests-nowhere'"):
        Remote(nowhere, "run").send(tmp_path / "train" / "index.json", "step-1", "a")


@pytest.mark.parametrize(
    ("package", "extra"), [("s3fs", "s3"), ("gcsfs", "gcs"), ("adlfs", "azure")]
)
def test_a_package_that_is_missing_is_named_with_its_extra(package: str, extra: str) -> None:
    # As fsspec raises it.
    error = ImportError(f"Install {package}")
    error.__cause__ = ModuleNotFoundError(f"No module named '{package}'", name=package)
    assert f"pip install 'tonsai-pipeline[{extra}]'" in reason_of(error, "x://y/z")


@pytest.mark.parametrize(
    ("url", "told", "source"),
    [
        ("s3://b/k", PermissionError("The AWS Access Key Id you provided"), None),
        ("s3://b/k", OSError("[Errno 5] SignatureDoesNotMatch"), "AWS_ACCESS_KEY_ID"),
        ("gs://b/k", OSError("Forbidden: b\nme@x does not have access"), "GOOGLE_APPLICATION"),
        ("gs://b/k", RuntimeError("Anonymous caller does not have, 401"), "GOOGLE_APPLICATION"),
        ("az://b/k", ValueError("Must provide account_name with credentials!!"), "AZURE_STORAGE"),
        ("abfss://b@a.x/k", RuntimeError("Server failed to authenticate\nId:1"), "AZURE_STORAGE"),
        ("az://b/k", RuntimeError("Cannot connect to host 127.0.0.1:10009"), None),
    ],
)
def test_a_refusal_says_in_one_line_where_credentials_come_from(
    url: str, told: Exception, source: str | None
) -> None:
    said = reason_of(told, url)
    assert "\n" not in said
    assert said.startswith(f"{type(told).__name__}: {str(told).splitlines()[0]}")
    assert (source or "") in said
    assert ("credentials come from" in said) == (source is not None)


def test_google_is_asked_without_grpc() -> None:
    script = (
        "from tonsai_pipeline.storage.file_systems import open_system\n"
        "print(type(open_system('gs://bucket/key')[0]).__module__)"
    )
    env = {**os.environ, "STORAGE_EMULATOR_HOST": "http://127.0.0.1:9"}
    found = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, check=True)
    assert found.stdout.decode().strip() == "gcsfs.core"
