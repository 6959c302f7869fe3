"""What the report of a normalization counts."""

from __future__ import annotations

import pheasa
import pyarrow as pa
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tonsai_pipeline.text import (
    RULE_NAMES,
    NormalizeOptions,
    normalize,
    normalize_batch_report,
)
from tonsai_pipeline_tests.text.samples import ZWJ, ZWNJ, ZWSP, any_text, khmer_text
from tonsai_pipeline_tests.text.test_normalize import EVERY_SWITCH


@settings(max_examples=100, deadline=None)
@given(any_text, st.sampled_from(EVERY_SWITCH))
def test_the_report_counts_exactly_the_texts_that_change(
    text: str, options: NormalizeOptions
) -> None:
    normalized, report = normalize_batch_report(pa.array([text]), options)
    row = report[0].as_py()
    repairs = [row[f"num_{rule}"] for rule in RULE_NAMES if rule != "left_as_typed"]
    assert (normalized[0].as_py() != text) == any(repairs)
    assert row["num_zwsp"] == text.count(ZWSP)


def test_the_report_names_the_rule_that_applied() -> None:
    texts = {
        "\u1780\u17b6\u17d2\u179f": "reordered",
        "\u1780\u17d2\u17d2\u179f": "repeated_coeng",
        "\u1780\u17c1\u17b8": "composed_vowel",
        "\u179f\u17bb\u17b8": "u_to_shifter",
        "\u179f\u17d2\u179a\u17d2\u178f": "coeng_ro_second",
        "\u1780\u17d2\u178a": "coeng_da",
        "\u1780\u17b6\u17b6": "duplicate_mark",
        "\u1780" + ZWJ + "\u1781": "joiner",
        "\u1798\u17c9" + ZWNJ + "\u17b6": "joiner",
        "\u1780" + ZWSP: "zwsp_stripped",
        "\u1780\u00ad": "ignorable",
        "\u1780\u00a0": "space",
        "\u17a3": "deprecated",
        "e\u0301": "composed",
    }
    _, report = normalize_batch_report(pa.array(list(texts)))
    for rule, row in zip(texts.values(), report.to_pylist(), strict=True):
        applied = [name for name in RULE_NAMES if row[f"num_{name}"]]
        assert applied == [rule]
        assert row[f"num_{rule}"] == 1


def test_the_report_counts_clusters_orphans_and_broken_syllables() -> None:
    texts = [
        "ខ្មែរ and English",
        "\u17b6\u1780 \u17cb",
        "\u1780\u17b6\u17b7 \u1780\u17d2",
        "\u25cc\u17b6",
        None,
    ]
    _, report = normalize_batch_report(pa.array(texts))
    names = ("num_clusters", "num_orphan_marks", "num_invalid_clusters")
    rows = [[row[name] for name in names] for row in report.to_pylist()]
    assert rows == [[2, 0, 0], [1, 2, 0], [2, 0, 2], [0, 0, 0], [0, 0, 0]]


@settings(max_examples=150, deadline=None)
@given(khmer_text)
def test_orphans_and_broken_syllables_are_what_pheasa_flags(text: str) -> None:
    normal = normalize(text)
    assume("\u17d3" not in normal and ZWJ not in normal and ZWNJ not in normal)
    _, report = normalize_batch_report(pa.array([normal]))
    row = report[0].as_py()
    issues = pheasa.validate(normal)
    assert (row["num_orphan_marks"] + row["num_invalid_clusters"] > 0) == bool(issues)


# --- options --------------------------------------------------------------------------------------
