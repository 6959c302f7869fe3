"""Word lists: longest match first, on cluster and word boundaries, without overlap."""

from __future__ import annotations

import pytest

from tonsai_pipeline.quality.phrases import compile_phrases, match_phrases
from tonsai_pipeline.quality.units import hash_units
from tonsai_pipeline.text.utf8 import batch_of_text


def matches(text: str, phrases: list[str]) -> tuple[int, int, int]:
    units = hash_units(batch_of_text(text).data)
    return match_phrases(units, len(units), *compile_phrases(phrases))


def test_the_longest_phrase_wins_and_is_counted_once() -> None:
    assert matches("new york city is new", ["new", "new york", "new york city"]) == (2, 2, 4)


def test_case_of_ascii_letters_is_folded() -> None:
    assert matches("BAD Bad bad", ["bad"]) == (3, 1, 3)


def test_a_khmer_phrase_is_a_run_of_clusters() -> None:
    assert matches("គាត់បានទៅ", ["បាន"]) == (1, 1, 2)
    assert matches("គាត់បំបានទៅ", ["បបាន"]) == (0, 0, 0)


def test_an_empty_list_finds_nothing() -> None:
    assert matches("anything", []) == (0, 0, 0)


@pytest.mark.parametrize("phrase", ["", "...", "one " * 25])
def test_a_phrase_without_letters_or_too_long_is_refused(phrase: str) -> None:
    with pytest.raises(ValueError, match="can be matched"):
        compile_phrases([phrase])
