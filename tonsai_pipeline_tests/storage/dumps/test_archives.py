from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tonsai_pipeline.storage.dumps import read_dump_file
from tonsai_pipeline.storage.dumps.archives import MEMBER_ROWS
from tonsai_pipeline.storage.dumps.records import Tally
from tonsai_pipeline_tests.storage.dumps.files import COMPRESSIONS, jsonl, read


def parquet(texts: list[str]) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"text": texts}), stream)
    return stream.getvalue()


FILES = {
    "km/1.txt": b"one\n\ntwo\n",
    "km/2.jsonl.gz": COMPRESSIONS[".gz"](jsonl({"text": f"row {n}", "n": n} for n in range(50))),
    "__MACOSX/km/._1.txt": b"junk",
    ".hidden.txt": b"junk",
    "3.csv": b"text\nthree\n",
    "4.parquet": parquet(["four", "five"]),
    "license.rst": b"what",
    "5.txt": "ខ្មែរ".encode(),
}
EXPECTED = ["one", "two", *(f"row {n}" for n in range(50)), "three", "four", "five", "ខ្មែរ"]


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("km/", b"")
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in {"km": None, **files}.items():
            info = tarfile.TarInfo(name)
            if data is None:
                info.type = tarfile.DIRTYPE
            else:
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data or b""))
    return stream.getvalue()


ARCHIVES = {
    "a.zip": zipped,
    "a.tar": tarred,
    **{
        f"a.tar{suffix}": lambda files, suffix=suffix: COMPRESSIONS[suffix](tarred(files))
        for suffix in COMPRESSIONS
    },
    "a.tgz": lambda files: COMPRESSIONS[".gz"](tarred(files)),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_is_read_as_a_folder_of_files(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(ARCHIVES[name](FILES))
    tally = Tally()
    good, bad = read(path, tally=tally)
    assert (bad, [row.text for row in good]) == ([], EXPECTED)
    assert tally.skipped == {"unknown_format": 1}
    assert json.loads(good[2].meta or "") == {"n": 0, "archive_member": "km/2.jsonl.gz"}
    assert len({row.row for row in good}) == len(good)


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_reading_goes_on_behind_any_row(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(ARCHIVES[name](FILES))
    rows = list(read_dump_file(str(path)))
    for place in (0, 1, 2, 30, 51, 52, 54):
        start = rows[place].row + 1
        assert list(read_dump_file(str(path), start_row=start)) == rows[place + 1 :]
    assert rows[0].row == MEMBER_ROWS


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
def test_a_format_given_is_that_of_the_files_inside(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(ARCHIVES[name]({"one.log": b"a\nb\n", "two": b"c\n"}))
    good, _ = read(path, format="text", text_layout="line")
    assert [row.text for row in good] == ["a", "b", "c"]


def test_a_damaged_file_in_a_zip_costs_no_other(tmp_path: Path) -> None:
    files = {f"{n}.txt": f"text {n} {n * 7919 % 1009}".encode() * 50 for n in range(5)}
    data = bytearray(zipped(files))
    place = data.index(b"2.txt") + 10
    data[place : place + 3] = b"\xff" * 3
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    good, bad = read(path)
    assert [row.text.encode() for row in good] == [files[f"{n}.txt"] for n in (0, 1, 3, 4)]
    assert [row.reason for row in bad] == ["corrupt_file"]
    assert bad[0].detail.startswith("2.txt: ")
    assert 0 < (bad[0].lost_bytes or 0) < 100


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_a_cut_archive_says_that_it_lost_something(tmp_path: Path, name: str, share: float) -> None:
    whole = ARCHIVES[name](
        {f"{n}.txt": f"text {n} {n * 7919 % 1009}".encode() * 50 for n in range(50)}
    )
    path = tmp_path / name
    path.write_bytes(whole[: int(len(whole) * share)])
    good, bad = read(path)
    assert bad
    assert bad[-1].lost_bytes != 0
    assert {row.text for row in good} <= {f"text {n} {n * 7919 % 1009}" * 50 for n in range(50)}
