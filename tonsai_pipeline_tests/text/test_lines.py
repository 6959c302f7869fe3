"""Lines of a batch, against `str.split`."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from tonsai_pipeline.text.lines import split_lines
from tonsai_pipeline.text.utf8 import batch_of_arrow

TEXTS = st.lists(st.text(alphabet="a\u1780\n ", max_size=12), max_size=8)


@given(TEXTS, st.integers(0, 2))
@example(["", "\n", "a\n", "\na\n\n"], 1)
def test_lines_are_those_of_split(texts: list[str], skipped: int) -> None:
    # A slice of an array does not begin at its first byte.
    array = pa.array(["x\ny"] * skipped + texts, pa.large_string())[skipped:]
    batch = batch_of_arrow(array)
    lines = split_lines(batch)
    expected = [text.split("\n") for text in texts]
    assert [_texts(lines)[a:b] for a, b in pairwise(lines.firsts)] == expected
    data = batch.data
    assert [
        data[a:b].tobytes().decode() for a, b in zip(lines.starts, lines.ends, strict=True)
    ] == [line for text in expected for line in text]
    assert lines.text_of().tolist() == [i for i, text in enumerate(expected) for _ in text]
    sizes = np.diff(lines.batch.offsets)
    assert lines.sums(sizes).tolist() == [sum(len(x.encode()) for x in text) for text in expected]


def _texts(lines) -> list[str]:
    data, offsets = lines.batch
    return [data[a:b].tobytes().decode() for a, b in pairwise(offsets)]
