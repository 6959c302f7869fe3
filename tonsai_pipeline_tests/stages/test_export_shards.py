"""Packed rows in other trainers' formats, read back by the published layout and by each library's own loader."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.export.shards import export_arrow, export_megatron
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline_tests.storage.test_shards import header_of, random_block, write


@pytest.fixture(params=[300, 100_000], ids=["uint16", "uint32"])
def split(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "train"
    block = random_block(1100, seed=4, vocab_size=request.param)
    write(folder, block, header_of(request.param), shard_rows=300)
    return folder


def segments_of(split: Path) -> list[list[int]]:
    reader = RowReader(split)
    found = []
    for index in range(reader.num_rows):
        row = reader.row(index)
        for first, last in zip(row.cu_seqlens[:-1], row.cu_seqlens[1:], strict=True):
            found.append(row.input_ids[first:last].tolist())
    return found


def test_megatron_files_have_the_published_layout(split: Path, tmp_path: Path) -> None:
    counts = export_megatron(split, tmp_path / "out" / "train")
    wanted = segments_of(split)
    index = (tmp_path / "out" / "train.idx").read_bytes()
    assert index[:9] == b"MMIDIDX\x00\x00"
    version, code, num_sequences, num_documents = struct.unpack_from("<QBQQ", index, 9)
    assert (version, num_sequences, num_documents) == (1, len(wanted), len(wanted) + 1)
    dtype = np.dtype({8: "<u2", 4: "<i4"}[code])
    at = 9 + struct.calcsize("<QBQQ")
    lengths = np.frombuffer(index, "<i4", num_sequences, at)
    offsets = np.frombuffer(index, "<i8", num_sequences, at + 4 * num_sequences)
    documents = np.frombuffer(index, "<i8", num_documents, at + 12 * num_sequences)
    assert at + 12 * num_sequences + 8 * num_documents == len(index)
    assert documents.tolist() == list(range(num_documents))
    data = (tmp_path / "out" / "train.bin").read_bytes()
    found = [
        np.frombuffer(data, dtype, length, offset).tolist()
        for length, offset in zip(lengths, offsets, strict=True)
    ]
    assert found == wanted
    assert counts.num_tokens == RowReader(split).num_tokens == len(data) // dtype.itemsize


def test_megatron_opens_the_files_with_its_own_loader(split: Path, tmp_path: Path) -> None:
    megatron = pytest.importorskip(
        "megatron.core.datasets.indexed_dataset", reason="megatron-core is not installed"
    )
    export_megatron(split, tmp_path / "train")
    dataset = megatron.IndexedDataset(str(tmp_path / "train"))
    assert [dataset[place].tolist() for place in range(len(dataset))] == segments_of(split)
    assert len(dataset.document_indices) == len(dataset) + 1


def test_datasets_opens_the_rows_without_padding(split: Path, tmp_path: Path) -> None:
    import datasets

    counts = export_arrow(split, tmp_path / "arrow")
    rows: Any = datasets.load_from_disk(str(tmp_path / "arrow"))
    reader = RowReader(split)
    assert len(rows) == counts.num_rows == reader.num_rows
    assert sum(map(len, rows["input_ids"])) == counts.num_tokens == reader.num_tokens
    assert rows.features["sources"].feature.names == list(reader.sources)
    for index in range(0, reader.num_rows, 97):
        row = reader.row(index)
        assert rows[index]["input_ids"] == row.input_ids[: row.cu_seqlens[-1]].tolist()
        assert rows[index]["seq_lengths"] == np.diff(row.cu_seqlens).tolist()
        assert rows[index]["sources"] == row.sources.tolist()
        assert rows[index]["num_bytes"] == row.num_bytes.tolist()


def test_an_export_replaces_an_older_one(split: Path, tmp_path: Path) -> None:
    import datasets

    write(tmp_path / "other", random_block(7, seed=9), header_of())
    for source in (split, tmp_path / "other"):
        export_arrow(source, tmp_path / "arrow")
        export_megatron(source, tmp_path / "mega")
    assert len(datasets.load_from_disk(str(tmp_path / "arrow"))) == 7
    tokens = RowReader(tmp_path / "other").num_tokens
    assert (tmp_path / "mega.bin").stat().st_size == 2 * tokens


def test_an_empty_split_is_an_empty_megatron_file_and_no_dataset(tmp_path: Path) -> None:
    write(tmp_path / "empty", random_block(0, seed=1), header_of())
    assert export_megatron(tmp_path / "empty", tmp_path / "mega").num_tokens == 0
    with pytest.raises(DataError, match="no rows"):
        export_arrow(tmp_path / "empty", tmp_path / "arrow")
