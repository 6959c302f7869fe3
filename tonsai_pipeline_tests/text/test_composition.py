"""Normalization Form C, for the few texts that need it."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tonsai_pipeline.text import NormalizeOptions, normalize
from tonsai_pipeline.text.composition import MAYBE_COMPOSED, combining_classes, compose

marks = st.text(
    st.sampled_from(
        "\u0301\u0316\u0323\u0308\u0344\u0345\u17dd\u17d2\u3099\u0f71\u0f72\u0f73\u0f81"
    ),
    min_size=33,
    max_size=90,
)
#: Letters that join the one before them, and letters and marks that do nothing of the kind.
between = st.one_of(st.text(max_size=6), st.sampled_from("\u09be\u1161\u11a8\u0dcf\u1b35\u00e9"))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=6), marks, between, marks, st.text(max_size=6))
@example("e\u0301", "\u0316" * 33, "\u09be", "\u0301" * 33, "")
@example("", "\u0f73" * 33, "", "\u0f71" * 33, "")
def test_long_runs_of_marks_come_out_as_unicodedata_sorts_them(
    a: str, b: str, c: str, d: str, e: str
) -> None:
    assert compose(a + b + c + d + e) == unicodedata.normalize("NFC", a + b + c + d + e)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=20))
def test_foreign_text_is_composed_and_nothing_else(text: str) -> None:
    off = {
        name: False for name in NormalizeOptions().to_dict() if name.startswith(("strip", "fold"))
    }
    if not any("\u1780" <= mark <= "\u17ff" for mark in text):
        assert normalize(text, replace(NormalizeOptions(), **off)) == unicodedata.normalize(
            "NFC", text
        )


def test_the_table_misses_no_character_that_nfc_changes() -> None:
    table = combining_classes()
    assert len(table) > 0x2FA1D
    for point in range(0x110000):
        if 0xD800 <= point <= 0xDFFF:
            continue
        character = chr(point)
        entry = int(table[point]) if point < len(table) else 0
        if not unicodedata.is_normalized("NFC", character):
            assert entry & MAYBE_COMPOSED
        assert entry & 0xFF == unicodedata.combining(character) or point >= 0x1F000


def test_nothing_composes_with_a_character_the_table_calls_safe() -> None:
    table = combining_classes()
    safe = {chr(point) for point in np.flatnonzero(table < MAYBE_COMPOSED).tolist()}
    for point in range(0x110000):
        parts = unicodedata.decomposition(chr(point)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            second = chr(int(parts[1], 16))
            joined = unicodedata.normalize("NFC", chr(int(parts[0], 16)) + second)
            assert len(joined) == 2 or second not in safe
