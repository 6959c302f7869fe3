"""The ruler of the truth: shingles of 12 clusters or 5 words, and their exact Jaccard."""

from __future__ import annotations

from random import Random

import numpy as np
import pyarrow as pa

from tonsai_pipeline.dedup.shingles import shingle
from tonsai_pipeline.synthetic.grammar import document
from tonsai_pipeline.synthetic.junk import mixed_page
from tonsai_pipeline.synthetic.likeness import jaccard, shingles, units


def test_khmer_is_cut_into_clusters_and_other_scripts_into_words():
    assert units("ខ្មែរ ១២នាក់ Hello, World-2") == [
        "ខ្មែ",
        "រ",
        "១២",
        "នា",
        "ក់",
        "hello",
        "world",
        "2",
    ]


def test_punctuation_and_invisible_characters_make_no_difference():
    assert jaccard("ក\u200bខ។ គ", "កខគ") == 1.0


def test_twelve_clusters_or_five_words_make_a_shingle():
    assert len(shingles("ក" * 12)) == 1
    assert len(shingles("កខ" * 10)) == 2  # nine places, two different rows
    assert len(shingles("a b c d e f g")) == 3


def test_a_short_text_is_one_shingle_and_an_empty_one_none():
    assert shingles("a b") == {("a", "b")}
    assert shingles("។ !") == set()
    assert jaccard("", "។") == 1.0
    assert jaccard("", "a") == 0.0


def test_the_deduplicator_cuts_the_same_number_of_shingles():
    """Two rulers written apart agree on what a shingle is; the truth would mean little otherwise."""
    texts = [document(Random(seed), lang) for seed in range(20) for lang in ("khm", "eng")]
    texts += [mixed_page(Random(seed)) for seed in range(10)]
    found = shingle(pa.array([text.casefold() for text in texts]))
    ours = [len(shingles(text)) for text in texts]
    theirs = [len(np.unique(found.of(number))) for number in range(len(texts))]
    assert ours == theirs
