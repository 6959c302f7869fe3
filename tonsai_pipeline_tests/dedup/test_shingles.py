"""Shingles: the unit is chosen by script, windows blend, short texts are one shingle."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.dedup.shingles import Shingles, shingle, shingle_sets, string_buffers

# The obvious way to cut units, slow and separate from the kernel.
_UNIT = regex.compile(
    r"(?<khmer>(?:[\u1780-\u17b3]|[\u17b4-\u17d1\u17d3\u17dd]|\u17d2[\u1780-\u17b3]?)"
    r"(?:\u17d2[\u1780-\u17b3]?|[\u17b4-\u17d1\u17d3\u17dd])*)"
    r"|(?<letter>[\u0e01-\u0e4e\u4e00-\u9fff])"
    r"|(?<word>[0-9A-Za-z\u17e0-\u17e9\u00c0-\u00d6]+)"
)
_ALPHABET = "កខម្រាិុំ១ abz9É។.,ก中\u200b"


def _units(text: str) -> list[tuple[str, bool]]:
    found = _UNIT.finditer(text.replace("\u200b", ""))
    return [(match[0], match["word"] is not None) for match in found]


def _windows(text: str, clusters: int, words: int) -> list[tuple[str, ...]]:
    units = _units(text)
    windows = []
    for first in range(len(units)):
        weight, last = 0, first
        while last < len(units) and weight < clusters * words:
            weight += clusters if units[last][1] else words
            last += 1
        if weight >= clusters * words:
            windows.append(tuple(unit for unit, _ in units[first:last]))
    if not windows and units:
        return [("whole", *(unit for unit, _ in units))]
    return windows


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(_ALPHABET, max_size=60), max_size=6), st.integers(1, 13), st.integers(1, 6))
def test_hashes_are_equal_exactly_where_the_windows_are(texts, clusters, words):
    found = shingle(
        pa.array(texts, pa.large_string()), clusters_per_shingle=clusters, words_per_shingle=words
    )
    expected = [_windows(text, clusters, words) for text in texts]
    assert np.diff(found.offsets).tolist() == [len(windows) for windows in expected]
    flat = [window for windows in expected for window in windows]
    by_window: dict[tuple[str, ...], int] = {}
    for window, value in zip(flat, found.hashes.tolist(), strict=True):
        assert by_window.setdefault(window, value) == value
    assert len(set(by_window.values())) == len(by_window)


@pytest.mark.parametrize(("clusters", "words"), [(12, 5), (63, 1), (1, 1), (3, 63)])
def test_texts_longer_than_a_block_are_cut_the_same(clusters, words):
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list(_ALPHABET), size)) for size in (1023, 1024, 1025, 4000)]
    # Words longer than a block, with and without neighbors, and a cluster of more marks than that.
    long = "".join(rng.choice(list("abz9"), 3000))
    texts += [long, f"ក {long} {long} ខគ", "ក" + "ិ" * 2500 + "ខ" * 70, "ក" * 2000]
    found = shingle(pa.array(texts), clusters_per_shingle=clusters, words_per_shingle=words)
    by_window: dict[tuple[str, ...], int] = {}
    for doc, text in enumerate(texts):
        expected, hashes = _windows(text, clusters, words), found.of(doc).tolist()
        assert len(hashes) == len(expected)
        for window, value in zip(expected, hashes, strict=True):
            assert by_window.setdefault(window, value) == value
    assert len(set(by_window.values())) == len(by_window)


def test_hashes_do_not_change_from_version_to_version():
    # Signatures outlive the code; another value here is another UNITS_VERSION.
    found = shingle(pa.array(["ក្រុម\u200b one two three four five", "中文 Ébène 𠀀 \U0001f600"]))
    assert [hex(value) for value in found.hashes.tolist()] == [
        "0x91c3ccafee672e1a",
        "0x9b523cd2edb757a7",
        "0x9d5138ed5127389a",
        "0xe244e0fd23f31752",
    ]


@pytest.mark.parametrize(
    ("text", "num_shingles"),
    [
        ("", 0),
        ("?! — …", 0),
        ("word", 1),
        ("one two three four five", 1),
        ("one two three four five six", 2),
        ("ក្រាំង" * 6, 1),
        ("ក" * 12, 1),
        ("ក" * 13, 2),
        ("កខគឃង" * 4 + " Windows 10", 13),
    ],
)
def test_number_of_shingles(text, num_shingles):
    assert len(shingle(pa.array([text])).hashes) == num_shingles


def test_marks_and_subscripts_make_a_difference():
    sets = shingle(pa.array(["កិន", "កីន", "កុន", "កន", "ក្ន"]))
    assert len(set(sets.hashes.tolist())) == 5


def test_punctuation_spaces_and_invisible_characters_make_none():
    one, two = shingle(pa.array(["ភាសាខ្មែរ ល្អ។", "ភាសា\u200bខ្មែរ\u00adល្អ"])).hashes
    assert one == two


def test_a_borrowed_word_does_not_chop_the_page():
    khmer = "កខគឃងចឆជឈញដឋឌឍណតថទធន"
    plain = shingle(pa.array([khmer]))
    mixed = shingle(pa.array([khmer[:10] + " Linux " + khmer[10:]]))
    assert len(mixed.hashes) >= len(plain.hashes)


def test_slices_nulls_and_both_string_types_are_read_alike():
    texts = ["skip me", "one two three four five six", None, "ភាសាខ្មែរ"]
    for kind in (pa.string(), pa.large_string()):
        sliced = pa.array(texts, kind).slice(1)
        plain = pa.array([text or "" for text in texts[1:]], kind)
        assert (shingle(sliced).hashes == shingle(plain).hashes).all()
        assert (shingle(sliced).offsets == shingle(plain).offsets).all()


def test_broken_utf8_ends_at_the_end_of_its_text():
    raw = pa.array([b"abc \xe1\x9e", b"next one"]).view(pa.string())
    assert np.diff(shingle(raw).offsets).tolist() == [1, 1]


def test_other_arrays_and_windows_out_of_range_are_refused():
    with pytest.raises(ValueError, match="strings"):
        string_buffers(pa.array([1, 2]))
    with pytest.raises(ValueError, match="clusters_per_shingle"):
        shingle(pa.array(["a"]), clusters_per_shingle=0)
    with pytest.raises(ValueError, match="words_per_shingle"):
        shingle(pa.array(["a"]), words_per_shingle=64)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(0, 20), max_size=15), max_size=5))
def test_sets_are_sorted_and_without_repeats(lists):
    offsets = np.concatenate([[0], np.cumsum([len(values) for values in lists])]).astype(np.int64)
    flat = np.array([value for values in lists for value in values], dtype=np.uint64)
    sets = shingle_sets(Shingles(flat, offsets))
    assert [sets.of(doc).tolist() for doc in range(len(lists))] == [
        sorted(set(values)) for values in lists
    ]
