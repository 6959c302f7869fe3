"""Rows become tensors whose targets and borders are those of the documents."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tonsai_pipeline.model.batches import make_batch
from tonsai_pipeline.model.loss import IGNORE
from tonsai_pipeline.storage.shards import SEGMENT, RowBlock, RowReader, RowsHeader, RowWriter


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> RowReader:
    """Two rows of eight: two documents and padding; one document that fills its row."""
    folder = tmp_path_factory.mktemp("rows")
    header = RowsHeader(8, 32, 2, 0, 1, "t", ("a",), ("khm",))
    ids = np.array([[0, 10, 1, 0, 20, 1, 2, 2], [0, 5, 6, 7, 8, 9, 10, 1]])
    segments = np.array([(3, 0, 3), (3, 0, 3), (8, 0, 18)], dtype=SEGMENT)
    with RowWriter(folder, header) as writer:
        writer.append(RowBlock(ids, np.array([2, 1]), segments))
    return RowReader(folder)


def test_a_token_predicts_the_next_of_its_own_document_only(reader: RowReader) -> None:
    batch = make_batch(reader, [0, 1], positions="row", use_varlen=False)
    x = IGNORE
    assert batch.targets.tolist() == [[10, 1, x, 20, 1, x, x, x], [5, 6, 7, 8, 9, 10, 1, x]]


def test_segments_number_documents_and_padding(reader: RowReader) -> None:
    batch = make_batch(reader, [0, 1], positions="row", use_varlen=False)
    assert batch.segment_ids is not None
    assert batch.segment_ids.tolist() == [[0, 0, 0, 1, 1, 1, 2, 2], [0] * 8]
    assert batch.cu_seqlens is None


def test_positions_run_through_the_row_or_start_again(reader: RowReader) -> None:
    by_row = make_batch(reader, [0], positions="row", use_varlen=False)
    by_document = make_batch(reader, [0], positions="document", use_varlen=False)
    assert by_row.position_ids.tolist() == [[0, 1, 2, 3, 4, 5, 6, 7]]
    assert by_document.position_ids.tolist() == [[0, 1, 2, 0, 1, 2, 0, 1]]


def test_borders_of_the_flat_batch_ascend(reader: RowReader) -> None:
    batch = make_batch(reader, [0, -1, 1], positions="row", use_varlen=True)
    assert batch.segment_ids is None
    assert batch.cu_seqlens is not None
    assert batch.cu_seqlens.dtype == torch.int32
    assert batch.cu_seqlens.tolist() == [0, 3, 6, 8, 16, 24]


def test_an_empty_row_has_no_targets(reader: RowReader) -> None:
    batch = make_batch(reader, [-1, 1], positions="row", use_varlen=False)
    assert (batch.targets[0] == IGNORE).all()
    assert (batch.input_ids[0] == reader.pad_id).all()
