"""Feature lines: clusters between spaces, marks for the page, bounded length."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.quality.features import features
from tonsai_pipeline.text import clusters


def line(text: str, max_units: int = 1000) -> str:
    return features(pa.array([text]), max_units=max_units)[0]


def test_khmer_is_written_as_clusters() -> None:
    word = "កម្ពុជា"
    assert line(word) == " ".join(word[a:b] for a, b in clusters(word)) + " |"


def test_sentence_ends_and_line_ends_leave_their_marks() -> None:
    assert line("One. Two\nThree!") == "one . two | three ."


def test_an_ended_line_is_not_marked_as_open() -> None:
    assert line("One.\n\nTwo.") == "one . two ."


def test_every_number_reads_the_same() -> None:
    assert line("12 ១២ 3000.") == "0 0 0 ."


def test_long_texts_are_cut_at_whole_units() -> None:
    assert line("one two three four", max_units=2) == "one two"


def test_symbols_and_punctuation_are_single_marks() -> None:
    assert line("a, (b) %% c.") == "a , b , # c ."


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(max_size=60), max_size=5), st.integers(1, 40))
def test_lines_have_no_line_ends_and_depend_on_their_text_alone(
    texts: list[str], max_units: int
) -> None:
    together = features(pa.array(texts, pa.large_string()), max_units=max_units)
    assert together == [line(text, max_units) for text in texts]
    assert all("\n" not in said and "  " not in said for said in together)
