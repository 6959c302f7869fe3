"""Wrong encodings: visibly the same text, and back again with pheasa 0.1.0 as the judge."""

from __future__ import annotations

from random import Random

import pheasa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.synthetic.grammar import document
from tonsai_pipeline.synthetic.wrong_encoding import DEFECTS, wrong_encoding

# One cluster per sort of defect, wrong spelling beside the right one.
EXAMPLES = {
    "coeng_ro_first": ("\u179f\u17d2\u178f\u17d2\u179a", "\u179f\u17d2\u179a\u17d2\u178f"),
    "vowel_before_coeng": ("\u1780\u17d2\u179a\u17bb", "\u1780\u17bb\u17d2\u179a"),
    "vowel_split": ("\u1782\u17c4", "\u1782\u17c1\u17b6"),
    "coeng_da": ("\u1780\u178e\u17d2\u178f\u17b6\u179b", "\u1780\u178e\u17d2\u178a\u17b6\u179b"),
    "sign_before_vowel": ("\u1785\u17b6\u17c6", "\u1785\u17c6\u17b6"),
    "u_for_shifter": ("\u179f\u17ca\u17b8", "\u179f\u17bb\u17b8"),
    "u_for_shifter_weak": ("\u1798\u17c9\u17ba\u1793", "\u1798\u17bb\u17ba\u1793"),
    "coeng_twice": ("\u1780\u17d2\u179a", "\u1780\u17d2\u17d2\u179a"),
}


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), defect_frac=st.floats(0, 1), zwsp_frac=st.floats(0, 1))
def test_the_normalizer_gives_back_the_original(seed, defect_frac, zwsp_frac):
    text = document(Random(seed), "khm", num_paragraphs=1)
    wrong = wrong_encoding(text, Random(seed), defect_frac=defect_frac, zwsp_frac=zwsp_frac)
    assert wrong != text
    assert pheasa.normalize(wrong, zwsp="strip") == text


@pytest.mark.parametrize("sort", EXAMPLES)
def test_each_sort_of_defect_writes_what_people_type(sort):
    right, wrong = EXAMPLES[sort]
    assert (
        wrong_encoding(right, Random(0), defect_frac=1, defects=(sort.removesuffix("_weak"),))
        == wrong
    )
    assert pheasa.normalize(wrong) == right


def test_zero_width_spaces_stand_between_clusters_of_a_word_and_nowhere_else():
    wrong = wrong_encoding("ខ្មែរ និង abc", Random(0), zwsp_frac=1, defects=("zwsp",))
    assert wrong == "ខ្មែ\u200bរ និ\u200bង abc"


@pytest.mark.parametrize("sort", DEFECTS)
def test_every_sort_of_defect_finds_a_place_in_ordinary_text(sort):
    texts = [document(Random(seed), "khm") for seed in range(30)]
    wrong = [
        wrong_encoding(text, Random(0), defect_frac=1, zwsp_frac=1, defects=(sort,))
        for text in texts
    ]
    assert sum(a != b for a, b in zip(texts, wrong, strict=True)) > 3


def test_the_share_of_wrong_clusters_follows_the_target():
    text = document(Random(1), "khm", num_paragraphs=10)
    num_wrong = [
        sum(a != b for a, b in _clusters(text, defect_frac)) for defect_frac in (0.05, 0.3, 1.0)
    ]
    assert num_wrong[0] < num_wrong[1] / 3 < num_wrong[2] / 6


def test_text_with_nothing_to_spell_wrong_stays_as_it_is():
    assert wrong_encoding("plain English, 12", Random(0)) == "plain English, 12"
    assert wrong_encoding("", Random(0)) == ""


def test_an_unknown_sort_of_defect_is_an_error():
    with pytest.raises(ValueError, match=r"unknown sorts of defect: \['typo'\]"):
        wrong_encoding("ក", Random(0), defects=("typo",))


def _clusters(text: str, defect_frac: float) -> list[tuple[str, str]]:
    # Without defects that change the number of code points, the two texts can be laid side by side.
    same_length = ("coeng_ro_first", "vowel_before_coeng", "coeng_da", "sign_before_vowel")
    wrong = wrong_encoding(text, Random(0), defect_frac=defect_frac, defects=same_length)
    return list(zip(text, wrong, strict=True))
