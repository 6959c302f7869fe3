"""The key for comparing documents."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings

from tonsai_pipeline.text import dedup_key, dedup_key_batch, normalize
from tonsai_pipeline_tests.text.samples import any_text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ឲ្យ", "ឱ្យ"),
        ("១២៣ ដុល្លារ", "123 ដុល្លារ"),
        ("ថ្ងៃនេះ ខ្ញុំទៅ ។", "ថ្ងៃនេះខ្ញុំទៅ។"),
        ("\u1780\u178e\u17d2\u178a\u17b6\u179b", "\u1780\u178e\u17d2\u178f\u17b6\u179b"),
        ("Hello, World!", "hello world"),
        ("\u201cQuoted\u201d \u2014 text", "quoted text"),
        ("\u00c9cole", "\u00e9cole"),
        ("ទំព័រ 5", "ទំព័រ៥"),
    ],
)
def test_what_a_reader_calls_the_same_has_one_key(one: str, other: str) -> None:
    assert dedup_key(one) == dedup_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ខ្មែរ", "ខមែរ"),
        ("no table", "notable"),
        ("3 4", "34"),
        ("និង", "នឹង"),
        ("caf\u00e9", "cafe"),
    ],
)
def test_what_differs_for_a_reader_has_two_keys(one: str, other: str) -> None:
    assert dedup_key(one) != dedup_key(other)


@settings(max_examples=150, deadline=None)
@given(any_text)
def test_a_key_is_its_own_key_and_no_longer_than_its_text(text: str) -> None:
    normal = normalize(text)
    key = dedup_key(normal)
    assert dedup_key(key) == key
    assert len(key.encode()) <= len(normal.encode())
    assert key == key.strip()


@settings(max_examples=60, deadline=None)
@given(any_text, any_text)
def test_a_batch_is_its_keys_one_by_one(one: str, other: str) -> None:
    batch = dedup_key_batch(pa.array([one, None, other]))
    assert batch.to_pylist() == [dedup_key(one), None, dedup_key(other)]
