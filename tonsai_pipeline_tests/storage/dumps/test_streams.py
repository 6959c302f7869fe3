from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tracemalloc
import zlib
from pathlib import Path

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.errors import DumpError
from tonsai_pipeline.storage.dumps import BadRow, read_dump_file
from tonsai_pipeline.storage.dumps.compression.streams import open_stream
from tonsai_pipeline_tests.storage.dumps.files import COMPRESSIONS, jsonl, read, texts

TEXTS = [f"document {index} " + "ខ្មែរ " * (index % 50) for index in range(400)]
PLAIN = jsonl({"text": text} for text in TEXTS)
PACKED = {suffix: compress(PLAIN) for suffix, compress in COMPRESSIONS.items()}


@pytest.mark.parametrize("suffix", COMPRESSIONS)
@settings(max_examples=40, deadline=None)
@given(cut=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_keeps_every_whole_row_and_names_the_first_lost_one(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, cut: float
) -> None:
    path = tmp_path_factory.mktemp("cut") / f"a.jsonl{suffix}"
    path.write_bytes(PACKED[suffix][: int(cut * len(PACKED[suffix]))])
    good, [bad] = read(path)
    assert [row.text for row in good] == TEXTS[: len(good)]
    assert bad.reason == "truncated_file"
    assert bad.row == len(good)
    assert "stored byte" in bad.detail or "empty file" in bad.detail


def test_a_truncated_gzip_loses_no_row_that_its_bytes_still_hold(tmp_path: Path) -> None:
    packed = PACKED[".gz"][:-2000]
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(packed)
    held = zlib.decompressobj(wbits=31).decompress(packed)
    assert [row.text for row in read(path)[0]] == TEXTS[: held.count(b"\n")]


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_a_wrong_checksum_at_the_end_costs_no_row_but_is_told(tmp_path: Path, suffix: str) -> None:
    packed = bytearray(PACKED[suffix])
    position = {".gz": -6, ".bz2": -4, ".xz": -6, ".zst": -2}[suffix]
    packed[position] ^= 0xFF
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(packed)
    good, [bad] = read(path)
    assert [row.text for row in good] == TEXTS
    assert bad.reason == "corrupt_file"


@pytest.mark.parametrize("suffix", COMPRESSIONS)
@settings(max_examples=40, deadline=None)
@given(position=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_flipped_byte_anywhere_never_stops_the_reader_and_never_goes_unnoticed(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, position: float, flip: int
) -> None:
    packed = bytearray(PACKED[suffix])
    packed[int(position * len(packed))] ^= flip
    path = tmp_path_factory.mktemp("flip") / f"a.jsonl{suffix}"
    path.write_bytes(packed)
    good, bad = read(path)
    # Bytes that carry no text may change: a gzip header holds a time and a system that nothing checks.
    assert bad or [row.text for row in good] == TEXTS


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_files_joined_with_cat_are_one_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(PACKED[suffix] * 2)
    assert texts(path) == TEXTS * 2


def test_zero_padding_after_the_last_member_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(PACKED[".gz"] + bytes(1000))
    assert texts(path) == TEXTS


def test_garbage_after_the_last_member_is_told_and_costs_no_row(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(PACKED[".gz"] + b"garbage")
    good, [bad] = read(path)
    assert [row.text for row in good] == TEXTS
    assert bad.reason == "corrupt_file"


def test_a_file_is_decompressed_by_its_bytes_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(PACKED[".zst"])
    assert texts(path) == TEXTS


def test_a_file_that_only_claims_to_be_gzip_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(PLAIN)
    good, [bad] = read(path)
    assert (good, bad.row, bad.reason) == ([], 0, "corrupt_file")


def test_a_zstd_file_with_skippable_frames_is_read(tmp_path: Path) -> None:
    skippable = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"abcd"
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(skippable + PACKED[".zst"] + skippable + PACKED[".zst"])
    assert texts(path) == TEXTS * 2


def test_an_empty_plain_file_has_no_rows_and_no_bad_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"")
    assert texts(path) == []


def test_a_line_of_any_length_takes_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(b'{"text": "first"}\n{"text": "')
        for _ in range(200):
            stream.write(b"x" * (1 << 20))
        stream.write(b'"}\n{"text": "last"}\n')
    tracemalloc.start()
    good, [bad] = read(path, max_document_bytes=1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [row.text for row in good] == ["first", "last"]
    assert (bad.row, bad.reason) == (1, "too_long")
    assert f"{200 << 20:,}"[:5] in bad.detail
    assert peak < 40 << 20


@pytest.mark.parametrize("suffix", [".bz2", ".xz", ".zst", ".gz"])
def test_a_decompression_bomb_takes_bounded_memory(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.jsonl{suffix}"
    zeros = bytes(96 << 20)
    packed = lzma.compress(zeros, preset=0) if suffix == ".xz" else COMPRESSIONS[suffix](zeros)
    del zeros
    path.write_bytes(packed)
    tracemalloc.start()
    with open_stream(str(path)) as stream:
        total = sum(len(data) for data in iter(lambda: stream.read(1 << 20), b""))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 96 << 20
    assert peak < 72 << 20


def test_a_missing_file_names_itself_and_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(DumpError, match=r"nowhere\.jsonl: no such file.*TONSAI_DATA"):
        list(read_dump_file(str(tmp_path / "nowhere.jsonl")))


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").mkdir()
    with pytest.raises(DumpError, match="is a folder"):
        list(read_dump_file(str(tmp_path / "a.jsonl")))


def test_a_url_is_read_like_a_path() -> None:
    with fsspec.open("memory://dumps/a.jsonl.gz", "wb") as stream:
        stream.write(PACKED[".gz"])  # pyright: ignore[reportAttributeAccessIssue]
    rows = list(read_dump_file("memory://dumps/a.jsonl.gz"))
    assert [row.text for row in rows if not isinstance(row, BadRow)] == TEXTS


def test_a_disk_that_fails_while_reading_is_an_error_and_not_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FailingFile(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() < 16:
                return super().read(16)
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "open", lambda *_: FailingFile(PLAIN))
    with pytest.raises(
        DumpError, match=r"a\.jsonl: reading failed after stored byte 16.*Input/output error"
    ):
        list(read_dump_file(str(tmp_path / "a.jsonl")))


def zstd_frame(data: bytes, window_log: int) -> bytes:
    """A frame of one stored block that asks for a window, as `zstd --long` writes it without the size."""
    window = bytes([(window_log - 10) << 3])
    block = (len(data) << 3 | 1).to_bytes(3, "little")
    return b"\x28\xb5\x2f\xfd" + b"\x00" + window + block + data


@pytest.mark.parametrize("window_log", [20, 27, 28, 31])
def test_long_windows_of_zstd_are_read(tmp_path: Path, window_log: int) -> None:
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(zstd_frame(PLAIN[:100_000], window_log))
    whole = PLAIN[:100_000].count(b"\n")
    assert [row.text for row in read(path)[0]] == TEXTS[:whole]


@pytest.mark.parametrize("suffix", COMPRESSIONS)
@pytest.mark.parametrize("damage", ["flipped", "overwritten", "cut inside", "missing head"])
def test_a_damaged_member_costs_itself_and_the_others_are_read(
    tmp_path: Path, suffix: str, damage: str
) -> None:
    members = [COMPRESSIONS[suffix](jsonl([{"text": text}] * 30)) for text in TEXTS[:40]]
    broken = bytearray(members[20])
    if damage == "flipped":
        broken[len(broken) // 2] ^= 0xFF
    elif damage == "overwritten":
        broken[4:-4] = b"\xa5" * (len(broken) - 8)
    elif damage == "cut inside":
        del broken[len(broken) // 2 :]
    else:
        del broken[:7]
    members[20] = bytes(broken)
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(b"".join(members))
    good, bad = read(path)
    found = [row.text for row in good]
    kept = [text for text in found if text in TEXTS[:40]]
    expected = [text for n, text in enumerate(TEXTS[:40]) for _ in range(30) if n != 20]
    assert [text for text in kept if text != TEXTS[20]] == expected
    assert "corrupt_file" in {row.reason for row in bad}
    assert all(row.lost_bytes is not None for row in bad)
    assert sum(row.lost_bytes or 0 for row in bad) <= 2 * len(members[20]) + 64


@pytest.mark.parametrize("place", [0.02, 0.3, 0.5, 0.9, 0.999])
def test_a_flipped_bit_in_bzip2_costs_its_block_and_the_others_are_read(
    tmp_path: Path, place: float
) -> None:
    lines = [f"line {n} {n * 2654435761 % 4294967291:x}" for n in range(130_000)]
    packed = bytearray(bz2.compress(jsonl({"text": line} for line in lines)))
    packed[int(place * len(packed))] ^= 0x10
    path = tmp_path / "a.jsonl.bz2"
    path.write_bytes(packed)
    good, bad = read(path)
    # A block holds 900 kB: some 28,000 of the lines.
    assert len(good) > len(lines) - 30_000
    found = [row.text for row in good]
    assert set(found) <= set(lines)
    assert len(set(found)) == len(found)
    assert found == sorted(found, key=lambda line: int(line.split()[1]))
    assert bad
    assert sum(row.lost_bytes or 0 for row in bad) < len(packed) / 3


def test_bzip2_streams_behind_a_damaged_one_are_read(tmp_path: Path) -> None:
    streams = [bz2.compress(jsonl({"text": f"{n} {i}"} for i in range(5000))) for n in range(3)]
    broken = bytearray(streams[1])
    broken[len(broken) // 2] ^= 0xFF
    path = tmp_path / "a.jsonl.bz2"
    path.write_bytes(streams[0] + bytes(broken) + streams[2])
    good, bad = read(path)
    assert len(good) == 10_000
    assert [row.reason for row in bad] == ["corrupt_file"]
