"""Signals: what they count on pages written by hand, against slow versions, and however texts are batched."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.quality.phrases import compile_phrases
from tonsai_pipeline.quality.signals import Signal, measure, word_list
from tonsai_pipeline.text import clusters, words
from tonsai_pipeline_tests.quality.pages import english_prose, khmer_prose, menu

ZWSP = "\u200b"


def signals_of(text: str) -> dict[str, float]:
    """Every signal of one text."""
    found = measure(pa.array([text]))
    return {signal.value: float(found.of(signal)[0]) for signal in Signal}


def test_a_page_of_english_is_counted() -> None:
    found = signals_of("The cat is 7.5 kg.\n\n• Buy milk!\nhttp://x.org %s {name}\n")
    assert found["num_lines"] == 3
    assert found["num_sentences"] == 2, "the point in 7.5 ends nothing"
    assert found["ended_line_frac"] == pytest.approx(2 / 3)
    assert found["bullet_line_frac"] == pytest.approx(1 / 3)
    assert found["num_stop_words"] == 2
    assert found["num_links_per_1000_chars"] > 0
    assert found["num_placeholders_per_1000_chars"] * found["num_chars"] / 1000 == pytest.approx(2)


def test_khmer_words_are_estimated_from_clusters_and_its_sentence_ends_are_khan() -> None:
    text = "ខ្ញុំបានទៅផ្សារ។ អ្នកនៅឯណា?"
    found = signals_of(text)
    assert found["num_words"] == pytest.approx(len(clusters(text)) / 2.5)
    assert found["khmer_frac"] == 1
    assert found["num_sentences"] == 2
    assert found["ended_char_frac"] == 1
    assert found["num_stop_words"] >= 4


def test_zero_width_spaces_change_nothing() -> None:
    text = "ខ្ញុំបានទៅផ្សារ។"
    assert signals_of(text) == signals_of(text.replace("បាន", ZWSP + "បាន" + ZWSP))


def test_a_stop_word_is_not_found_inside_another_word_or_letter() -> None:
    assert signals_of("thermal tobacco isthmus")["num_stop_words"] == 0
    assert signals_of("ជំ នៃ")["num_stop_words"] == 1, "ជា is not in ជំ; នៃ stands alone"


def test_closing_quotes_and_brackets_do_not_hide_a_sentence_end() -> None:
    assert signals_of("He said: “Go home.”)")["ended_char_frac"] == 1
    assert signals_of("He said: “Go home”")["ended_char_frac"] == 0


def test_repeated_lines_and_paragraphs_are_seen() -> None:
    found = signals_of("one line\n\nanother one\n\none line\n\none line")
    assert found["duplicate_line_frac"] == 0.5
    assert found["duplicate_paragraph_frac"] == 0.5
    assert found["duplicate_line_char_frac"] == pytest.approx(16 / 35)


def test_legacy_font_text_has_capitals_inside_words() -> None:
    assert signals_of("Rkmrdæb,evNI siT§ieRCIserIs")["inner_capital_frac"] == 0.75
    assert signals_of("Plain text by McDonald")["inner_capital_frac"] == 0.25


def test_listed_words_are_counted_on_boundaries() -> None:
    listed = compile_phrases(["bad word", "អាក្រក់"])
    texts = pa.array(["A bad word here", "a badword, bad words", "មនុស្សអាក្រក់ណាស់", "អាក្រ"])
    assert measure(texts, listed_words=listed).of(Signal.num_listed_words).tolist() == [1, 0, 1, 0]


def test_texts_of_every_kind_have_finite_signals_in_range() -> None:
    texts = ["", " \n\t", "។", "\u17d2", "a", "🙂🙂", "0" * 50, "\n\n\n", ".....", "é" * 40, "𠀀𠀁"]
    found = measure(pa.array([*texts, None]))
    assert np.isfinite(found.values).all()
    for signal in Signal:
        if signal.endswith("_frac"):
            assert found.of(signal).min() >= 0
            assert found.of(signal).max() <= 1, signal


TEXTS = st.one_of(
    st.text(max_size=80),
    st.lists(
        st.sampled_from(["the", "ខ្មែរ", "បាន", " ", "\n", "។", ".", "x", "\n\n"]), max_size=80
    ).map("".join),
    st.integers(0, 99).map(lambda seed: english_prose(6, seed)),
    st.integers(0, 99).map(lambda seed: khmer_prose(6, seed)),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXTS, max_size=6))
def test_a_document_has_the_same_signals_alone_and_in_a_batch(texts: list[str]) -> None:
    together = measure(pa.array(texts, pa.large_string())).values
    alone = [measure(pa.array([text])).values[0] for text in texts]
    assert together.tolist() == [row.tolist() for row in alone]


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_repetition_agrees_with_a_slow_version(text: str) -> None:
    found = signals_of(text)
    units = units_of(text)
    # In double precision, as the kernel does: half a unit decides about rounding.
    num_words = len(words(text)) + len(clusters(text)) / 2.5
    scale = len(units) / max(num_words, 1)
    for n in (2, 3, 4):
        grams = max(1, int(n * scale + 0.5))
        assert found[f"top_{n}_gram_frac"] == pytest.approx(slow_top(units, grams), abs=1e-6)
    for n in (5, 7, 10):
        grams = max(1, int(n * scale + 0.5))
        assert found[f"duplicate_{n}_gram_frac"] == pytest.approx(
            slow_duplicate(units, grams), abs=1e-6
        )


def units_of(text: str) -> list[str]:
    spans = sorted([*map(tuple, clusters(text).tolist()), *map(tuple, words(text).tolist())])
    lowered = str.maketrans({chr(c): chr(c + 32) for c in range(65, 91)})
    return [text[a:b].translate(lowered) for a, b in spans]


def slow_top(units: list[str], n: int) -> float:
    counts = Counter(tuple(units[i : i + n]) for i in range(len(units) - n + 1))
    times = max(counts.values(), default=0)
    if times < 2:
        return 0.0
    longest = max(sum(map(len, gram)) for gram, count in counts.items() if count == times)
    return min(1.0, times * longest / sum(map(len, units)))


def slow_duplicate(units: list[str], n: int) -> float:
    seen: set[tuple[str, ...]] = set()
    covered: set[int] = set()
    for i in range(len(units) - n + 1):
        gram = tuple(units[i : i + n])
        if gram in seen:
            covered.update(range(i, i + n))
        seen.add(gram)
    return sum(len(units[i]) for i in covered) / max(1, sum(map(len, units)))


def test_menus_look_unlike_prose() -> None:
    page, prose = signals_of(menu(1)), signals_of(english_prose(12, 1))
    assert page["ended_char_frac"] < 0.1 < 0.9 < prose["ended_char_frac"]
    assert page["stop_word_frac"] < 0.2 < prose["stop_word_frac"]


@pytest.mark.parametrize("language", ["khm", "eng"])
def test_the_stop_word_lists_hold_each_word_once(language: str) -> None:
    listed = word_list(f"stop_words_{language}")
    assert len(listed) == len(set(listed)) > 50
