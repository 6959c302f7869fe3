"""The tokenizer that made the rows is told from another one by what it makes of their text."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tonsai_pipeline.evaluate.same_cut import same_cut
from tonsai_pipeline.evaluate.subject import Subject, open_subject
from tonsai_pipeline.storage.shards import SEGMENT, RowBlock, RowsHeader, RowWriter
from tonsai_pipeline_tests.train import tiny

SEQ_LEN = 96


def write_rows(folder: Path, documents: list[list[int]]) -> None:
    header = RowsHeader(SEQ_LEN, 320, tiny.PAD, tiny.BOS, tiny.EOS, "t", ("a",), ("khm",))
    with RowWriter(folder, header) as writer:
        for ids in documents:
            row = [tiny.BOS, *ids, tiny.EOS]
            segment = np.array([(len(row), 0, len(ids))], dtype=SEGMENT)
            row += [tiny.PAD] * (SEQ_LEN - len(row))
            writer.append(RowBlock(np.array([row]), np.array([1]), segment))


@pytest.fixture
def shards(subject: Subject, tmp_path: Path) -> Path:
    """Five documents that the tokenizer made, one that it would cut otherwise, one that is too short."""
    texts = [
        f"{n} the river rises every year, and the farmers know when it falls again"
        for n in range(5)
    ]
    documents = [subject.tokenizer.encode(text, add_special_tokens=False) for text in texts]
    write_rows(tmp_path / "val_khm", [*documents, [3 + 0x80] * 70, documents[0][:20]])
    return tmp_path


def test_the_share_of_documents_that_are_cut_alike_is_told(subject: Subject, shards: Path) -> None:
    found = same_cut(subject, shards)
    assert found is not None
    assert found.num_items == 6
    assert found.value == pytest.approx(5 / 6)
    assert same_cut(subject, shards / "val_khm") is None


def test_one_merge_more_is_found(model_dir: Path, shards: Path, tmp_path: Path) -> None:
    place = shutil.copytree(model_dir, tmp_path / "m")
    state = json.loads((place / "tokenizer.json").read_text(encoding="utf-8"))
    state["model"]["vocab"]["th"] = 259
    state["model"]["merges"] = [["t", "h"]]
    (place / "tokenizer.json").write_text(json.dumps(state), encoding="utf-8")
    found = same_cut(open_subject(str(place)), shards)
    assert found is not None
    assert found.value == 0.0
