"""Packed rows written and read back: the same rows, bounded files, and every kind of damage refused."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.storage.shards import (
    SEGMENT,
    RowBlock,
    RowReader,
    RowsHeader,
    RowWriter,
    ShardWriter,
    finish_rows,
)

SEQ_LEN = 8


def header_of(vocab_size: int = 300, digest: str = "a" * 64) -> RowsHeader:
    return RowsHeader(SEQ_LEN, vocab_size, 2, 0, 1, digest, ("news", "books"), ("khm", "eng"))


def random_block(num_rows: int, seed: int, vocab_size: int = 300) -> RowBlock:
    """Rows of one to three segments, padded with 2."""
    generator = np.random.default_rng(seed)
    ids = np.full((num_rows, SEQ_LEN), 2, dtype=np.int64)
    counts, segments = [], []
    for row in ids:
        lengths = generator.integers(1, 3, size=generator.integers(1, 4))
        counts.append(len(lengths))
        row[: lengths.sum()] = generator.integers(3, vocab_size, size=lengths.sum())
        segments += [(length, generator.integers(2), generator.integers(30)) for length in lengths]
    return RowBlock(ids, np.array(counts), np.array(segments, dtype=SEGMENT))


def write(folder: Path, block: RowBlock, header: RowsHeader, shard_rows: int = 5) -> None:
    with RowWriter(folder, header, shard_rows=shard_rows) as writer:
        writer.append(block)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@given(st.integers(0, 23), st.integers(1, 9), st.integers(1, 9), st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_rows_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, num_rows: int, shard_rows: int, step: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    block = random_block(num_rows, seed)
    borders = np.concatenate([[0], np.cumsum(block.num_segments)]).astype(int)
    with RowWriter(folder, header_of(), shard_rows=shard_rows) as writer:
        for start in range(0, num_rows, step):
            stop = min(num_rows, start + step)
            segments = block.segments[borders[start] : borders[stop]]
            writer.append(
                RowBlock(block.input_ids[start:stop], block.num_segments[start:stop], segments)
            )
    reader = RowReader(folder)
    assert reader.num_rows == len(reader) == num_rows
    assert reader.num_tokens == block.segments["num_tokens"].sum()
    for index in range(num_rows):
        row = reader.row(index)
        own = block.segments[borders[index] : borders[index + 1]]
        assert row.input_ids.dtype == np.int64
        assert row.input_ids.tolist() == block.input_ids[index].tolist()
        assert np.diff(row.cu_seqlens).tolist() == own["num_tokens"].tolist()
        assert row.cu_seqlens[0] == 0
        assert row.sources.tolist() == own["source"].tolist()
        assert row.num_bytes.tolist() == own["num_bytes"].tolist()
    again = reader.block(0, num_rows)
    assert again.input_ids.tolist() == block.input_ids.tolist()
    assert again.segments.tolist() == block.segments.tolist()
    reader.verify()


@pytest.mark.parametrize(("vocab_size", "name"), [(65_536, "uint16"), (65_537, "uint32")])
def test_the_smallest_type_that_holds_the_vocabulary_is_used(
    tmp_path: Path, vocab_size: int, name: str
) -> None:
    block = random_block(3, 0)
    block.input_ids[0, 0] = vocab_size - 1
    write(tmp_path, block, header_of(vocab_size))
    assert json.loads((tmp_path / "index.json").read_text())["dtype"] == name
    assert RowReader(tmp_path).row(0).input_ids[0] == vocab_size - 1


def test_shards_written_apart_are_the_same_bytes_as_one_stream(tmp_path: Path) -> None:
    first, second = random_block(5, 1), random_block(3, 2)
    with RowWriter(tmp_path / "stream", header_of(), shard_rows=5) as writer:
        writer.append(first)
        writer.append(second)
    entries = []
    for number, block in ((1, second), (0, first)):
        shard = ShardWriter(tmp_path / "apart", number, header_of())
        shard.append(block)
        entries.insert(0, shard.close())
    finish_rows(tmp_path / "apart", header_of(), entries)
    finish_rows(tmp_path / "apart", header_of(), entries)  # as after a kill at the very end
    assert files_of(tmp_path / "stream") == files_of(tmp_path / "apart")


def test_a_reader_survives_pickling(tmp_path: Path) -> None:
    write(tmp_path, random_block(7, 3), header_of())
    reader = RowReader(tmp_path, tokenizer_digest="a" * 64)
    copy = pickle.loads(pickle.dumps(reader))
    assert len(pickle.dumps(reader)) < 1000
    assert copy.row(6).input_ids.tolist() == reader.row(6).input_ids.tolist()


def test_an_interrupted_writer_leaves_no_index_and_no_shard(tmp_path: Path) -> None:
    bad = random_block(1, 0)._replace(num_segments=np.array([0]))

    def write_both() -> None:
        with RowWriter(tmp_path, header_of()) as writer:
            writer.append(random_block(2, 0))
            writer.append(bad)

    with pytest.raises(ValueError, match="counts"):
        write_both()
    assert files_of(tmp_path) == {}
    with pytest.raises(DataError, match="pack did not finish"):
        RowReader(tmp_path)


@pytest.mark.parametrize("index", [-1, 7])
def test_a_row_outside_the_range_is_an_index_error(tmp_path: Path, index: int) -> None:
    write(tmp_path, random_block(7, 3), header_of())
    with pytest.raises(IndexError, match="of 7"):
        RowReader(tmp_path).row(index)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def _edit(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_shortened_shard_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, random_block(7, 3), header_of())
    _truncate(tmp_path / "shard-00001.bin")
    with pytest.raises(DataError, match=r"shard-00001\.bin: has 30 bytes, the index says 32"):
        RowReader(tmp_path)


def test_a_missing_shard_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, random_block(7, 3), header_of())
    (tmp_path / "shard-00000.bin").unlink()
    with pytest.raises(DataError, match=r"shard-00000\.bin: is missing"):
        RowReader(tmp_path)


@pytest.mark.parametrize("name", ["segments.npy", "row_offsets.npy"])
def test_a_shortened_table_is_refused_by_name(tmp_path: Path, name: str) -> None:
    write(tmp_path, random_block(7, 3), header_of())
    _truncate(tmp_path / name)
    with pytest.raises(DataError, match=name):
        RowReader(tmp_path)


@pytest.mark.parametrize("name", ["segments.npy", "row_offsets.npy", "shard-00000.bin"])
def test_a_flipped_bit_is_found_by_verify(tmp_path: Path, name: str) -> None:
    write(tmp_path, random_block(7, 3), header_of())
    data = bytearray((tmp_path / name).read_bytes())
    data[-1] ^= 1
    (tmp_path / name).write_bytes(bytes(data))
    with pytest.raises(DataError, match=name):
        RowReader(tmp_path).verify()


def test_another_version_is_refused(tmp_path: Path) -> None:
    write(tmp_path, random_block(1, 0), header_of())
    _edit(tmp_path / "index.json", version=2)
    with pytest.raises(DataError, match="version 2, this program reads version 1"):
        RowReader(tmp_path)


def test_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text('{"shards": []}')
    with pytest.raises(DataError, match="not an index of packed rows"):
        RowReader(tmp_path)


def test_a_broken_index_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(DataError, match=r"index\.json: damaged"):
        RowReader(tmp_path)


def test_an_index_that_lacks_a_key_is_refused(tmp_path: Path) -> None:
    write(tmp_path, random_block(1, 0), header_of())
    index = json.loads((tmp_path / "index.json").read_text())
    del index["pad_id"]
    (tmp_path / "index.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match="pad_id"):
        RowReader(tmp_path)


def test_rows_of_another_tokenizer_are_refused(tmp_path: Path) -> None:
    write(tmp_path, random_block(1, 0), header_of(digest="a" * 64))
    with pytest.raises(DataError, match=r"packed with tokenizer aaaa.*but bbbb"):
        RowReader(tmp_path, tokenizer_digest="b" * 64)


def _shorter_row(block: RowBlock) -> RowBlock:
    return block._replace(input_ids=block.input_ids[:, 1:])


def _too_large_id(block: RowBlock) -> RowBlock:
    block.input_ids[0, 0] = 300
    return block


def _too_many_tokens(block: RowBlock) -> RowBlock:
    block.segments["num_tokens"][0] = SEQ_LEN + 1
    return block


def _unknown_source(block: RowBlock) -> RowBlock:
    block.segments["source"][0] = 2
    return block


def _lost_segment(block: RowBlock) -> RowBlock:
    return block._replace(segments=block.segments[1:])


@pytest.mark.parametrize(
    "damage", [_shorter_row, _too_large_id, _too_many_tokens, _unknown_source, _lost_segment]
)
def test_rows_that_do_not_fit_the_header_are_not_written(tmp_path: Path, damage) -> None:
    with (
        pytest.raises(ValueError, match=r"rows|id 300|segments|source 2"),
        RowWriter(tmp_path, header_of()) as writer,
    ):
        writer.append(damage(random_block(2, 0)))
