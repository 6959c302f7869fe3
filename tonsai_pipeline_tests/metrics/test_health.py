"""Each way in which a text can be broken is seen, and only that one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonsai_pipeline.metrics.health import (
    Health,
    distinct,
    longest_repeat,
    measure_health,
    summarize,
)

GOOD = "កសិករស្ទូងស្រូវនៅរដូវវស្សា។ នៅរដូវប្រាំង ពួកគាត់ច្រូតស្រូវ ហើយដាំបន្លែលក់នៅផ្សារជិតទន្លេ។"


def health(text: str, language: str = "khm", ended: bool = True) -> Health:
    return measure_health([text], [language], [ended])[0]


def test_good_text_is_healthy() -> None:
    found = health(GOOD)
    assert found.khmer_frac == 1.0
    assert found.is_stable
    assert found.is_right_language
    assert not found.is_loop
    assert not found.is_empty
    assert found.num_invalid_clusters == found.num_replacement == found.num_zwsp == 0
    assert found.distinct_4 > 0.95


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("  \n", "is_empty", True),
        (GOOD + "\ufffd\ufffd ។", "num_replacement", 2),
        (GOOD + "ក\u17d2។", "num_invalid_clusters", 1),  # a coeng that holds nothing
        (GOOD + "\u1780\u17b6\u17d2\u179a។", "is_stable", False),  # a vowel before its coeng
        (GOOD + "\u200bក។", "num_zwsp", 1),
        ("The river rises every year.", "is_right_language", False),
        ("ទៅផ្សារ " * 20, "is_loop", True),
    ],
)
def test_what_is_broken_is_seen(text: str, name: str, value: object) -> None:
    assert getattr(health(text), name) == value


def test_what_the_cut_left_is_no_fault() -> None:
    """A generation may begin with the marks of the prompt's last letter and end inside a character."""
    found = health("\u17d2\u1798\u17c2\u179aទៅ" + "ក\u17d2\ufffd", ended=False)
    assert found.num_invalid_clusters == found.num_replacement == 0
    assert found.is_stable


def test_a_text_that_says_it_ended_is_not_excused() -> None:
    assert health("ក\u17d2", ended=True).num_invalid_clusters == 1


@pytest.mark.parametrize(
    ("text", "num_invalid", "is_stable"),
    [
        ("ភាពណាិ បាន", 1, True),  # two vowels that no order makes one word of
        ("បញ្ចេាធ", 0, False),  # two halves of one vowel
        ("ភាពណាិ បាន\u200b", 1, False),  # and what the normalizer takes away is still seen
    ],
)
def test_a_cluster_of_no_word_is_invalid_and_not_unnormalized(
    text: str, num_invalid: int, is_stable: bool
) -> None:
    found = health(text)
    assert (found.num_invalid_clusters, found.is_stable) == (num_invalid, is_stable)


def test_a_short_text_without_letters_is_in_no_language() -> None:
    """A long one is in the wrong one: nobody asked for rows of digits."""
    assert health("។").is_right_language is None
    assert health("១ ២ ៣ ៤ ៥ ៦ ៧ ៨ ៩ " * 2).is_right_language is False
    assert health("แม่น้ำ").is_right_language is False
    found = summarize([health("។"), health(GOOD)])
    assert found["right_language_frac"] == 1.0
    assert summarize([health("។")])["right_language_frac"] == 0.0


def test_english_is_right_where_english_was_asked_for() -> None:
    assert health("The river rises every year.", "eng").is_right_language


def test_the_summary_counts_texts_that_were_written() -> None:
    found = summarize(measure_health([GOOD, " "], ["khm"] * 2, [True, False]))
    assert found["empty_frac"] == 0.5
    assert found["ended_frac"] == 0.5
    assert found["right_language_frac"] == 1.0


def test_nothing_to_summarize_is_refused() -> None:
    with pytest.raises(ValueError, match="no texts"):
        summarize([])


@given(st.lists(st.integers(0, 3), max_size=14))
def test_longest_repeat_is_the_slow_one(units: list[int]) -> None:
    slow = max(
        (
            size
            for size in range(1, len(units))
            for a in range(len(units) - size + 1)
            for b in range(a + size, len(units) - size + 1)
            if units[a : a + size] == units[b : b + size]
        ),
        default=0,
    )
    assert longest_repeat(np.array(units, dtype=np.int64)) == slow


def test_distinct_of_a_short_text_is_one() -> None:
    assert distinct(np.array([1, 2]), 4) == 1.0
