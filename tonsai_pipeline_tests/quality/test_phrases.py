"""Word lists: longest match first, on cluster and word boundaries, without overlap."""

from __future__ import annotations

import numpy as np
import pytest

from tonsai_pipeline.quality.phrases import compile_lists, compile_phrases, count_lists
from tonsai_pipeline.quality.units import hash_units
from tonsai_pipeline.text.utf8 import batch_of_text


def matches(text: str, *lists: list[str]) -> tuple[list[int], int]:
    """Return the phrases found of each list, and the units that they cover."""
    hashes = hash_units(batch_of_text(text).data)
    counts = np.zeros(len(lists), dtype=np.int64)
    covered = count_lists(hashes, len(hashes) - 1, *compile_lists(lists), counts)
    return counts.tolist(), covered


def test_the_longest_phrase_wins_and_is_counted_once() -> None:
    assert matches("new york city is new", ["new", "new york", "new york city"]) == ([2], 4)


def test_a_phrase_is_found_where_only_a_longer_one_begins_as_it_does() -> None:
    assert matches("a b c e a b c d", ["a b", "a b c d"]) == ([2], 6)
    assert matches("a b c e", ["a b c d"]) == ([0], 0), "the beginning of a phrase is none"


def test_a_phrase_of_two_lists_counts_for_the_first() -> None:
    assert matches("one two", ["one"], ["one", "two", "one two three"]) == ([1, 1], 2)


def test_case_of_ascii_letters_is_folded() -> None:
    assert matches("BAD Bad bad", ["bad"]) == ([3], 3)


def test_a_khmer_phrase_is_a_run_of_clusters() -> None:
    assert matches("គាត់បានទៅ", ["បាន"]) == ([1], 2)
    assert matches("គាត់បំបានទៅ", ["បបាន"]) == ([0], 0)


def test_an_empty_list_finds_nothing() -> None:
    assert matches("anything", []) == ([0], 0)


@pytest.mark.parametrize("phrase", ["", "...", "one " * 25])
def test_a_phrase_without_letters_or_too_long_is_refused(phrase: str) -> None:
    with pytest.raises(ValueError, match="can be matched"):
        compile_phrases([phrase])
