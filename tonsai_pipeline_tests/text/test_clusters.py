"""Clusters, words and runs of a script."""

from __future__ import annotations

from itertools import pairwise

import pyarrow as pa
import pytest
import regex
from hypothesis import given, settings

from tonsai_pipeline.text import (
    clusters,
    count_clusters_batch,
    count_words_batch,
    script_runs,
    words,
)
from tonsai_pipeline_tests.text.samples import any_text

#: The definition of the Khmer research notes, with marks that have lost their base by themselves.
CLUSTER = regex.compile(
    r"[\u1780-\u17b3\u17dc](?:\u17d2[\u1780-\u17b3\u17dc]|[\u17b4-\u17d3\u17dd\u200c\u200d])*"
    r"|[\u17b4-\u17d3\u17dd](?:(?<=\u17d2)[\u1780-\u17b3\u17dc]|[\u17b4-\u17d3\u17dd\u200c\u200d]"
    r"|\u17d2[\u1780-\u17b3\u17dc])*"
)


def _pieces(text: str, spans: list[list[int]]) -> list[str]:
    return [text[start:end] for start, end in spans]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ខ្មែរ", ["ខ្មែ", "រ"]),
        ("ស្ត្រី", ["ស្ត្រី"]),
        ("សម្តេច", ["ស", "ម្តេ", "ច"]),
        ("ទៅៗ។ ១០", ["ទៅ"]),
        ("hello", []),
        ("\u17b6\u1780", ["\u17b6", "\u1780"]),
        ("", []),
    ],
)
def test_a_cluster_is_a_base_with_all_that_hangs_on_it(text: str, expected: list[str]) -> None:
    assert _pieces(text, clusters(text).tolist()) == expected


@settings(max_examples=200, deadline=None)
@given(any_text)
def test_clusters_are_those_of_the_definition(text: str) -> None:
    assert [tuple(span) for span in clusters(text).tolist()] == [
        match.span() for match in CLUSTER.finditer(text)
    ]


@settings(max_examples=150, deadline=None)
@given(any_text)
def test_units_do_not_overlap_and_counts_agree(text: str) -> None:
    spans = sorted([*clusters(text).tolist(), *words(text).tolist()])
    assert all(left[1] <= right[0] for left, right in pairwise(spans))
    assert all(start < end for start, end in spans)
    array = pa.array([text])
    assert count_clusters_batch(array).to_pylist() == [len(clusters(text))]
    assert count_words_batch(array).to_pylist() == [len(words(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("don't stop-motion", ["don't", "stop", "motion"]),
        ("rock \u2019n\u2019 roll", ["rock", "n", "roll"]),
        ("na\u00efve caf\u0065\u0301", ["na\u00efve", "caf\u0065\u0301"]),
        ("\u17e5\u17e0% of 3.5", ["\u17e5\u17e0", "of", "3", "5"]),
        ("\u0e44\u0e17\u0e22", ["\u0e44", "\u0e17", "\u0e22"]),
        ("covid19 x2", ["covid19", "x2"]),
        ("ខ្មែរKhmer", ["Khmer"]),
    ],
)
def test_words_of_other_scripts(text: str, expected: list[str]) -> None:
    assert _pieces(text, words(text).tolist()) == expected


def test_counts_of_nulls_are_null() -> None:
    assert count_clusters_batch(pa.array(["ខ្មែរ", None, ""])).to_pylist() == [2, None, 0]


@settings(max_examples=100, deadline=None)
@given(any_text)
def test_runs_of_a_script_cover_the_text_and_alternate(text: str) -> None:
    runs = script_runs(text)
    assert "".join(text[run.start : run.end] for run in runs) == text
    scripts = [run.script for run in runs]
    assert all(left != right for left, right in pairwise(scripts))


def test_runs_name_their_script() -> None:
    text = "ភ្នំពេញ, Phnom Penh (\u0e1e\u0e19\u0e21\u0e40\u0e1b\u0e0d)"
    assert [run.script for run in script_runs(text)] == ["khmer", "latin", "other"]
    assert [run.script for run in script_runs("12 - 3")] == ["none"]
