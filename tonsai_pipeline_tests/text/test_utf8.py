"""Buffers in, buffers out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.text.utf8 import (
    arrow_of_batch,
    batch_of_arrow,
    batch_of_text,
    decode,
    encode,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=8)), max_size=6))
def test_an_array_survives_the_way_through_buffers(texts: list[str | None]) -> None:
    array = pa.array(texts, pa.string())
    back = arrow_of_batch(batch_of_arrow(array), array)
    back.validate(full=True)
    assert back.to_pylist() == texts
    assert back.null_count == array.null_count


@settings(max_examples=200, deadline=None)
@given(st.characters(exclude_categories=["Cs"]))
def test_a_character_survives_encoding_and_decoding(character: str) -> None:
    out = np.zeros(4, dtype=np.uint8)
    end = encode(ord(character), out, 0)
    assert out[:end].tobytes().decode() == character
    assert decode(out, 0) == (ord(character), end)


def test_buffers_are_read_only() -> None:
    for batch in (batch_of_text("\u1780"), batch_of_arrow(pa.array(["\u1780", None]))):
        assert not batch.data.flags.writeable
        assert not batch.offsets.flags.writeable


def test_only_strings_are_text() -> None:
    with pytest.raises(ValueError, match="expected an array of strings, got binary"):
        batch_of_arrow(pa.array([b"a"]))
