"""Near copies land near the target Jaccard, and say exactly where."""

from __future__ import annotations

from random import Random

import pheasa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.synthetic.grammar import document
from tonsai_pipeline.synthetic.likeness import jaccard
from tonsai_pipeline.synthetic.near_copies import near_copy

# An edit is a word at least, a word sits in some 14 of 300 shingles, and the nearer side is taken.
TOLERANCE = 0.04


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32), target=st.floats(0.35, 0.97), lang=st.sampled_from(["khm", "eng"])
)
def test_a_near_copy_lands_near_the_target_and_records_the_exact_value(seed, target, lang):
    text = document(Random(seed), lang, num_paragraphs=5)
    copy, likeness = near_copy(text, Random(seed), target)
    assert copy != text
    assert likeness == jaccard(text, copy)
    assert abs(likeness - target) < TOLERANCE


def test_a_khmer_near_copy_is_still_normalized_khmer():
    for seed in range(40):
        text = document(Random(seed), "khm", num_paragraphs=4)
        copy, _ = near_copy(text, Random(seed), 0.6)
        assert pheasa.normalize(copy) == copy


def test_some_copies_leave_out_sentences_and_some_only_change_words():
    lengths = []
    for seed in range(30):
        text = document(Random(seed), "eng", num_paragraphs=5)
        copy, _ = near_copy(text, Random(seed), 0.6)
        lengths.append(copy.count(".") / text.count("."))
    assert sum(length == 1 for length in lengths) > 5
    assert sum(length < 0.9 for length in lengths) > 5


def test_a_text_of_unknown_words_comes_as_far_as_it_can():
    assert near_copy("zzz yyy xxx", Random(1), 0.5) == ("zzz yyy xxx", 1.0)


@pytest.mark.parametrize("target", [0, 1, -0.1, 1.5])
def test_a_target_outside_0_and_1_is_an_error(target):
    with pytest.raises(ValueError, match="jaccard must lie between 0 and 1"):
        near_copy("text", Random(0), target)
