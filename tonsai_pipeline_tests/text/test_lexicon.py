"""Counting the words of a list."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tonsai_pipeline.text import Lexicon


def _counts(lexicon: Lexicon, *texts: str) -> list[list[int]]:
    return lexicon.count(pa.array(texts)).tolist()


def test_a_khmer_word_is_found_inside_a_phrase_but_not_inside_a_cluster() -> None:
    lexicon = Lexicon({"words": ["បាន", "នៅ"]})
    assert _counts(lexicon, "គាត់បាននៅផ្ទះ", "បាន់", "នៅៗនៅ", "") == [[2], [0], [2], [0]]


def test_a_word_does_not_reach_across_a_space() -> None:
    assert _counts(Lexicon({"words": ["បាន"]}), "បា ន") == [[0]]


def test_a_spaced_word_stands_alone() -> None:
    lexicon = Lexicon({"words": ["ច", "វា"]}, spaced=["words"])
    texts = ("សុខោ ច វា", "ចវា", "(វា-ចៈ)", "ច។ វា\n")
    assert _counts(lexicon, *texts) == [[2], [0], [0], [2]]


def test_english_words_are_whole_and_of_any_case() -> None:
    lexicon = Lexicon({"eng": ["the", "of"]})
    assert _counts(lexicon, "The end of THE other", "Other offers") == [[3], [0]]


def test_a_word_of_two_lists_counts_for_both() -> None:
    lexicon = Lexicon({"one": ["នៅ"], "two": ["នៅ", "ផ្ទះ"]})
    assert _counts(lexicon, "នៅផ្ទះ") == [[1, 2]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"a": ["..."]}, "has 0 units"),
        ({"a": ["កកកកក"]}, "has 5 units"),
        ({"a": [f"w{number}" for number in range(3000)]}, "at most 63 lists and 2,000 words"),
    ],
)
def test_words_that_a_lexicon_cannot_hold_are_refused(
    words: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Lexicon(words)
