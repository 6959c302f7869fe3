"""The form of a page: what each feature may do to the score, and imitations of junk that it must see through."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tonsai_pipeline.quality.form import FORM_FEATURES, SIGNS, WEIGHTS, form_score
from tonsai_pipeline.quality.negatives import KINDS, imitate_junk
from tonsai_pipeline.quality.signals import measure
from tonsai_pipeline.text import clusters
from tonsai_pipeline_tests.quality.pages import english_prose, khmer_prose, menu, tagged_titles


def scores(*texts: str) -> np.ndarray:
    return form_score(measure(pa.array(texts)))


@pytest.mark.parametrize("language", ["khm", "eng"])
def test_no_weight_has_the_wrong_sign(language: str) -> None:
    weights, _ = WEIGHTS[language]
    assert len(weights) == len(FORM_FEATURES) == len(SIGNS)
    for name, weight in zip(FORM_FEATURES, weights, strict=True):
        assert weight * SIGNS[name] >= 0, name


def test_prose_scores_above_junk() -> None:
    found = scores(english_prose(60, 3), khmer_prose(60, 3), tagged_titles(1), menu(1), "File")
    assert found[:2].min() > 0.9 > 0.5 > found[2:].max()


def test_a_longer_text_of_the_same_kind_scores_higher() -> None:
    found = scores(*(khmer_prose(n, 7).replace("\n", " ") for n in (1, 2, 4)))
    assert (np.diff(found) > 0).all()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "salad"])
@pytest.mark.parametrize("make", [english_prose, khmer_prose])
def test_an_imitation_scores_below_the_page_it_was_made_of(kind: str, make: object) -> None:
    pages = [make(20, seed) for seed in range(12)]  # type: ignore[operator]
    below = scores(*imitate_junk(pages, kinds=[kind])) < scores(*pages)
    assert below.mean() > 0.9


def test_an_imitation_has_the_words_of_its_page_and_cuts_no_cluster() -> None:
    page = khmer_prose(20, 5)
    whole = {page[start:end] for start, end in clusters(page)}
    for seed in range(20):
        for text in imitate_junk([page], seed):
            assert {text[start:end] for start, end in clusters(text)} <= whole


def test_a_text_of_a_few_words_is_not_imitated() -> None:
    assert imitate_junk(["Two words.", ""]) == ["", ""]
