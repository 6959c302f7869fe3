"""Lines of documents, and those that many earlier documents have, against the same in plain Python."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.dedup.lines import distinct_lines, in_many, split_lines

TEXTS = st.lists(st.text(alphabet="ab\n", max_size=12), max_size=8)


@settings(max_examples=200, deadline=None)
@given(texts=TEXTS, min_line_chars=st.integers(1, 3))
def test_each_line_is_there_once_a_document_with_all_its_bytes(texts, min_line_chars):
    lines, docs = split_lines(pa.array(texts, pa.large_string()))
    assert lines.to_pylist() == [line for text in texts for line in text.split("\n")]
    found = distinct_lines(lines, lines, docs, min_line_chars=min_line_chars)
    expected = [
        sorted(count * len(line) for line, count in Counter(text.split("\n")).items())
        for text in (
            "\n".join(line for line in text.split("\n") if len(line) >= min_line_chars)
            for text in texts
        )
    ]
    for doc, sizes in enumerate(expected):
        assert sorted(found.num_bytes[found.docs == doc].tolist()) == [n for n in sizes if n]
    keys = {}
    for line, hashed in zip(
        lines.to_pylist(), distinct_lines(lines, lines, np.arange(len(lines)), min_line_chars=0).hashes, strict=True
    ):  # fmt: skip
        assert keys.setdefault(line, hashed) == hashed
    assert len(set(keys.values())) == len(keys)


@settings(max_examples=200, deadline=None)
@given(
    entries=st.sets(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=30),
    old=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4)), max_size=6),
    max_documents=st.integers(1, 6),
)
def test_a_line_is_boilerplate_behind_the_first_documents_that_have_it(entries, old, max_documents):
    ordered = sorted(entries, key=hash)
    hashes = np.array([line for line, _ in ordered], np.uint64)
    docs = np.array([doc for _, doc in ordered], np.int64)
    old_hashes = np.array([line for line, _ in old], np.uint64)
    old_counts = np.array([count for _, count in old], np.int64)
    found = in_many(hashes, docs, old_hashes, old_counts, max_documents=max_documents)
    for (line, doc), is_many in zip(ordered, found, strict=True):
        before = sum(count for other, count in old if other == line)
        before += sum(other == line and at < doc for other, at in entries)
        assert is_many == (before >= max_documents)


def test_arrays_of_different_length_are_refused():
    lines = pa.array(["a", "b"])
    with pytest.raises(ValueError, match="2 lines, 2 keys, 1 documents"):
        distinct_lines(lines, lines, np.array([0]), min_line_chars=1)
