"""Hostile archives: a few bytes that stand for very many, names that lead out, headers that fill the memory."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import resource
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from tonsai_pipeline.storage.dumps.compression import decoded
from tonsai_pipeline.storage.dumps.read import read_dump_file
from tonsai_pipeline.storage.dumps.records import BadRow, RawRecord

FREE = 1 << 20
LINE = b'{"text": "a"}\n'
#: A text of a megabyte that takes a few bytes in every compression.
LONG = b'{"text": "' + b"a" * FREE + b'"}\n'
NUM_LONG = 24


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is free of the limit is a megabyte, so that bombs are quick to make."""
    monkeypatch.setattr(decoded, "FREE_BYTES", FREE)


def read(path: Path) -> tuple[list[RawRecord], list[BadRow]]:
    found = list(read_dump_file(str(path)))
    good = [one for one in found if isinstance(one, RawRecord)]
    return good, [one for one in found if isinstance(one, BadRow)]


def assert_bomb(path: Path, *, max_rows: int) -> None:
    good, bad = read(path)
    assert len(good) <= max_rows
    told = [one for one in bad if "decompression bomb" in one.detail]
    assert told
    assert all(
        one.lost_bytes is None for one in told
    )  # unknown: the check files_read_whole stops the dump


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [
        (".gz", gzip.compress),
        (".bz2", bz2.compress),
        (".xz", lzma.compress),
        (".zst", zstandard.ZstdCompressor(level=19).compress),
    ],
)
def test_a_compressed_bomb_is_named_and_stopped(
    tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / f"bomb.jsonl{suffix}"
    path.write_bytes(compress(LONG * NUM_LONG))
    assert_bomb(path, max_rows=NUM_LONG - 1)


def test_text_that_is_only_repetitive_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    lines = b"".join(b'{"text": "line %d of a log"}\n' % number for number in range(50_000))
    path.write_bytes(gzip.compress(lines))
    assert len(lines) > FREE
    good, bad = read(path)
    assert (len(good), bad) == (50_000, [])


def test_members_of_a_zip_count_together(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(NUM_LONG):
            archive.writestr(f"{number}.jsonl", LONG)
    assert path.stat().st_size * decoded.MAX_EXPANSION < NUM_LONG * FREE
    assert_bomb(path, max_rows=NUM_LONG - 1)


def test_a_bomb_in_a_tar_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        data = LONG * NUM_LONG
        info = tarfile.TarInfo("a.jsonl")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    assert_bomb(path, max_rows=NUM_LONG - 1)


def test_a_sparse_file_of_a_terabyte_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("a.jsonl")
    info.type = tarfile.GNUTYPE_SPARSE
    info.size = 512
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:398], header[398:410] = b"%011o\0" % 0, b"%011o\0" % 512
    header[483:495] = (1 << 40).to_bytes(12, "big")
    header[483] |= 0x80  # the real size, as a binary number
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    path = tmp_path / "sparse.tar"
    path.write_bytes(bytes(header) + LINE.ljust(512, b"\0") + bytes(1024))
    good, bad = read(path)
    assert not good
    assert any("sparse file" in one.detail for one in bad)


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "header.tar"
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, 512 << 20
    with path.open("wb") as file:
        file.write(info.tobuf(tarfile.USTAR_FORMAT))
        file.truncate(512 << 20)  # zeros that take no disk
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    good, bad = read(path)
    assert not good
    assert any("a header of" in one.detail for one in bad)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


@pytest.mark.parametrize(
    "name", ["../../escaped.jsonl", "/tmp/escaped.jsonl", "a/../../escaped.jsonl"]
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_name_that_leads_out_is_a_name_and_no_place(tmp_path: Path, name: str, kind: str) -> None:
    folder = tmp_path / "in" / "side"
    folder.mkdir(parents=True)
    path = folder / f"slip.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, LINE)
    else:
        with tarfile.open(path, "w") as archive:
            info = tarfile.TarInfo(name)
            info.size = len(LINE)
            archive.addfile(info, io.BytesIO(LINE))
    good, _ = read(path)
    assert [one.text for one in good] == ["a"]
    assert not list(tmp_path.rglob("escaped*"))
    assert not Path("/tmp/escaped.jsonl").exists()


def test_links_and_devices_in_a_tar_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.jsonl"
    secret.write_bytes(LINE)
    path = tmp_path / "links.tar"
    with tarfile.open(path, "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo("a.jsonl")
            info.type, info.linkname = kind, str(secret)
            archive.addfile(info)
    assert read(path)[0] == []


def test_a_billion_laughs_stay_a_few_bytes(tmp_path: Path) -> None:
    entities = '<!ENTITY a "ha">' + "".join(
        f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(12)
    )
    page = "<page><title>T</title><ns>0</ns><id>1</id><revision><id>1</id><text>&m;</text></revision></page>"
    path = tmp_path / "laughs.xml"
    path.write_text(f"<!DOCTYPE mediawiki [{entities}]><mediawiki>{page}</mediawiki>")
    found = list(read_dump_file(str(path), format="mediawiki"))
    assert sum(len(getattr(one, "text", "")) for one in found) < 1 << 20
