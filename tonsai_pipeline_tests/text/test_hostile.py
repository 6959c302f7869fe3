"""Input that is broken or meant to hurt: every function names the fault, or takes linear time."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.text import (
    clusters,
    dedup_key,
    language,
    malformed_texts,
    normalize,
    normalize_batch,
    normalize_batch_report,
    paragraph_languages,
    script_runs,
    words,
)
from tonsai_pipeline_tests.text.samples import any_text


def _as_strings(*texts: bytes) -> pa.Array:
    """Return bytes as an Arrow string array, unchecked, as a damaged file would hold them."""
    return pa.array(texts, pa.large_binary()).view(pa.large_string())


@pytest.mark.parametrize("text", ["a\ud800b", "\u1780\udfff", "\udc00"])
def test_a_lone_surrogate_is_an_error_that_names_the_place(text: str) -> None:
    at = next(index for index, mark in enumerate(text) if "\ud800" <= mark <= "\udfff")
    with pytest.raises(ValueError, match=f"U\\+{ord(text[at]):04X} at position {at}"):
        normalize(text)


SCALAR_FUNCTIONS = (
    normalize,
    dedup_key,
    clusters,
    words,
    script_runs,
    language,
    paragraph_languages,
)


@settings(max_examples=60, deadline=None)
@given(any_text, st.characters(categories=["Cs"]), any_text, st.sampled_from(SCALAR_FUNCTIONS))
def test_every_function_of_a_text_names_the_first_lone_surrogate(
    before: str, surrogate: str, after: str, function: Callable[[str], object]
) -> None:
    place = f"U\\+{ord(surrogate):04X} at position {len(before)}$"
    with pytest.raises(ValueError, match=f"lone surrogate {place}"):
        function(before + surrogate + after)


@pytest.mark.parametrize(
    "broken",
    [
        b"ab\xff",
        b"ab\xe1\x9e",
        b"ab\xc0\x80",
        b"ab\xed\xa0\x80",
        b"ab\xf4\x90\x80\x80",
        b"ab\x80",
        b"ab\xe1\x9e\x41",
        b"ab\xe0\x80\x80",
        b"ab\xf0\x80\x80\x80",
        b"ab\xf5\x80\x80\x80",
    ],
)
def test_malformed_utf8_is_found_at_its_byte(broken: bytes) -> None:
    texts = _as_strings("\u1780".encode(), broken, b"")
    with pytest.raises(ValueError, match="text 1 is not valid UTF-8 at byte 2"):
        normalize_batch(texts)
    assert malformed_texts(texts).to_pylist() == [None, 2, None]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=12))
def test_what_python_cannot_decode_is_malformed(data: bytes) -> None:
    found = malformed_texts(_as_strings(data))[0].as_py()
    # What comes before the first fault is exactly what decodes without one.
    valid = data.decode("utf-8", errors="ignore") if found is None else data[:found].decode("utf-8")
    assert (found is None) == (valid.encode() == data)
    if found is not None:
        with pytest.raises(UnicodeDecodeError) as caught:
            data.decode("utf-8")
        assert caught.value.start == found


@pytest.mark.parametrize(
    "unit",
    [
        "\u1780",
        "\u17b6",
        "\u17b6\u17bb",
        "\u17d2\u179a",
        "\u17d2\u179a\u17d2\u178f",
        "\u200b",
        "\u200c",
        "\u200d\u17d2",
        "\u0316\u0301",
        "\u17dd\u0316",
        "\u17c1\u17b8\u17bb",
    ],
)
def test_a_line_of_megabytes_takes_linear_time(unit: str) -> None:
    # Quadratic work on a million characters would run into the time limit of the suite.
    text = "\u1780" + unit * (1_000_000 // len(unit)) + "\u1781"
    once = normalize(text)
    assert normalize(once) == once


def test_a_lengthened_word_is_shortened_and_a_heap_of_marks_is_left() -> None:
    assert normalize("\u1780" + "\u17b6" * 10_000) == "\u1780\u17b6"
    heap = "\u1780" + "\u17b6\u17bb\u17c6" * 100
    assert normalize(heap) == heap
    _, report = normalize_batch_report(pa.array([heap]))
    assert report[0].as_py()["num_left_as_typed"] == 1
    assert report[0].as_py()["num_invalid_clusters"] == 1


def test_the_batch_of_no_text_and_the_text_of_no_letter() -> None:
    for empty in (pa.array([], pa.string()), pa.array([]), pa.chunked_array([], pa.string())):
        assert normalize_batch(empty).to_pylist() == []
    assert normalize_batch(pa.array(["", None, ""])).to_pylist() == ["", None, ""]
    with pytest.raises(ValueError, match="expected an array of strings, got int64"):
        normalize_batch(pa.array([1, 2]))


def test_bytes_under_a_null_are_not_read() -> None:
    array = pa.array([b"\xff\xff", "\u1780".encode()], pa.large_binary()).view(pa.large_string())
    validity = pa.array([False, True]).buffers()[1]
    masked = pa.Array.from_buffers(pa.large_string(), 2, [validity, *array.buffers()[1:]])
    assert normalize_batch(masked).to_pylist() == [None, "\u1780"]
