"""Junk looks like the real thing: it lies in the bands measured on real junk, and good text does not."""

from __future__ import annotations

import re
from random import Random

import pytest

from tonsai_pipeline.synthetic.grammar import document
from tonsai_pipeline.synthetic.junk import (
    boilerplate_page,
    legacy_font_page,
    mixed_page,
    tiny_document,
    ui_strings,
)
from tonsai_pipeline.synthetic.legacy_font import legacy_font_text
from tonsai_pipeline.synthetic.likeness import jaccard

SEEDS = range(40)
LANGS = ("khm", "eng")


def test_legacy_font_text_holds_no_khmer_and_reads_as_latin_garbage():
    for seed in SEEDS:
        page = legacy_font_page(Random(seed))
        assert not re.search(r"[\u1780-\u17FF\u200B]", page)
        assert _hump_frac(page) > 0.4
        assert _latin1_frac(page) > 0.03


def test_english_looks_like_no_legacy_font():
    for seed in SEEDS:
        page = document(Random(seed), "eng")
        assert _hump_frac(page) == 0
        assert _latin1_frac(page) == 0


def test_a_legacy_font_stores_letters_in_the_order_of_the_eye():
    # e before its base, coeng ro before both, as drawn.
    assert legacy_font_text("\u1780\u17d2\u179a\u17c1") == "eRk"
    assert (
        legacy_font_text("\u179f\u17c0\u1798\u179a\u17b6\u1794 \u17e1\u17e2\u17d4") == "esomrab 12."
    )


def test_different_khmer_stays_different_in_a_legacy_font():
    texts = {document(Random(seed), "khm", num_paragraphs=1) for seed in SEEDS}
    assert len({legacy_font_text(text) for text in texts}) == len(texts)


@pytest.mark.parametrize("lang", LANGS)
def test_boilerplate_is_short_lines_without_sentences(lang):
    for seed in SEEDS:
        lines = boilerplate_page(Random(seed), lang, "a.example").split("\n")
        assert len(lines) > 30
        assert sum(line.endswith(("។", ".")) for line in lines) / len(lines) < 0.1
        assert sorted(map(len, lines))[len(lines) // 2] < 40
        assert 1 - len(set(lines)) / len(lines) > 0.15


@pytest.mark.parametrize("lang", LANGS)
def test_pages_of_one_site_share_their_menu_and_pages_of_two_do_not(lang):
    first, second = (boilerplate_page(Random(seed), lang, "a.example") for seed in (1, 2))
    other = boilerplate_page(Random(2), lang, "b.example")
    assert first.split("\n")[1:13] == second.split("\n")[1:13] != other.split("\n")[1:13]
    assert jaccard(first, second) > jaccard(first, other)


@pytest.mark.parametrize("lang", LANGS)
def test_ui_strings_are_many_short_lines(lang):
    lines = ui_strings(Random(1), lang, 50).split("\n")
    assert len(lines) == 50
    assert max(map(len, lines)) < 60
    assert any("%" in line or "$(" in line for line in lines)


def test_a_mixed_page_is_neither_languages_own():
    for seed in SEEDS:
        letters = [letter for letter in mixed_page(Random(seed)) if letter.isalpha()]
        khmer = sum("\u1780" <= letter <= "\u17b3" for letter in letters)
        assert 0.1 < khmer / len(letters) < 0.7


@pytest.mark.parametrize("lang", LANGS)
def test_a_tiny_document_is_too_short_to_learn_from(lang):
    assert all(10 < len(tiny_document(Random(seed), lang)) < 120 for seed in SEEDS)


def _hump_frac(text: str) -> float:
    words = text.split()
    return sum(bool(re.search("[a-z][A-Z]", word)) for word in words) / len(words)


def _latin1_frac(text: str) -> float:
    return sum("\xa0" <= letter <= "\xff" for letter in text) / len(text)
